"""VNN's programs on MNIST-sized dense networks: seconds beside one joint program in HiGHS."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import highspy
import numpy as np
import torch
from scipy import sparse
from torch import nn

from edgeprune.pruning.vnn import NeuronPrograms, Solutions, SolveSettings, Status, solve
from edgeprune.pruning.vnn import value_band as band
from tests.studies.study import Figure

SECTION = "VNN programs"
NETWORKS = {"2x100": [100] * 2, "8x200": [200] * 8}
EPSILONS = (0.0, 0.1, 0.3)
SAMPLES, TRAINED_ON, EPOCHS = 200, 2000, 8
WORKERS = 2
SIDE = 28
SECONDS, TIMES = 25.0, 20.0
# The joint program is stopped at so many times our seconds: what is found is then "at least".
_CAP = 40.0
_FEW = 10


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock and of the processors."""

    clock: float
    processor: float


class _Watch:
    def __init__(self) -> None:
        self._begin = time.perf_counter(), time.process_time()

    def spent(self) -> Spent:
        return Spent(time.perf_counter() - self._begin[0], time.process_time() - self._begin[1])


def speed(
    networks: Sequence[str] = tuple(NETWORKS), epsilons: Sequence[float] = EPSILONS, seed: int = 0
) -> Iterator[Figure]:
    """Yield what every network takes, here and as one joint program a layer in the same run.

    A network is to be that much faster over all epsilons together; each stands beside it.
    """
    for name in networks:
        layers = _layers(NETWORKS[name], seed)
        ours, joint = [], []
        for epsilon in epsilons:
            programs = [NeuronPrograms(x, *band(z, epsilon)) for x, z in layers]
            watch = _Watch()
            found = [solve(part, SolveSettings(workers=WORKERS)) for part in programs]
            ours.append(watch.spent())
            joint.append(_joint(programs, found, _CAP * ours[-1].clock))
            title, limited = f"{name}, epsilon {epsilon:g}", name == "8x200"
            yield from _figures(title, found, ours[-1], joint[-1], limited)
        times = sum(one.spent.clock for one in joint) / sum(one.clock for one in ours)
        processor = sum(one.spent.processor for one in joint) / sum(one.processor for one in ours)
        note = f"by seconds of the processors {processor:.1f}"
        note += "" if all(one.complete for one in joint) else "; at least, some were stopped"
        yield Figure(SECTION, f"{name}: times the joint programs'", times, TIMES, note=note)


def _figures(
    title: str, found: list[Solutions], ours: Spent, joint: _Joint, limited: bool
) -> Iterator[Figure]:
    unsolved = sum(status != Status.OPTIMAL for one in found for status in one.status)
    gap = max(float(np.nanmax(np.abs(one.gap))) for one in found)
    kept = np.mean([np.count_nonzero(one.weight) / one.weight.size for one in found])
    note = f"{ours.processor:.1f} s of the processors; {kept:.0%} of the weights kept (layer mean)"
    limit = SECONDS if limited else None
    yield Figure(SECTION, f"{title}: seconds", ours.clock, limit, None, True, "s", note)
    bound = "" if joint.complete else "at least, it was stopped: "
    note = f"{bound}{joint.spent.clock:.0f} s, {joint.spent.processor:.0f} s of the processors "
    note += f"({joint.spent.processor / ours.processor:.1f} times ours)"
    times = joint.spent.clock / ours.clock
    yield Figure(SECTION, f"{title}: times the joint program's", times, note=note)
    yield Figure(SECTION, f"{title}: neurons not proved optimal", unsolved, 0, None, True)
    yield Figure(SECTION, f"{title}: largest gap to the proved bound", gap, 1e-6, None, True)
    yield Figure(
        SECTION,
        f"{title}: largest difference to the joint optimum",
        joint.difference,
        1e-6,
        None,
        True,
        note=joint.compared,
    )


@dataclass(frozen=True)
class _Joint:
    """What the joint programs of a network took.

    Attributes:
        spent: In all, assembly included.
        complete: All layers were solved to the end.
        difference: Of the optima to ours, relative, the largest.
        compared: What was compared.
    """

    spent: Spent
    complete: bool
    difference: float
    compared: str


def _joint(programs: list[NeuronPrograms], found: list[Solutions], cap: float) -> _Joint:
    watch, differences = _Watch(), []
    for part, ours in zip(programs, found, strict=True):
        optimum = joint_optimum(part, cap - watch.spent().clock)
        if optimum is None:
            break
        differences.append(abs(float(ours.objective.sum()) / optimum - 1))
    spent, solved = watch.spent(), len(differences)
    compared = f"{solved} of {len(programs)} layers"
    if solved < len(programs):
        # stopped: what of its neurons can be compared is solved to the end
        part, few = programs[solved], slice(0, _FEW)
        some = replace(part, lower=part.lower[:, few], upper=part.upper[:, few])
        best = joint_optimum(some, np.inf)
        differences.append(abs(float(found[solved].objective[few].sum()) / best - 1))
        compared += f", {_FEW} neurons of the next"
    return _Joint(spent, solved == len(programs), max(differences), compared)


def joint_optimum(programs: NeuronPrograms, seconds: float) -> float | None:
    """Solve all neurons of a layer as one program with HiGHS as it comes; None if stopped."""
    if seconds <= 0:
        return None
    matrix = programs.matrix()
    block = sparse.csc_matrix(np.hstack([matrix, -matrix]))
    whole = sparse.block_diag([block] * programs.neurons, format="csc")
    columns = whole.shape[1]
    program = highspy.HighsLp()
    program.num_row_, program.num_col_ = whole.shape
    program.col_cost_, program.col_lower_ = np.ones(columns), np.zeros(columns)
    program.col_upper_ = np.full(columns, np.inf)
    program.row_lower_, program.row_upper_ = programs.lower.T.ravel(), programs.upper.T.ravel()
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_, program.a_matrix_.index_ = whole.indptr, whole.indices
    program.a_matrix_.value_ = whole.data
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("time_limit", seconds)
    solver.passModel(program)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    return float(solver.getInfo().objective_function_value)


def _layers(widths: list[int], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return inputs and pre-activations of the hidden layers; the last one is left alone."""
    network = _trained(widths, seed)
    images, _ = digits(SAMPLES, seed + 1)
    values = torch.tensor(images, dtype=torch.float64)
    layers = []
    with torch.no_grad():
        for layer in network.double():
            if isinstance(layer, nn.Linear):
                layers.append((values.numpy(), layer(values).numpy()))
            values = layer(values)
    return layers[:-1]


def _trained(widths: list[int], seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    images, labels = (torch.tensor(part) for part in digits(TRAINED_ON, seed))
    sizes = [SIDE * SIDE, *widths]
    hidden = [(nn.Linear(*pair), nn.ReLU()) for pair in pairwise(sizes)]
    network = nn.Sequential(*(layer for pair in hidden for layer in pair), nn.Linear(sizes[-1], 10))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimizer.step()
    return network


def digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return drawn digits: three bent strokes a class, moved, turned, bent and of some width.

    Returns:
        Images, float32 [count, 784] in steps of 1/255, and labels [count].
    """
    alphabet = np.random.default_rng(7).uniform(6, 22, (10, 3, 3, 2))
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, count)
    along, grid = np.linspace(0, 1, 25)[:, None], np.arange(SIDE)
    images = np.zeros((count, SIDE, SIDE), dtype=np.float32)
    for image, label in zip(images, labels, strict=True):
        angle, width = random.normal(0, 0.12), random.uniform(0.8, 1.3)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        moved = random.normal(0, 1, 2)
        for stroke in alphabet[label]:
            first, bend, last = stroke + random.normal(0, 0.8, (3, 2))
            path = (1 - along) ** 2 * first + 2 * along * (1 - along) * bend + along**2 * last
            path = (path - 14) @ turn + 14 + moved
            near = np.exp(-((grid - path[:, :, None]) ** 2) / (2 * width**2))
            image[:] = np.maximum(image, (near[:, 0, :, None] * near[:, 1, None, :]).max(0))
        image[image < 0.15] = 0
    return np.round(images * 255).reshape(count, SIDE * SIDE) / np.float32(255), labels
