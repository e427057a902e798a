"""Sweeps: many prunings of one classifier, on one executor, into one file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeprune.config import BuildConfig, ChosenSettings, Requirements, config_of
from edgeprune.config_text import render_config
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.evaluation.sweet_spots import CHOSEN_ON, RULE, SweetSpots, sweet_spots
from edgeprune.evidence import PointState, SweepEvidence
from edgeprune.executor import Codec, Executor, Task
from edgeprune.files import sha256_file
from edgeprune.pipeline.store import Stage, stage_key
from edgeprune.pipeline.sweep_file import KeptPoint, SweepFile
from edgeprune.pipeline.sweep_points import (
    Plan,
    absolute,
    defining_settings,
    plan_sweep,
    point_config,
    seeds_of,
)
from edgeprune.pipeline.sweep_run import Measure, ParentWork, PointWork, run_points
from edgeprune.progress import Progress, Silent

if TYPE_CHECKING:
    from edgeprune.pipeline.context import Context

DEFAULT = Path("sweep.sqlite")
# The sections of a configuration that change nothing of what a sweep measured.
_FREE = (
    *("data_dir", "firmware", "verification", "attacks", "disturbances", "monitor"),
    *("evaluation", "requirements"),
)
_ROOMS = (
    *("data", "classifiers", "training", "pruning", "quantization", "network", "firmware"),
    *("devices", "monitor", "attacks", "verification", "evaluation/metrics"),
    *(
        "evaluation/guard",
        "pipeline/guarding",
        "evaluation/probabilities",
        "targets",
        "pipeline/sweep_point",
    ),
    *("pipeline/cost", "pipeline/learn"),
)


@dataclass(frozen=True)
class Sweep:
    """A sweep as far as it is.

    Attributes:
        path: Its file.
        about: What the file tells of it.
        config: The configuration that it was run with.
        requirements: What a setting must meet.
        points: Its points.
        spots: What they come to.
    """

    path: Path
    about: Mapping[str, str]
    config: BuildConfig
    requirements: Requirements
    points: tuple[KeptPoint, ...]
    spots: SweetSpots

    @property
    def finished(self) -> bool:
        """Whether every point was run, stopped or refused."""
        return all(point.finished for point in self.points)

    @property
    def passed(self) -> bool:
        """Whether a setting meets the requirements."""
        return self.spots.recommended is not None

    @property
    def recommended(self) -> int | None:
        """Number of the point to build; None where no setting meets the requirements."""
        best = self.spots.recommended
        return best.numbers[0] if best is not None else None


def sweep(
    config: BuildConfig,
    out: Path = DEFAULT,
    *,
    progress: Progress | None = None,
    scheduler: str | None = None,
    measure: Measure | None = None,
) -> Sweep:
    """Prune in every way that `[sweep]` lists, measure each, and find which to take.

    A killed sweep goes on where it was. Parents, stages of points and a log of begun and ended
    points are kept in `OUT` with the ending `.work`, which all workers of a cluster must see.

    Args:
        config: What to build, and what to sweep.
        out: The file of the results.
        progress: Receives the course of the work.
        scheduler: Address of a Dask scheduler; None for processes of this machine. It changes no
            figure.
        measure: Measures one point; for tests.

    Raises:
        EdgepruneError: Something cannot be used, or is missing.
    """
    from edgeprune.pipeline.build import open_context
    from edgeprune.pipeline.given_model import is_file, trainability
    from edgeprune.pipeline.preflight import check_files, check_tools
    from edgeprune.pipeline.sweep_point import measure_point, train_parent

    progress = progress or Silent()
    config, folder = absolute(config), out.resolve().with_suffix(".work")
    plan = plan_sweep(config)
    for setting in dict.fromkeys(point.setting for point in plan.points):
        context = open_context(
            point_config(config, replace(plan.points[0], setting=setting)), folder, Silent()
        )
    _check_measuring(config)
    check_files(context)
    if is_file(context.config.model):
        found = trainability(context)
        if not found.trains:
            raise ConfigurationError(
                found.note or "a network that is quantized already cannot be pruned",
                where="model",
                hint="give the float graph, or name a classifier",
            )
    check_tools(context, ("firmware",))
    _announce(plan, context, progress)
    resolved = open_context(config, folder, Silent()).config
    executor = Executor(config.verification.workers, scheduler)
    folder.mkdir(parents=True, exist_ok=True)
    parents = _parents(config, folder, train_parent, executor, progress)
    works = [
        PointWork(
            _key(config, point, parents[point.seed]), point, config, parents[point.seed], folder
        )
        for point in plan.points
    ]
    about = {
        "config": render_config(resolved),
        "target": context.target.title,
        "dataset": context.card.title,
        "synthetic": "yes" if context.card.synthetic else "no",
        "classes": " ".join(context.card.class_names),
        "left_out": "\n".join(f"{each.count}: {each.reason}" for each in plan.left_out),
    }
    file = SweepFile(out)
    file.open_for(about, [(work.key, work.point) for work in works])
    run_points(file, works, measure or measure_point, executor, progress)
    return read_sweep(out)


def read_sweep(path: Path, requirements: BuildConfig | None = None) -> Sweep:
    """Return a sweep from its file, finished or not.

    Args:
        path: The file.
        requirements: Whose requirements decide; None for those that the sweep was run with.

    Raises:
        DataError: There is no such file, or it is none of a sweep.
    """
    file = SweepFile(path)
    about, points = file.about(), file.points()
    config = config_of(tomllib.loads(about["config"]), {})
    demanded = (requirements or config).requirements
    spots = sweet_spots([(point.number, point.result) for point in points], demanded)
    return Sweep(path, about, config, demanded, points, spots)


def chosen_config(path: Path, number: int | None, overrides: Mapping[str, Any]) -> BuildConfig:
    """Return the configuration that builds one point of a sweep.

    Args:
        path: The sweep's file.
        number: The point; None takes the recommended one.
        overrides: Flags as for `load_config`; none of them may change what the sweep measured.

    Raises:
        ConfigurationError: No point meets the requirements, there is no such point, it has no
            figures, or a flag would make another network.
        DataError: There is no such file, or it is none of a sweep.
    """
    for key, value in overrides.items():
        if value is not None and key.split(".")[0] not in _FREE:
            raise ConfigurationError(
                f"'{key}' would make another network than the sweep's",
                where="--from-sweep",
                hint=f"sweep again, or change only {', '.join(_FREE)}",
            )
    found = read_sweep(path)
    point = _pick(found, number)
    config = replace(
        point_config(found.config, point.result.point),
        chosen=ChosenSettings(str(path), sha256_file(path), point.number),
    )
    return config_of(tomllib.loads(render_config(config)), overrides)


def _pick(found: Sweep, number: int | None) -> KeptPoint:
    if number is None:
        number = found.recommended
    if number is None:
        raise ConfigurationError(
            "no point of the sweep meets the requirements",
            where=str(found.path),
            hint=f"edgeprune sweep show {found.path} says why; --point N builds one all the same",
        )
    for point in found.points:
        if point.number == number:
            if point.result.state is not PointState.DONE:
                raise ConfigurationError(
                    f"point {number} is {point.result.state.value}: {point.result.reason}",
                    where=str(found.path),
                    hint="take another point",
                )
            return point
    raise ConfigurationError(
        f"there is no point {number}", where=str(found.path), hint=f"1 to {len(found.points)}"
    )


def check_chosen(chosen: ChosenSettings) -> None:
    """Refuse a build whose sweep is not there or not what it was.

    Raises:
        DataError: The file is absent or has changed.
    """
    path = Path(chosen.sweep)
    if not path.is_file() or sha256_file(path) != chosen.sha256:
        raise DataError(
            "the sweep that the settings come from is not there, or has changed since",
            where=f"chosen.sweep: {path}",
            hint="a result keeps its copy: name that; or choose again with --from-sweep",
        )


def sweep_evidence(chosen: ChosenSettings) -> SweepEvidence:
    """Return what a build tells of the sweep that its settings come from.

    Raises:
        DataError: The file is absent or has changed.
    """
    check_chosen(chosen)
    found = read_sweep(Path(chosen.sweep))
    (point,) = (each for each in found.points if each.number == chosen.point)
    return SweepEvidence(
        file_sha256=chosen.sha256,
        point=chosen.point,
        network_sha256=point.result.network_sha256,
        recommended=found.recommended,
        chosen_on=CHOSEN_ON,
        rule=RULE,
        objectives=tuple(each.text for each in found.spots.objectives),
        settings=found.spots.settings,
    )


def borrow_stages(chosen: ChosenSettings, into: Path) -> None:
    """Copy what the sweep made of the point, so that the build need not make it again.

    The store takes it only where its key is the build's own.
    """
    import shutil

    folder = Path(chosen.sweep).resolve().with_suffix(".work")
    point = next(
        each for each in SweepFile(Path(chosen.sweep)).points() if each.number == chosen.point
    )
    work = PointWork(point.key, point.result.point, BuildConfig(), {}, folder)
    seed = ParentWork(point.result.point.seed, BuildConfig(), folder)
    for source, names in (
        (seed.own_folder.with_suffix(".work"), ("data", "train")),
        ((work.own_folder / "point.work"), ("prune", "quantize")),
    ):
        for name in names:
            if (source / name).is_dir() and not (into / name).exists():
                shutil.copytree(source / name, into / name)


def _parents(
    config: BuildConfig,
    folder: Path,
    train: Any,
    executor: Executor,
    progress: Progress,
) -> dict[int, dict[str, Stage]]:
    """Return the stages of every seed's parent, made where they are missing."""
    seeds = seeds_of(config)
    made = executor.run(
        train,
        [Task(f"parent {seed}", ParentWork(seed, config, folder)) for seed in seeds],
        Codec(_encode_stages, _decode_stages),
        progress=progress,
        description="parents",
        unit="parent",
    )
    for stages in made:
        for stage in stages:
            # A worker elsewhere may have written into a folder of its own.
            if not (stage.folder / "stage.json").is_file():
                raise DataError(
                    f"the workers do not write to this machine's folder: no stage '{stage.name}'",
                    where=str(stage.folder),
                    hint="put --out on a file system that all workers see",
                )
    return {
        seed: {stage.name: stage for stage in stages}
        for seed, stages in zip(seeds, made, strict=True)
    }


def _key(config: BuildConfig, point: Any, parent: Mapping[str, Stage]) -> str:
    return stage_key("point", list(parent.values()), defining_settings(config, point), _ROOMS)


def _encode_stages(stages: Sequence[Stage]) -> bytes:
    return json.dumps([asdict(stage) | {"folder": str(stage.folder)} for stage in stages]).encode()


def _decode_stages(content: bytes) -> tuple[Stage, ...]:
    return tuple(
        Stage(**{**entry, "folder": Path(entry["folder"])}) for entry in json.loads(content)
    )


def _check_measuring(config: BuildConfig) -> None:
    """Refuse attacks, norms and perturbations that are none before anything is trained."""
    from edgeprune.attacks.balls import Ball
    from edgeprune.pipeline.attack import check_attacks
    from edgeprune.pipeline.sweep_points import balls_of, perturbations_of
    from edgeprune.verification.perturbations import parse_perturbation

    plan = config.sweep
    attacks = replace(config.attacks, names=plan.attacks, balls=balls_of(config))
    check_attacks(replace(config, attacks=attacks))
    for norm in plan.least:
        Ball.parse(norm)
    for text in perturbations_of(config):
        parse_perturbation(text)


def _announce(plan: Plan, context: Context, progress: Progress) -> None:
    seeds = len({point.seed for point in plan.points})
    data = f"{context.card.name} (SYNTHETIC)" if context.card.synthetic else context.card.name
    progress.note(
        f"sweep: {len(plan.points)} points ({len(plan.points) // seeds} settings, {seeds} "
        f"{'seed' if seeds == 1 else 'seeds'}) of {context.config.model} on {data} for "
        f"{context.target.name}"
    )
    for each in plan.left_out:
        progress.note(f"left out: {each.count} points, {each.reason}")
