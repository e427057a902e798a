"""The classifiers edgeprune knows by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from edgeprune.classifiers.certifiable_ecg import CertifiableEcg
from edgeprune.classifiers.chb_mit_cnn import ChbMitCnn
from edgeprune.classifiers.eeg_tcn import EegTcn
from edgeprune.classifiers.eegnet import EegNet
from edgeprune.classifiers.r1 import R1
from edgeprune.classifiers.residual_ecg import ResidualEcg
from edgeprune.classifiers.user import load_user_classifier
from edgeprune.registry import Registry


@dataclass(frozen=True)
class ClassifierSpec:
    """What a classifier is built from.

    Attributes:
        name: A registered name, a user's `package.module:factory`, or a float ONNX file.
        signal_shape: Length and channels of the signal.
        rhythm_features: Features of the rhythm input.
        classes: Number of logits.
    """

    name: str
    signal_shape: tuple[int, int]
    rhythm_features: int
    classes: int

    @property
    def is_user_defined(self) -> bool:
        """Whether building it imports a user's module or reads a user's file."""
        return ":" in self.name or self.is_file

    @property
    def is_file(self) -> bool:
        """Whether it is a float ONNX file."""
        return self.name.endswith(".onnx")


CLASSIFIERS: Registry[Callable[[ClassifierSpec], nn.Module]] = Registry("classifier")
CLASSIFIERS.add(
    "residual-ecg",
    lambda spec: ResidualEcg(spec.signal_shape, spec.rhythm_features, spec.classes),
)
CLASSIFIERS.add(
    "residual-ecg-small",
    lambda spec: ResidualEcg(
        spec.signal_shape, spec.rhythm_features, spec.classes, widths=(12, 16, 24), kernel=3
    ),
)
CLASSIFIERS.add(
    "certifiable-ecg",
    lambda spec: CertifiableEcg(spec.signal_shape, spec.rhythm_features, spec.classes),
)
CLASSIFIERS.add(
    "certifiable-ecg-form",
    lambda spec: CertifiableEcg(spec.signal_shape, spec.rhythm_features, spec.classes, form=True),
)
CLASSIFIERS.add("chb-mit-cnn", lambda spec: ChbMitCnn(spec.signal_shape, spec.classes))
CLASSIFIERS.add("eegnet", lambda spec: EegNet(spec.signal_shape, spec.classes))
CLASSIFIERS.add("eeg-tcn", lambda spec: EegTcn(spec.signal_shape, spec.classes))
CLASSIFIERS.add("r1", lambda spec: R1(spec.signal_shape[1], spec.classes))


def create(
    name: str, signal_shape: tuple[int, int], rhythm_features: int, classes: int, seed: int
) -> nn.Module:
    """Build a classifier with weights drawn from `seed`; the global generator is left as it was.

    Args:
        name: A registered name, or a user's `package.module:factory`.
        signal_shape: Length and channels of the signal.
        rhythm_features: Features of the rhythm input.
        classes: Number of logits.
        seed: Seed of the initial weights.

    Raises:
        UnknownNameError: No classifier has that name.
        ModelError: A user's factory cannot be imported or does not make a module.
    """
    spec = ClassifierSpec(name, signal_shape, rhythm_features, classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if spec.is_file:
            from edgeprune.classifiers.onnx_import import load_onnx_classifier

            return load_onnx_classifier(Path(name), signal_shape, rhythm_features)
        if spec.is_user_defined:
            return load_user_classifier(
                name, signal_shape=signal_shape, rhythm_features=rhythm_features, classes=classes
            )
        return CLASSIFIERS.get(name)(spec)
