"""Tiny networks behind the front end: their sets are perturbations, enumerated in raw counts."""

from __future__ import annotations

from itertools import product

import numpy as np

from edgeprune.data.held_front_end import HeldBeats
from edgeprune.network.tensor import Int8Array
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.perturbations import parse_perturbation
from tests.verification.perturbations.beats import tiny
from tests.verification.tiny_networks import TinyCase, drawn, network_over

# A count is 5 uV there, a beat has seven samples: the members of these are all run.
WHOLE = ("linf:5uV", "linf:7uV")
# Of these many members are drawn, those of equally spaced parameters among them.
DRAWN = ("gain:30%", "gain:60%", "offset:9uV", "gain:20%+linf:5uV", "hum:10uV@50Hz")
_CHANGES = np.array(list(product((-1, 0, 1), repeat=7)), np.int16)
_DRAWS = 200


def raw_case(seed: int, text: str | None = None) -> TinyCase:
    """Draw a network behind a front end of seven raw samples, and the members of two windows."""
    random = np.random.default_rng(seed)
    text = text or str(random.choice(WHOLE + WHOLE + DRAWN))
    held = tiny(seed, count=2)
    perturbation = parse_perturbation(text)
    sets = []
    for window in range(len(held)):
        count = len(_CHANGES) if text in WHOLE else _DRAWS
        every = held.select(np.full(count, window))
        if text in WHOLE:
            raw = (every.raw + _CHANGES).astype(np.int16)
            raw = raw[perturbation.contains(every, raw)]
        else:
            raw = perturbation.random(every, random)
            raw[0] = held.raw[window]
            if "+" not in text and perturbation.dimensions == 1:
                whole = perturbation.whole(held.select(np.array([window])))
                grid = np.linspace(whole.low[0], whole.high[0], _DRAWS // 2)
                raw[1 : 1 + len(grid)] = perturbation.realise(
                    every.select(np.arange(len(grid))), grid
                )
        sets.append(_distinct(held.select(np.full(len(raw), window)).inputs(raw)))
    shapes = [values.shape[1:] for values in sets[0]]
    return drawn(random, lambda: _case(random, seed, shapes, sets, held, text, text in WHOLE))


def lsb_case(seed: int) -> TinyCase:
    """Draw a network without front end whose signal moves by one or two LSB in each value."""
    random = np.random.default_rng(seed)
    shape = [(2, 1), (3, 1), (4, 1), (2, 2)][random.integers(0, 4)]
    radius = int(random.integers(1, 3 if shape[0] * shape[1] > 2 else 8))
    shapes: list[tuple[int, ...]] = [shape]
    if random.random() < 0.4:
        shapes.append((int(random.integers(1, 3)),))
    base = random.integers(-115, 115)
    values = [random.integers(base - 12, base + 13, (2, *each)).astype(np.int8) for each in shapes]
    held = HeldInputs(tuple(values))
    size = int(np.prod(shape))
    changes = np.array(list(product(range(-radius, radius + 1), repeat=size)), np.int64)
    sets = []
    for window in range(2):
        moved = values[0][window].astype(np.int64) + changes.reshape(-1, *shape)
        signal = np.clip(moved, -128, 127).astype(np.int8)
        rest = [np.repeat(each[window : window + 1], len(signal), axis=0) for each in values[1:]]
        sets.append(_distinct((signal, *rest)))
    text = f"linf:{radius}lsb"
    return drawn(random, lambda: _case(random, seed, shapes, sets, held, text, complete=True))


def _case(
    random: np.random.Generator,
    seed: int,
    shapes: list[tuple[int, ...]],
    sets: list[tuple[Int8Array, ...]],
    held: HeldBeats | HeldInputs,
    text: str,
    complete: bool,
) -> TinyCase:
    network, owner, members = network_over(random, shapes, sets)
    perturbation = parse_perturbation(text)
    boxes = perturbation.input_sets(held)
    return TinyCase(
        seed=seed,
        network=network,
        low=boxes.low,
        high=boxes.high,
        centre=held.inputs(),
        owner=owner,
        members=members,
        shared=None,
        held=held,
        perturbation=perturbation,
        complete=complete,
    )


def _distinct(inputs: tuple[Int8Array, ...]) -> tuple[Int8Array, ...]:
    """Return every different row once."""
    flat = np.concatenate([values.reshape(len(values), -1) for values in inputs], axis=1)
    rows = np.unique(flat, axis=0, return_index=True)[1]
    return tuple(values[rows] for values in inputs)
