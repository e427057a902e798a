"""What makes a training give the same bytes again, and leaves the process as it was.

The same bytes need: the same seed, the same settings (the thread count among them: it decides the
order of sums), the same windows, the same version of torch, and a processor with the same vector
instructions. Every random draw comes from a generator whose seed is derived from the training's
seed, what it is for, and the epoch; so an epoch that is run again draws the same numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(seed: int, purpose: str, number: int = 0) -> int:
    """Return the seed of one purpose: 63 bits of the SHA-256 of the three values."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_of(seed: int, purpose: str, number: int = 0) -> torch.Generator:
    """Return a generator of its own for one purpose and number (the epoch)."""
    return torch.Generator().manual_seed(derive_seed(seed, purpose, number))


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Run with deterministic algorithms and a fixed thread count; restore all global state after.

    Args:
        threads: Threads of the tensor library.
    """
    threads_before = torch.get_num_threads()
    strict_before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict_before)
            torch.set_num_threads(threads_before)
