"""Finds the data folders (targets, datasets, firmware_export) in a wheel or in the checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource_folder(name: str) -> Path:
    """Return the folder of that name: `edgeprune/_data/NAME` in a wheel, `NAME` in a checkout.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"edgeprune is installed without its folder '{name}'")
