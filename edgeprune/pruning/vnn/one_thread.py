"""Keeps the linear algebra of numpy and scipy to one thread while neurons are solved side by side.

A program's matrices are so small that a second thread only waits, and it waits spinning: on a busy
machine a layer takes twenty times as long. OpenBLAS reads its environment variables once, so a
process that runs already has to ask the library itself, which numpy and scipy each bring.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import scipy

_NAMES = [
    f"{before}openblas_{{}}_num_threads{after}"
    for before, after in product(("", "scipy_"), ("", "64_", "_64"))
]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let OpenBLAS use one thread inside, and as many as before after."""
    before = [get() for get, _ in _libraries()]
    for _, put in _libraries():
        put(1)
    try:
        yield
    finally:
        for (_, put), threads in zip(_libraries(), before, strict=True):
            put(threads)


@cache
def _libraries() -> tuple[tuple[ctypes._NamedFuncPointer, ctypes._NamedFuncPointer], ...]:
    """Return how to read and set the threads of each; none where BLAS is another."""
    found = []
    for package in (np, scipy):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.parent.glob(f"{folder.name}.libs/*openblas*")):
            library = ctypes.CDLL(str(path))
            name = next((name for name in _NAMES if hasattr(library, name.format("set"))), None)
            if name is not None:
                get, put = (getattr(library, name.format(verb)) for verb in ("get", "set"))
                found.append((get, put))
    return tuple(found)
