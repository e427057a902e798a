"""An ECG classifier whose decisions can be proved: shallow, and wide where the signal enters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_FORM_FEATURES = 3


class CertifiableEcg(nn.Module):
    """One convolution with a long kernel, a rhythm layer, and two dense layers that join them.

    Interval bounds lose at every layer but the first, whose bound is exact for what a perturbation
    at the converter can be; so that the first does the most. No normalization: it would scale the
    bounds with the weights. The last rhythm features are logarithms of energies of the signal; a
    change that is small in the signal can move them far where there is little energy, so that
    they are left out.

    Args:
        signal_shape: Length and channels of the signal.
        rhythm_features: Features of the rhythm, those of the beat's form last.
        classes: Number of logits.
        channels: Channels of the convolution.
        kernel: Samples of its kernel.
        stride: Samples between its positions.
        rhythm_units: Units of the layer that reads the rhythm.
        joint_units: Units of the layer that joins both.
    """

    def __init__(
        self,
        signal_shape: tuple[int, int],
        rhythm_features: int,
        classes: int,
        channels: int = 32,
        kernel: int = 15,
        stride: int = 4,
        rhythm_units: int = 32,
        joint_units: int = 48,
    ) -> None:
        super().__init__()
        length, inputs = signal_shape
        kernel = min(kernel, length)
        positions = (length - kernel) // stride + 1
        self.read = max(1, rhythm_features - _FORM_FEATURES)
        self.conv = nn.Conv1d(inputs, channels, kernel, stride)
        self.rhythm = nn.Linear(self.read, rhythm_units)
        self.joint = nn.Linear(positions * channels + rhythm_units, joint_units)
        self.dense = nn.Linear(joint_units, classes)

    def forward(self, signal: Tensor, rhythm: Tensor) -> Tensor:
        """Return logits [n, classes] of signal [n, channels, length] and rhythm [n, features]."""
        shape = self.conv(signal).relu().flatten(1)
        joined = torch.cat((shape, self.rhythm(rhythm[:, : self.read]).relu()), dim=1)
        logits: Tensor = self.dense(self.joint(joined).relu())
        return logits
