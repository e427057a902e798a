"""Names of a package that are imported when they are first used.

A room's `__init__` lists its names without importing torch or onnx, so that `import edgeprune` and
`edgeprune --help` stay quick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def late(package: str, home: str) -> Any:
    """Return what a registry names by its place, importing the module.

    Args:
        package: Qualified name of the package.
        home: "module:name" below the package.
    """
    module, _, name = home.partition(":")
    return getattr(import_module(f"{package}.{module}"), name)


def late_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's `__getattr__` (PEP 562).

    Args:
        package: The package's `__name__`.
        homes: Public name to the module below the package that defines it.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return late(package, f"{homes[name]}:{name}")

    return find
