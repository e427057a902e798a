"""How well a network decides: scores, per patient and per recording, with honest intervals."""

from edgeprune.evaluation.beat_pairs import (
    AnnotatedBeats,
    DetectedBeats,
    reference_of,
    standard_labels,
)
from edgeprune.evaluation.bootstrap import Bootstrap
from edgeprune.evaluation.certificates import (
    Found,
    perturbation_certificates,
    radius_of,
    right_share,
    spread,
)
from edgeprune.evaluation.decisions import Decisions, decisions_of
from edgeprune.evaluation.ec57 import classified_windows, ec57_scores
from edgeprune.evaluation.guard import Guard, guard_evidence
from edgeprune.evaluation.privacy import withhold
from edgeprune.evaluation.probabilities import INTEGER_SOURCE, probability_scores
from edgeprune.evaluation.scores import LeftOut, compare, evaluate, score, share
from edgeprune.evaluation.seizure_events import SeizureAnnotations, seizure_scores

__all__ = [
    "INTEGER_SOURCE",
    "AnnotatedBeats",
    "Bootstrap",
    "Decisions",
    "DetectedBeats",
    "Found",
    "Guard",
    "LeftOut",
    "SeizureAnnotations",
    "classified_windows",
    "compare",
    "decisions_of",
    "ec57_scores",
    "evaluate",
    "guard_evidence",
    "perturbation_certificates",
    "probability_scores",
    "radius_of",
    "reference_of",
    "right_share",
    "score",
    "seizure_scores",
    "share",
    "spread",
    "standard_labels",
    "withhold",
]
