from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeprune.targets import Target, load_target
from tests.devices import images

Windows = tuple[np.ndarray, np.ndarray, np.ndarray]
UNICORN_TARGETS = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Target]]:
    """Return a function that builds the pretended model for a target, once a session."""
    built: dict[str, tuple[Path, Target]] = {}

    def get(name: str) -> tuple[Path, Target]:
        if name not in built:
            target = load_target(name)
            built[name] = (images.build(tmp_path_factory.mktemp(name), target), target)
        return built[name]

    return get


@pytest.fixture(scope="session")
def windows() -> Windows:
    """Signal, rhythm and the logits that the pretended model must give."""
    generator = np.random.default_rng(3)
    signal = generator.integers(-128, 128, (600, images.LENGTH, images.CHANNELS)).astype(np.int8)
    rhythm = generator.integers(-128, 128, (600, images.FEATURES)).astype(np.int8)
    total = signal.sum(axis=(1, 2), dtype=np.int64) + rhythm.sum(axis=1, dtype=np.int64)
    logits = (total[:, None] + np.arange(images.CLASSES)).astype(np.int8)
    return signal, rhythm, logits
