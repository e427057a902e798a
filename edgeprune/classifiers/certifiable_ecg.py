"""An ECG classifier whose decisions can be proved: shallow, and wide where the signal enters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_FORM_FEATURES = 3


class CertifiableEcg(nn.Module):
    """Few convolutions, a rhythm layer, and two dense layers that join them.

    Interval bounds lose at every layer but the first, whose bound is exact for what a perturbation
    at the converter can be. No normalization: it would scale the bounds with the weights. No
    padding: outputs at the ends would see a change that their neighbours see in part. The last
    rhythm features are logarithms of energies of the signal: a small change of the signal moves
    them far where there is little energy, so that they are left out unless asked for. With them
    more ventricular beats are proved, and fewer supraventricular ones.

    Args:
        signal_shape: Length and channels of the signal.
        rhythm_features: Features of the rhythm, those of the beat's form last.
        classes: Number of logits.
        convolutions: Channels, kernel and stride of each convolution.
        rhythm_units: Units of the layer that reads the rhythm.
        joint_units: Units of the layer that joins both.
        form: Whether the features of the beat's form are read.
    """

    def __init__(
        self,
        signal_shape: tuple[int, int],
        rhythm_features: int,
        classes: int,
        convolutions: tuple[tuple[int, int, int], ...] = ((16, 7, 2), (24, 5, 2), (32, 5, 2)),
        rhythm_units: int = 32,
        joint_units: int = 48,
        *,
        form: bool = False,
    ) -> None:
        super().__init__()
        length, inputs = signal_shape
        layers = []
        for channels, kernel, stride in convolutions:
            taps = min(kernel, length)
            layers.append(nn.Conv1d(inputs, channels, taps, stride))
            length, inputs = (length - taps) // stride + 1, channels
        self.convolutions = nn.ModuleList(layers)
        self.form = form
        self.read = rhythm_features if form else max(1, rhythm_features - _FORM_FEATURES)
        self.rhythm = nn.Linear(self.read, rhythm_units)
        self.joint = nn.Linear(length * inputs + rhythm_units, joint_units)
        self.dense = nn.Linear(joint_units, classes)

    def forward(self, signal: Tensor, rhythm: Tensor) -> Tensor:
        """Return logits [n, classes] of signal [n, channels, length] and rhythm [n, features]."""
        value = signal
        for convolution in self.convolutions:
            value = convolution(value).relu()
        read = rhythm if self.form else rhythm[:, : self.read]
        joined = torch.cat((value.flatten(1), self.rhythm(read).relu()), dim=1)
        logits: Tensor = self.dense(self.joint(joined).relu())
        return logits
