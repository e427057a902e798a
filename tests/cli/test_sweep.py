"""`edgeprune sweep`, what it leaves, and building from it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeprune.cli.app import create_app
from edgeprune.config import load_config
from edgeprune.evaluation import Guard
from edgeprune.evidence import GuardStep, PointState, PruningEvidence
from edgeprune.pipeline.products import load_record
from edgeprune.pipeline.store import Stage
from edgeprune.pipeline.sweep import chosen_config, read_sweep, sweep_evidence
from edgeprune.pipeline.sweep_point import measure_point
from edgeprune.pipeline.sweep_run import PointWork
from tests.cli.conftest import Edgeprune
from tests.pipeline.small import small_card, small_flags

# Points that are quick to make: a user's small network, few windows, one step of one attack.
QUICK = {
    "model": "tests.cli.own_models:make",
    "target": "host",
    "training.simulated_rhythms": 0.0,
    "training.epoch_steps": 20,
    "pruning.fine_tune": "none",
    "sweep.importances": ["l2"],
    "sweep.ratios": [0.3],
    "sweep.windows": 6,
    "sweep.balls": ["linf:20uV"],
    "sweep.steps": 1,
    "sweep.least": [],
    "sweep.perturbations": ["linf:5uV"],
    "verification.workers": 1,
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return the file of a sweep of two points, and the flags that made it."""
    folder = tmp_path_factory.mktemp("sweep")
    settings = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in QUICK.items()
    }
    chosen = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    flags = ["--dataset", str(small_card(folder)), *small_flags(), *chosen]
    path = folder / "sweep.sqlite"
    with pytest.raises(SystemExit) as left:
        create_app()(["sweep", *flags, "--out", str(path), "--quiet"])
    assert left.value.code == 0
    return path, flags


def test_a_sweep_tells_what_it_found(edgeprune: Edgeprune, swept: tuple[Path, list[str]]) -> None:
    path, _ = swept
    document = edgeprune("sweep", "show", path, "--json").json
    parent, pruned = document["points"]
    assert (parent["state"], pruned["state"]) == ("done", "done")
    assert parent["point"]["setting"]["method"] == "none"
    figures = {
        (each["name"], each["subject"], each["part"], each["network"]): each["value"]
        for each in pruned["figures"]
    }
    assert figures["compression", "", "", ""] >= 1 / 0.7 - 1e-9
    assert figures["parameters", "", "", ""] > figures["remaining", "", "", ""]
    for part in ("validation", "test"):
        right = figures["accuracy", "", part, "int8"]
        classes = [
            (figures["windows", name, part, "int8"], figures["recall", name, part, "int8"])
            for name in "NSVFQ"
        ]
        total = sum(count for count, _ in classes)
        assert sum(n * recall for n, recall in classes if n) == pytest.approx(right * total)
        assert figures["attacked_windows", "", part, "int8"] <= 6
        assert 0 <= figures["attack_success", "linf:20uV", part, "int8"] <= 1
        assert 0 <= figures["certified_share", "linf:5uV", part, "int8"] <= 1
    assert document["recommended"] == 2
    shown = edgeprune("sweep", "show", path)
    assert shown.verdict.startswith("PASS sweep show: 2 of 2 points; take point 2: channel, l2")
    assert "validation part of SYNTHETIC data (it chooses)" in shown.out
    assert "the parent, not pruned: parameters that are not zero" in shown.out


def test_a_finished_sweep_runs_nothing_again(
    edgeprune: Edgeprune, swept: tuple[Path, list[str]]
) -> None:
    path, flags = swept
    log = path.with_suffix(".work") / "points.log"
    before = log.read_text()
    result = edgeprune("sweep", *flags, "--out", path)
    assert "2 of 2 points kept from an earlier run" in result.out
    assert log.read_text() == before


def test_no_point_that_meets_the_requirements_is_an_answer(
    edgeprune: Edgeprune, swept: tuple[Path, list[str]], tmp_path: Path
) -> None:
    path, _ = swept
    limits = tmp_path / "edgeprune.toml"
    limits.write_text("[requirements]\naccuracy = 1.0\nsensitivity = { S = 1.0 }\n")
    result = edgeprune("sweep", "show", path, "--config", limits)
    assert result.code == 1
    assert result.verdict.startswith("FAIL sweep show: 2 of 2 points; no setting meets the")
    assert "recall of S 0.000 < 1" in result.out


def test_a_point_is_built_as_it_was_measured(
    edgeprune: Edgeprune, swept: tuple[Path, list[str]], tmp_path: Path
) -> None:
    path, _ = swept
    config = chosen_config(path, None, {"verification.windows": 3})
    assert (config.chosen.point, config.pruning.ratio, config.verification.windows) == (2, 0.3, 3)
    out = tmp_path / "result"
    result = edgeprune("quantize", "--from-sweep", path, "--out", out, "--json")
    sweep = read_sweep(path)
    assert result.json["network"]["sha256"] == sweep.points[1].result.network_sha256
    stages = out.with_name("result.work")
    pruning = load_record(stages / "prune" / "pruning.json", PruningEvidence)
    assert len(pruning.steps) == 2
    evidence = sweep_evidence(config.chosen)
    assert evidence.network_sha256 == result.json["network"]["sha256"]
    assert (evidence.point, evidence.recommended) == (2, 2)
    assert evidence.settings == sweep.spots.settings
    assert "validation patients" in evidence.chosen_on


def test_what_the_guard_stops_is_no_point_to_take(
    swept: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Guard.judge

    def refuse(guard: Guard, number: int, *arguments: Any) -> GuardStep:
        step = judge(guard, number, *arguments)
        return replace(step, held=False, reason="the recall of V fell by 0.02")

    monkeypatch.setattr(Guard, "judge", refuse)
    path, _ = swept
    sweep, folder = read_sweep(path), path.with_suffix(".work") / "seed-1.work"
    parts = {name: Stage(name, folder / name, "", True) for name in ("data", "train")}
    point = sweep.points[1].result.point
    result = measure_point(PointWork("key", point, sweep.config, parts, tmp_path))
    assert (result.state, result.figures) == (PointState.STOPPED, ())
    assert "the recall of V fell by 0.02" in result.reason


def test_what_cannot_be_built_from_a_sweep_is_said(
    edgeprune: Edgeprune, swept: tuple[Path, list[str]], tmp_path: Path
) -> None:
    path, _ = swept
    out = ("--out", tmp_path / "result")
    sweep = ("build", "--from-sweep", path, *out)
    edgeprune(*sweep, "--ratio", 0.5).failed(2, "EP101", "pruning.ratio", "another network")
    edgeprune(*sweep, "--point", 3).failed(2, "EP101", "no point 3", "1 to 2")
    edgeprune(*sweep, "--config", path).failed(2, "EP101", "configuration of its own")
    edgeprune("build", "--point", 1, *out).failed(2, "EP101", "--from-sweep")
    edgeprune("sweep", "show", tmp_path / "none.sqlite").failed(2, "EP201", "no such sweep")
    flags = [f"chosen.{key}={value}" for key, value in (("sweep", path), ("sha256", "0" * 64))]
    changed = [part for flag in flags for part in ("--set", flag)]
    edgeprune("train", *changed, *out).failed(2, "EP201", "changed since")
    assert load_config(None, {}).chosen.sweep == ""


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--pruning", "chanel"), "EP102", "chanel"),
        (("--pruning", "weight", "--importance", "hrank"), "EP101", "needs a score of each weight"),
        (("--scope", "nowhere"), "EP102", "nowhere"),
        (("--fine-tune", "harder"), "EP102", "harder"),
        (("--ball", "linf:5"), "EP101", "linf:5"),
        (("--perturbation", "nonsense:5uV"), "EP102", "nonsense"),
        (("--set", 'sweep.least=["l3"]'), "EP102", "l3"),
    ],
)
def test_what_cannot_be_swept_is_said_before_any_work(
    edgeprune: Edgeprune, tmp_path: Path, flags: tuple[str, ...], code: str, words: str
) -> None:
    out = tmp_path / "sweep.sqlite"
    edgeprune("sweep", *flags, "--out", out).failed(2, code, words)
    assert not list(tmp_path.iterdir())


def test_a_sweep_leaves_a_page(swept: tuple[Path, list[str]]) -> None:
    path, _ = swept
    page = path.with_name("sweep-report.html").read_text(encoding="utf-8")
    assert "Synthetic" in page
    found = read_sweep(path)
    for result in found.spots.settings:
        (accuracy,) = (
            figure.values
            for figure in result.figures
            if (figure.name, figure.part, figure.network) == ("accuracy", "test", "int8")
        )
        assert f"{accuracy[0]:.3f}" in page
