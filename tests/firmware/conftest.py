"""Fixtures of the firmware tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprune.firmware import FirmwareSources, Golden, Labels, generate
from edgeprune.network import IntegerNetwork
from edgeprune.targets import load_target

Make = Callable[..., FirmwareSources]


@pytest.fixture
def make_sources(tmp_path: Path) -> Make:
    """Return a function that generates the C of a network into a folder of its own."""
    count = 0

    def make(
        network: IntegerNetwork, target: str = "host", golden: Golden | None = None
    ) -> FirmwareSources:
        nonlocal count
        count += 1
        return generate(
            network,
            None,
            load_target(target),
            labels(network),
            tmp_path / f"sources{count}",
            golden=golden,
        )

    return make


def labels(network: IntegerNetwork) -> Labels:
    """Return words for a network without a story."""
    names = tuple(f"class {index}" for index in range(network.output_tensor.size))
    return Labels("test network", names, "nothing", synthetic=True)


@pytest.fixture(scope="session")
def host_compiler() -> str:
    """Return the quickest C compiler of this machine."""
    return "gcc" if shutil.which("gcc") else "zig"
