"""The front by brute force, and the setting to take under requirements."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from edgeprune.config import CertifiedShare, Requirements
from edgeprune.evaluation.sweet_spots import sweet_spots
from edgeprune.evidence import PointState, SweepFigure, SweepPoint, SweepResult, SweepSetting

DONE = PointState.DONE


def _setting(ratio: float) -> SweepSetting:
    return SweepSetting("channel", "l2", "global", "one-shot", ratio)


def _result(
    ratio: float,
    seed: int = 1,
    *,
    recall: float | None = 0.9,
    success: float = 0.2,
    proved: float = 0.5,
    instructions: float = 1000,
    flash: float = 100,
    test: float | None = None,
    more: Mapping[str, float] | None = None,
) -> SweepResult:
    scores = dict(more or {})
    figures = [
        SweepFigure("recall", "V", "validation", "int8", recall),
        SweepFigure("recall", "V", "test", "int8", recall if test is None else test),
        SweepFigure("attack_success", "linf:20uV", "validation", "int8", success),
        SweepFigure("certified_share", "gain:10%", "validation", "int8", proved),
        SweepFigure("instructions", "", "", "int8", instructions, "instruction"),
        SweepFigure("flash", "", "", "int8", flash, "byte"),
        SweepFigure("macro_f1", "", "validation", "float", 0.9),
        *(SweepFigure(name, "", "validation", "int8", scores[name]) for name in scores),
    ]
    setting = _setting(ratio) if ratio else SweepSetting("none")
    return SweepResult(SweepPoint(setting, seed), DONE, figures=tuple(figures))


def _numbered(*results: SweepResult) -> list[tuple[int, SweepResult]]:
    return list(enumerate(results, start=1))


def test_the_front_is_the_brute_force_one() -> None:
    generator = random.Random(3)
    costs = {}
    results = []
    for number in range(40):
        rows = [[generator.randint(0, 3) for _ in range(5)] for _ in range(2)]
        # Larger is worse in all of `costs`.
        costs[number] = [(a + b) / 2 for a, b in zip(*rows, strict=True)]
        results += [
            _result(
                number / 100 + 0.01,
                seed,
                recall=1 - row[0] / 4,
                success=row[1] / 4,
                proved=1 - row[2] / 4,
                instructions=row[3],
                flash=row[4],
                test=generator.random(),
            )
            for seed, row in enumerate(rows)
        ]
    found = sweet_spots(_numbered(*results), Requirements())
    for number, each in enumerate(found.settings):
        dominated = any(
            other != costs[number]
            and all(b <= a for a, b in zip(costs[number], other, strict=True))
            for other in costs.values()
        )
        assert each.on_front is not dominated
    assert len(found.objectives) == 5
    assert 0 < sum(each.on_front for each in found.settings) < 40


def test_the_cheapest_of_those_that_meet_all_requirements_is_taken() -> None:
    requirements = Requirements(
        sensitivity={"V": 0.8},
        attack_success={"linf:0.02mV": 0.3},
        certified_share=CertifiedShare("gain:10%", 0.4),
        flash_bytes=150,
        macro_f1_loss=0.05,
    )
    good = {"macro_f1": 0.88}
    points = _numbered(
        _result(0, instructions=4000, more={"macro_f1": 0.9}),
        _result(0.1, instructions=1500, more=good),
        _result(0.2, instructions=1000, flash=90, more=good),
        _result(0.3, instructions=1000, flash=80, more=good),
        _result(0.4, instructions=10, recall=0.79, test=1.0, more=good),
        _result(0.5, instructions=10, success=0.31, more=good),
        _result(0.6, instructions=10, proved=0.39, more=good),
        _result(0.7, instructions=10, flash=151, more=good),
        _result(0.8, instructions=10, more={"macro_f1": 0.84}),
        _result(0.9, instructions=10, recall=None, more=good),
    )
    found = sweet_spots(points, requirements)
    assert found.recommended is not None
    assert found.recommended.numbers == (4,)
    reasons = [each.refused for each in found.settings]
    assert reasons == [
        ("instructions 4,000 > 1,000",),
        ("instructions 1,500 > 1,000",),
        ("flash 90 > 80",),
        (),
        ("recall of V 0.790 < 0.8",),
        ("attack success within linf:0.02mV 0.310 > 0.3",),
        ("certified share under gain:10% 0.390 < 0.4",),
        ("flash 151 > 150",),
        ("loss of macro-F1 0.060 > 0.05",),
        ("recall of V is undefined",),
    ]


def test_seeds_count_together_and_one_that_is_missing_counts_for_all() -> None:
    stopped = SweepResult(
        SweepPoint(_setting(0.7), 2), PointState.STOPPED, "recall of V fell by 0.02"
    )
    waiting = SweepResult(SweepPoint(_setting(0.8), 2), PointState.WAITING)
    points = _numbered(
        _result(0.5, 1, recall=0.7, instructions=500),
        _result(0.5, 2, recall=0.9, instructions=500),
        _result(0.6, 1, recall=0.7, instructions=400),
        _result(0.6, 2, recall=0.88, instructions=400),
        _result(0.7, 1, recall=1.0, instructions=1),
        stopped,
        _result(0.8, 1, recall=1.0, instructions=1),
        waiting,
    )
    found = sweet_spots(points, Requirements(sensitivity={"V": 0.8}))
    half, more, guarded, unfinished = found.settings
    assert half.mean("recall", "V") == pytest.approx(0.8)
    assert found.recommended == half
    assert half.seeds == (1, 2)
    assert more.refused == ("recall of V 0.790 < 0.8",)
    assert guarded.refused == ("seed 2 stopped: recall of V fell by 0.02",)
    assert unfinished.refused == ("seed 2 not finished",)
    assert not guarded.on_front
    assert not guarded.figures


def test_no_setting_may_be_good_enough() -> None:
    points = _numbered(_result(0), _result(0.5))
    found = sweet_spots(points, Requirements(accuracy=0.5))
    assert found.recommended is None
    assert all(each.refused == ("accuracy is undefined",) for each in found.settings)


def test_test_patients_choose_nothing() -> None:
    def found(change: float) -> list[tuple[bool, tuple[str, ...]]]:
        results = [
            _result(each / 10, recall=0.5 + each / 30, instructions=9 - each, test=change)
            for each in range(1, 6)
        ]
        spots = sweet_spots(_numbered(*results), Requirements(sensitivity={"V": 0.6}))
        return [(each.on_front, each.refused) for each in spots.settings]

    assert found(0.0) == found(1.0)
