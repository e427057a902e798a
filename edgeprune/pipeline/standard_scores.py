"""Scores by standards: EC57 beat by beat, and what the network's confidence is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.data import Windows
from edgeprune.evaluation import (
    INTEGER_SOURCE,
    Bootstrap,
    classified_windows,
    decisions_of,
    ec57_scores,
    probability_scores,
)
from edgeprune.evaluation.beat_pairs import CLASSES, LEARNING_SECONDS
from edgeprune.evidence import BeatScores, ProbabilityScores
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.recordings import references_of
from edgeprune.pipeline.store import Stage

_BEATS = "beat by beat by ANSI/AAMI EC57"
_ESCAPES = (
    "Atrial and junctional escape beats are of class N, as in de Chazal 2004; WFDB's bxb counts "
    "them as S."
)


@dataclass(frozen=True)
class StandardScores:
    """Scores by standards.

    Attributes:
        beats: Beat-by-beat scores; none where the standard does not apply.
        probabilities: Confidence.
        not_tested: What could not be scored and why, in words.
    """

    beats: tuple[BeatScores, ...]
    probabilities: tuple[ProbabilityScores, ...]
    not_tested: tuple[str, ...] = ()


def standard_scores(
    context: Context,
    data: Stage,
    windows: Windows,
    stage: str,
    network: IntegerNetwork,
    logits: npt.NDArray[np.integer[Any]],
) -> StandardScores:
    """Score an integer network on all windows of one part.

    Args:
        context: The build.
        data: The data stage.
        windows: All windows of the validation or test part.
        stage: The stage of the network, e.g. "int8 as flashed".
        network: The network.
        logits: Its logits of the windows, int8 [n, K].

    Raises:
        DataError: The data stage has no annotations of a recording.
    """
    bootstrap = Bootstrap(context.seed)
    decisions = decisions_of(windows, logits.argmax(axis=1))
    natural = network.output_tensor.dequantize(logits)
    probabilities = probability_scores(stage, "test", decisions, natural, bootstrap, INTEGER_SOURCE)
    if context.card.window is not None:
        reason = f"{_BEATS}: the windows are segments and no beats"
        return StandardScores((), (probabilities,), (reason,))
    unknown = set(windows.class_names) - set(CLASSES)
    if unknown:
        reason = f"{_BEATS}: it has no class {', '.join(sorted(unknown))}"
        return StandardScores((), (probabilities,), (reason,))
    references = references_of(context, data, windows)
    if all(each.samples <= LEARNING_SECONDS * each.rate_hz for each in references):
        reason = f"{_BEATS}: no recording is longer than its learning period of 5 minutes"
        return StandardScores((), (probabilities,), (reason,))
    escapes = {"e", "j"} & set(context.card.labels.get("N", ()))
    beats = ec57_scores(
        stage,
        "test",
        references,
        classified_windows(decisions, windows.beat),
        bootstrap,
        notes=(_ESCAPES,) if escapes else (),
    )
    return StandardScores((beats,), (probabilities,))
