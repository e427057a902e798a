"""How well a network decides: scores, per patient and per recording, with honest intervals."""

from edgeprune.evaluation.bootstrap import Bootstrap
from edgeprune.evaluation.certificates import certificate_point, spread
from edgeprune.evaluation.decisions import Decisions
from edgeprune.evaluation.scores import LeftOut, compare, evaluate, score, share

__all__ = [
    "Bootstrap",
    "Decisions",
    "LeftOut",
    "certificate_point",
    "compare",
    "evaluate",
    "score",
    "share",
    "spread",
]
