"""How well a network decides: scores, per patient and per recording, with honest intervals."""

from edgeprune.evaluation.bootstrap import Bootstrap
from edgeprune.evaluation.certificates import (
    Found,
    perturbation_certificates,
    radius_of,
    right_share,
    spread,
)
from edgeprune.evaluation.decisions import Decisions
from edgeprune.evaluation.scores import LeftOut, compare, evaluate, score, share

__all__ = [
    "Bootstrap",
    "Decisions",
    "Found",
    "LeftOut",
    "compare",
    "evaluate",
    "perturbation_certificates",
    "radius_of",
    "right_share",
    "score",
    "share",
    "spread",
]
