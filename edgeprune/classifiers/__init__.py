"""Classifiers: the ones edgeprune trains, and a user's own; their state without pickle.

A classifier is a `torch.nn.Module` called as `model(signal, rhythm)` or `model(signal)`, with
signal float [n, channels, length] and rhythm float [n, features]; it returns logits [n, classes].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprune.late import late_names

if TYPE_CHECKING:
    from edgeprune.classifiers.catalogue import CLASSIFIERS, ClassifierSpec, create
    from edgeprune.classifiers.finite import check_finite
    from edgeprune.classifiers.forward import deciding, example_inputs, logits_of, takes_rhythm
    from edgeprune.classifiers.state import load_classifier, save_classifier
    from edgeprune.classifiers.user import load_user_classifier, load_weights

_HOMES = {
    "CLASSIFIERS": "catalogue",
    "ClassifierSpec": "catalogue",
    "create": "catalogue",
    "deciding": "forward",
    "example_inputs": "forward",
    "logits_of": "forward",
    "takes_rhythm": "forward",
    "check_finite": "finite",
    "load_classifier": "state",
    "save_classifier": "state",
    "load_user_classifier": "user",
    "load_weights": "user",
}

__all__ = [
    "CLASSIFIERS",
    "ClassifierSpec",
    "check_finite",
    "create",
    "deciding",
    "example_inputs",
    "load_classifier",
    "load_user_classifier",
    "load_weights",
    "logits_of",
    "save_classifier",
    "takes_rhythm",
]

__getattr__ = late_names(__name__, _HOMES)
