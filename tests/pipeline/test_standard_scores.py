"""Scores by standards from the stages of a build: beats without window, records too short."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeprune.config import load_config
from edgeprune.network.tensor import Tensor
from edgeprune.pipeline.build import open_context
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.learn import data_stage, windows_of
from edgeprune.pipeline.recordings import references_of
from edgeprune.pipeline.standard_scores import StandardScores, standard_scores
from edgeprune.pipeline.store import Stage
from edgeprune.progress import Silent
from tests.pipeline.small import SETTINGS, small_card


def prepared(folder: Path, seconds: int) -> tuple[Context, Stage]:
    card = small_card(folder)
    text = card.read_text(encoding="utf-8")
    card.write_text(text.replace("seconds = 50", f"seconds = {seconds}"), encoding="utf-8")
    config = load_config(None, {**SETTINGS, "dataset": str(card)})
    context = open_context(config, folder / "result", Silent())
    return context, data_stage(context)


def scores_of_the_reference(context: Context, data: Stage) -> StandardScores:
    """Score a network that is never wrong."""
    windows = windows_of(data, "test")
    logits = (20 * np.eye(len(windows.class_names))[windows.label]).astype(np.int8)
    network: Any = SimpleNamespace(output_tensor=Tensor("logits", (5,), 0.25, 0))
    return standard_scores(context, data, windows, "int8", network, logits)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> tuple[Context, Stage]:
    return prepared(tmp_path_factory.mktemp("long"), 312)


def test_every_annotated_beat_is_counted(long: tuple[Context, Stage]) -> None:
    context, data = long
    windows = windows_of(data, "test")
    (reference,) = references_of(context, data, windows)
    assert len(reference.beats) > len(windows)
    assert (reference.part, reference.samples) == ("test", 312 * reference.rate_hz)
    (beats,) = scores_of_the_reference(context, data).beats
    assert sum(beats.annotated) == len(reference.beats)
    scored = reference.beats >= 300 * reference.rate_hz
    with_window = np.isin(reference.beats, windows.beat)
    assert sum(map(sum, beats.pairs.counts)) == scored.sum()
    assert beats.records[0].without_decision == (scored & ~with_window).sum() > 0
    assert beats.gross.qrs_sensitivity.value == (scored & with_window).sum() / scored.sum()
    assert beats.gross.qrs_predictivity.value == 1


def test_confidence_is_of_the_logits_in_natural_units(long: tuple[Context, Stage]) -> None:
    context, data = long
    (scores,) = scores_of_the_reference(context, data).probabilities
    expected = -np.log(np.exp(5.0) / (np.exp(5.0) + 4))
    assert scores.negative_log_likelihood.value == pytest.approx(expected)
    assert scores.macro_auroc.value == 1


def test_records_within_the_learning_period_are_said_not_to_be_scored(tmp_path: Path) -> None:
    scores = scores_of_the_reference(*prepared(tmp_path, 40))
    assert scores.beats == ()
    assert len(scores.probabilities) == 1
    assert "learning period of 5 minutes" in scores.not_tested[0]
