"""Which points a sweep has: every combination of its lists that makes sense."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from edgeprune.config import BuildConfig, ChosenSettings, SweepSettings, check_config
from edgeprune.errors import ConfigurationError
from edgeprune.evidence import SweepPoint, SweepSetting
from edgeprune.pruning.criteria import CRITERIA
from edgeprune.pruning.methods import METHODS

PARENT = "none"
_AXES = ("importance", "scope", "schedule", "ratio", "fine_tune")
# What a method decides by itself, so that a list of it has nothing to vary.
_OWN: dict[str, frozenset[str]] = {
    PARENT: frozenset(_AXES),
    "layer": frozenset({"scope"}),
    "vnn": frozenset({"importance", "scope"}),
    "low-rank": frozenset({"importance"}),
    "graft": frozenset({"importance", "scope"}),
    "top-k": frozenset({"importance"}),
}


@dataclass(frozen=True)
class LeftOut:
    """Combinations that are no points.

    Attributes:
        count: How many.
        reason: Why, in words.
    """

    count: int
    reason: str


@dataclass(frozen=True)
class Plan:
    """The points of a sweep.

    Attributes:
        points: In order: the parents, then setting by setting, the seeds of each together.
        left_out: What of the lists' combinations is missing.
    """

    points: tuple[SweepPoint, ...]
    left_out: tuple[LeftOut, ...]


def plan_sweep(config: BuildConfig) -> Plan:
    """Return the points of a configuration's `[sweep]`.

    Raises:
        UnknownNameError: No method or importance has that name.
        ConfigurationError: A list names something twice, a value is out of range, or nothing is
            left to sweep.
    """
    axes = {name: _values(config, name) for name in ("method", *_AXES)}
    seeds = seeds_of(config)
    for name, values in {**axes, "seed": seeds}.items():
        if len(set(values)) < len(values):
            raise ConfigurationError(
                f"sweep.{name}s names something twice", where=f"sweep.{name}s", hint="name it once"
            )
    left_out: Counter[str] = Counter()
    found: dict[SweepSetting, None] = {SweepSetting(PARENT): None}
    for setting in _combinations(axes):
        if setting.method == PARENT:
            continue
        own = _OWN.get(setting.method, frozenset())
        single = replace(setting, **{name: type(getattr(setting, name))() for name in own})
        reason = _senseless(config, single, seeds[0])
        if not reason and single in found:
            varied = [name for name in _AXES if name in own and len(axes[name]) > 1]
            reason = f"{setting.method} has its own {' and '.join(varied)}"
        if reason:
            left_out[reason] += 1
        else:
            found[single] = None
    if len(found) == 1:
        raise ConfigurationError(
            "no combination of the lists makes sense",
            where="sweep",
            hint="; ".join(left_out) or "name a method that prunes",
        )
    points = tuple(SweepPoint(setting, seed) for setting in found for seed in seeds)
    return Plan(
        points, tuple(LeftOut(count * len(seeds), reason) for reason, count in left_out.items())
    )


def seeds_of(config: BuildConfig) -> tuple[int, ...]:
    """Return the seeds of a sweep."""
    return config.sweep.seeds or (config.seed,)


def point_config(config: BuildConfig, point: SweepPoint) -> BuildConfig:
    """Return the build's configuration with the settings of one point.

    Budgets are taken out: a point goes to its ratio.
    """
    setting = point.setting
    own = _OWN.get(setting.method, frozenset())
    chosen: dict[str, Any] = {name: getattr(setting, name) for name in _AXES if name not in own}
    return replace(
        config,
        seed=point.seed,
        sweep=SweepSettings(),
        chosen=ChosenSettings(),
        pruning=replace(
            config.pruning,
            method=setting.method,
            max_flash=0,
            max_ram=0,
            max_instructions=0,
            **chosen,
        ),
    )


def defining_settings(config: BuildConfig, point: SweepPoint) -> dict[str, Any]:
    """Return every setting that a point's result depends on, as plain values."""
    settings = asdict(point_config(config, point))
    for name in ("requirements", "disturbances", "evaluation", "attacks", "chosen", "data_dir"):
        del settings[name]
    # A default counts as another setting where it is stated: it no longer gives way to the data.
    kept = [key for key in settings.pop("stated") if key.startswith("training.")]
    plain = replace(config, stated=())
    if stated := [key for key in kept if plain.leaves_open(key)]:
        settings["stated"] = stated
    settings["verification"] = config.verification.runtime
    settings["firmware"] |= {"parity_windows": 0, "layout": ""}
    plan = config.sweep
    settings["sweep"] = {
        "windows": plan.windows,
        "windows_seed": config.seed,
        "attacks": plan.attacks,
        "balls": balls_of(config),
        "least": plan.least,
        "steps": plan.steps,
        "perturbations": perturbations_of(config),
        "seconds": plan.seconds,
    }
    return settings


def balls_of(config: BuildConfig) -> tuple[str, ...]:
    """Return the balls that points are attacked within: asked for or required."""
    balls = (*config.sweep.balls, *config.requirements.attack_success)
    return tuple(dict.fromkeys(balls)) if config.sweep.attacks else ()


def perturbations_of(config: BuildConfig) -> tuple[str, ...]:
    """Return what is proved of points: asked for, trained for, or required."""
    required = config.requirements.certified_share
    texts = (
        *config.sweep.perturbations,
        config.robustness.perturbation,
        required.perturbation if required else "",
    )
    return tuple(dict.fromkeys(filter(None, texts)))


def absolute(config: BuildConfig) -> BuildConfig:
    """Return the configuration with paths that hold in any working directory."""
    return replace(
        config,
        data_dir=str(Path(config.data_dir).resolve()) if config.data_dir else "",
        weights=str(Path(config.weights).resolve()) if config.weights else "",
    )


def _values(config: BuildConfig, name: str) -> tuple[Any, ...]:
    return getattr(config.sweep, f"{name}s") or (getattr(config.pruning, name),)


def _combinations(axes: dict[str, tuple[Any, ...]]) -> Iterator[SweepSetting]:
    for name in axes["method"]:
        METHODS.get(name, where="sweep.methods")
    for name in axes["importance"]:
        CRITERIA.get(name, where="sweep.importances")
    # Ratios go innermost, ascending: a table of them reads as a curve.
    inner = sorted(axes["ratio"])
    for method, importance, scope, schedule, fine_tune, ratio in product(
        *(axes[name] for name in ("method", "importance", "scope", "schedule", "fine_tune")), inner
    ):
        yield SweepSetting(method, importance, scope, schedule, float(ratio), fine_tune)


def _senseless(config: BuildConfig, setting: SweepSetting, seed: int) -> str:
    """Return why a combination makes no sense; empty where it does."""
    from edgeprune.pruning.checks import check_pruning

    chosen = point_config(config, SweepPoint(setting, seed))
    try:
        check_config(chosen)
    except ConfigurationError as error:
        section, _, axis = error.where.partition(".")
        if section == "pruning" and axis in _AXES:
            # The point has it from the sweep's list.
            error.what = error.what.replace(error.where, f"sweep.{axis}s")
            error.where = f"sweep.{axis}s"
        raise
    try:
        check_pruning(chosen.pruning, chosen.robustness)
    except ConfigurationError as error:
        return error.what
    return ""
