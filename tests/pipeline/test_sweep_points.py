"""Which combinations are points, and what a point's configuration is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeprune.config import BuildConfig, PruningSettings, SweepSettings
from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.evidence import SweepSetting
from edgeprune.pipeline.sweep_points import (
    balls_of,
    defining_settings,
    perturbations_of,
    plan_sweep,
    point_config,
)


def _config(**lists: object) -> BuildConfig:
    return BuildConfig(sweep=SweepSettings(**lists))  # type: ignore[arg-type]


def test_every_sensible_combination_is_a_point_once() -> None:
    plan = plan_sweep(
        _config(
            methods=("channel", "weight", "vnn", "none"),
            importances=("l2", "hrank", "random"),
            scopes=("global", "local"),
            ratios=(0.75, 0.5),
            seeds=(1, 2, 3),
        )
    )
    found = [
        (each.setting.method, each.setting.importance, each.setting.scope) for each in plan.points
    ]
    # 1 parent; channels by 3 importances, weights by 2, each in 2 scopes; vnn alone; 2 ratios each.
    assert len(plan.points) == 3 * (1 + 3 * 2 * 2 + 2 * 2 * 2 + 2)
    assert len(set(plan.points)) == len(plan.points)
    assert ("weight", "hrank", "global") not in found
    assert found.count(("vnn", "", "")) == 6
    assert plan.points[0].setting == SweepSetting("none")
    assert [each.seed for each in plan.points[:3]] == [1, 2, 3]
    said = {each.reason: each.count for each in plan.left_out}
    assert said == {
        "the importance 'hrank' scores each channel, the method 'weight' needs a score of each "
        "weight": 3 * 2 * 2,
        "vnn has its own importance and scope": 3 * 2 * 5,
    }


def test_a_training_against_nothing_and_criteria_of_another_kind_are_left_out() -> None:
    plan = plan_sweep(
        _config(
            methods=("channel", "layer", "low-rank"),
            importances=("l2", "consensus"),
            fine_tunes=("natural", "pgd"),
            ratios=(0.5,),
        )
    )
    found = {(each.setting.method, each.setting.importance) for each in plan.points}
    assert found == {
        *(("none", ""), ("channel", "l2"), ("layer", "l2"), ("layer", "consensus")),
        ("low-rank", ""),
    }
    assert {each.setting.fine_tune for each in plan.points} == {"", "natural"}
    assert sum(each.count for each in plan.left_out) == 3 * 2 * 2 - 4
    assert any("perturbation" in each.reason for each in plan.left_out)


def test_empty_lists_take_the_values_of_a_build() -> None:
    config = replace(
        _config(methods=(), importances=(), ratios=()),
        seed=7,
        pruning=PruningSettings(method="kernel", importance="l1", ratio=0.4, fine_tune="natural"),
    )
    parent, only = plan_sweep(config).points
    assert parent.setting.is_parent
    assert parent.seed == only.seed == 7
    assert only.setting == SweepSetting("kernel", "l1", "global", "iterative", 0.4, "natural")


def test_a_point_goes_to_its_ratio_whatever_the_budget() -> None:
    config = replace(BuildConfig(), pruning=PruningSettings(max_flash=1, fine_tune_epochs=5))
    point = plan_sweep(config).points[-1]
    pruning = point_config(config, point).pruning
    assert (pruning.max_flash, pruning.fine_tune_epochs) == (0, 5)
    assert (pruning.method, pruning.ratio) == ("channel", point.setting.ratio)
    parent = point_config(config, plan_sweep(config).points[0])
    assert parent.pruning.method == "none"


def test_a_point_is_another_one_when_what_it_depends_on_changes() -> None:
    config = BuildConfig()
    point = plan_sweep(config).points[-1]

    def defining(changed: BuildConfig) -> dict[str, object]:
        return defining_settings(changed, point)

    same = defining(config)
    for other in (
        replace(config, sweep=replace(config.sweep, ratios=(0.1,), methods=("weight",))),
        replace(config, disturbances=replace(config.disturbances, windows=3)),
        replace(config, verification=replace(config.verification, workers=7)),
        replace(config, requirements=replace(config.requirements, accuracy=0.5)),
        replace(config, data_dir="elsewhere"),
        replace(config, stated=("attacks.balls",)),
    ):
        assert defining(other) == same
    for other in (
        replace(config, target="cortex-m4"),
        replace(config, pruning=replace(config.pruning, fine_tune_epochs=9)),
        replace(config, sweep=replace(config.sweep, windows=3)),
        replace(config, sweep=replace(config.sweep, balls=("linf:1uV",))),
        replace(config, requirements=replace(config.requirements, attack_success={"l0:2": 0.1})),
        replace(config, robustness=replace(config.robustness, perturbation="linf:5uV")),
        # A default that is stated no longer gives way to what suits segments.
        replace(config, stated=("training.teachers",)),
    ):
        assert defining(other) != same
    few = replace(config, training=replace(config.training, teachers=1))
    assert defining(few) == defining(replace(few, stated=("training.teachers",)))


def test_what_is_required_is_measured() -> None:
    config = BuildConfig()
    required = replace(config.requirements, attack_success={"linf:20uV": 0.1, "l2:1mV": 0.2})
    config = replace(
        config, requirements=required, sweep=SweepSettings(perturbations=("gain:10%",))
    )
    assert balls_of(config) == ("linf:10uV", "linf:20uV", "linf:50uV", "l2:1mV")
    assert perturbations_of(config) == ("gain:10%",)


@pytest.mark.parametrize(
    ("lists", "error", "words"),
    [
        ({"methods": ("chanel",)}, UnknownNameError, "chanel"),
        ({"importances": ("l3",)}, UnknownNameError, "l3"),
        ({"ratios": (0.5, 0.5)}, ConfigurationError, "names something twice"),
        ({"ratios": (1.5,)}, ConfigurationError, "sweep.ratios"),
        ({"methods": ("none",)}, ConfigurationError, "no combination"),
        ({"methods": ("weight",), "importances": ("hrank",)}, ConfigurationError, "no combination"),
    ],
)
def test_lists_that_cannot_be_swept_are_refused(
    lists: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        plan_sweep(_config(**lists))
