"""VNN beside magnitude pruning on MIT-BIH over the whole curve of radii, as its paper has it.

The radii are on the float network's input, as the paper's are: finer than one count of the
converter (5 uV), within which next to nothing is proved of naturally trained networks of this size.
Each sample of each channel moves on its own and the rhythm is held. Shares are means over the
classes: a network that calls every beat normal is easily proved, and right of most.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from edgeprune.classifiers.state import load_classifier
from edgeprune.config import BuildConfig
from edgeprune.data import Windows
from edgeprune.evidence import PointState, SweepPoint
from edgeprune.executor import Codec, Executor, Task
from edgeprune.pipeline.build import open_context
from edgeprune.pipeline.learn import CLASSIFIER, windows_of
from edgeprune.pipeline.store import Stage
from edgeprune.pipeline.sweep import Sweep
from edgeprune.progress import Silent
from edgeprune.quantization import float_inputs
from tests.studies.float_bounds import FloatBoxes, own_hash
from tests.studies.pruning_table import summary_of
from tests.studies.study import Figure

SECTION = "MIT-BIH, VNN's curve"
RADII = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05)
SHOWN = 0.01
CLASSES = ("N", "S", "V")
WINDOWS = 16  # of each class


@dataclass(frozen=True)
class Asked:
    """One network.

    Attributes:
        point: How it was pruned.
        classifier: Its file.
        data: Folder of the data stage.
        config: The sweep's configuration.
    """

    point: SweepPoint
    classifier: Path
    data: Path
    config: BuildConfig


@dataclass(frozen=True)
class Curve:
    """What was found of one network, means over the classes.

    Attributes:
        windows: Of all classes.
        accuracy: Share decided rightly.
        linear: Share proved and right at each radius, by lines.
        intervals: The same by intervals.
    """

    windows: int
    accuracy: float
    linear: list[float]
    intervals: list[float]


def figures(found: Sweep, store: Path, workers: int) -> Iterator[Figure]:
    """Bound every network of a sweep.

    Args:
        found: A sweep of methods "vnn" and "weight" that are not fine-tuned.
        store: Keeps what was bounded.
        workers: Processes.
    """
    folder = found.path.resolve().with_suffix(".work")
    asked = []
    for point in found.points:
        seed = folder / f"seed-{point.result.point.seed}.work"
        own = folder / "points" / point.key / "point.work" / "prune"
        trained = seed / "train" if point.result.point.setting.is_parent else own
        classifier = trained / CLASSIFIER
        if point.result.state is PointState.DONE and classifier.is_file():
            work = Asked(point.result.point, classifier, seed / "data", found.config)
            asked.append(Task(point.key, work))
    curves = Executor(workers=workers, store=store / own_hash(__file__)).run(
        _bounded, asked, Codec(_encode, _decode)
    )
    pairs = [(task.payload.point, curve) for task, curve in zip(asked, curves, strict=True)]
    for setting in dict.fromkeys(point.setting for point, _ in pairs):
        own = [curve for point, curve in pairs if point.setting == setting]
        yield from _of_setting(setting.text, own)
        if setting.method == "vnn":
            same = replace(setting, method="weight", importance="l1", scope="global")
            yield from _beside(setting.text, own, [c for p, c in pairs if p.setting == same])


def _of_setting(text: str, own: Sequence[Curve]) -> Iterator[Figure]:
    right = summary_of([curve.accuracy for curve in own])
    for kind, how in (("linear", "lines"), ("intervals", "intervals")):
        means = np.mean([getattr(curve, kind) for curve in own], axis=0)
        listed = " ".join(
            f"{radius:g} {mean:.3f}" for radius, mean in zip(RADII, means, strict=True)
        )
        note = f"{listed}; accuracy {right.mean:.3f}; {len(own)} seeds of {own[0].windows} windows"
        title = f"{text}: proved and right at {SHOWN:g}, by {how}"
        yield Figure(SECTION, title, round(float(means[RADII.index(SHOWN)]), 4), note=note)


def _beside(text: str, own: Sequence[Curve], other: Sequence[Curve]) -> Iterator[Figure]:
    """Yield how many radii VNN has more proved at than magnitude with as many weights asked for."""
    if len(own) != len(other):
        return
    for kind, how in (("linear", "lines"), ("intervals", "intervals")):
        ours, theirs = (
            np.array([getattr(curve, kind) for curve in curves]) for curves in (own, other)
        )
        differences = [summary_of((ours - theirs)[:, i].tolist()) for i in range(len(RADII))]
        means = ours.mean(axis=0), theirs.mean(axis=0)
        times = [a / b for a, b in zip(*means, strict=True) if b > 0]
        listed = " ".join(
            f"{radius:g} {each.mean:+.3f} [{each.low:+.3f}, {each.high:+.3f}]"
            for radius, each in zip(RADII, differences, strict=True)
        )
        note = f"of {len(RADII)}; difference {listed}; greatest quotient of the means "
        note += f"{max(times):.2f}, the paper prints 27" if times else "undefined"
        title = f"{text}: radii with more proved and right than magnitude, by {how}"
        yield Figure(SECTION, title, sum(each.low > 0 for each in differences), note=note)


def _bounded(asked: Asked) -> Curve:
    torch.set_num_threads(1)
    context = open_context(asked.config, asked.data.parent, Silent())
    windows = windows_of(Stage("data", asked.data, "", True), "test")
    some = windows.select(_drawn(windows, asked.config.seed))
    model, _ = load_classifier(asked.classifier)
    signal, rhythm = float_inputs(some, context.front_end)
    boxes = FloatBoxes(model.eval(), signal.transpose(0, 2, 1), RADII[-1], rhythm, quick=False)
    right = boxes.decisions == some.label
    counts = boxes.linear(RADII), boxes.intervals(RADII)
    shares = [
        [_balanced(right & (count > place), some.label) for place in range(len(RADII))]
        for count in counts
    ]
    return Curve(len(some), _balanced(right, some.label), *shares)


def _drawn(windows: Windows, seed: int) -> np.ndarray:
    """Return windows of each class, of its records in turn."""
    order = np.random.default_rng(seed).permutation(len(windows))
    chosen = []
    for name in CLASSES:
        own = order[windows.label[order] == windows.class_names.index(name)]
        record = windows.record[own]
        turn = [int((record[:place] == each).sum()) for place, each in enumerate(record[:2000])]
        chosen.append(own[:2000][np.argsort(turn, kind="stable")[:WINDOWS]])
    return np.sort(np.concatenate(chosen))


def _balanced(mask: np.ndarray, label: np.ndarray) -> float:
    return float(np.mean([mask[label == name].mean() for name in np.unique(label)]))


def _encode(curve: Curve) -> bytes:
    return json.dumps(asdict(curve)).encode()


def _decode(content: bytes) -> Curve:
    return Curve(**json.loads(content))
