"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes is the machine's affair.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return a function that finds a folder of real recordings or skips the test."""
    root = Path(os.environ.get("EDGEPRUNE_TEST_DATA", CHECKOUT.parent / "shared" / "data"))

    def find(name: str) -> Path:
        folder = root / name
        if not folder.is_dir():
            pytest.skip(f"real recordings '{name}' are absent; set EDGEPRUNE_TEST_DATA")
        return folder

    return find
