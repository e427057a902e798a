"""The convolutional network that VNN was shown with on scalp EEG (CHB-MIT)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeprune.errors import ModelError


class ChbMitCnn(nn.Module):
    """Two convolutions with long kernels, a pool behind each, and two dense layers.

    Conv 3 x k100, pool 3, conv 5 x k200, pool 3, dense 40, dense: 33,430 parameters for 2048
    samples and two classes, as published (arXiv 2312.09748); without padding and with a stride of
    1 they are just these. Our reading: the pools are of maxima, and the 2048 x 1 samples are the
    two channels of 1024 (4 s at 256 Hz) one after the other. A signal of several channels is joined
    so; one that is joined already comes as a single channel.

    Args:
        signal_shape: Length and channels of the signal.
        classes: Number of logits.
        kernels: Taps of the two convolutions.
        units: Units of the dense layer.

    Raises:
        ModelError: The signal is shorter than the kernels reach.
    """

    def __init__(
        self,
        signal_shape: tuple[int, int],
        classes: int,
        kernels: tuple[int, int] = (100, 200),
        units: int = 40,
    ) -> None:
        super().__init__()
        length, self.channels = signal_shape
        self.conv1 = nn.Conv1d(1, 3, kernels[0])
        self.conv2 = nn.Conv1d(3, 5, kernels[1])
        self.pool = nn.MaxPool1d(3)
        left = length * self.channels
        for kernel in kernels:
            left = (left - kernel + 1) // 3
        if left < 1:
            raise ModelError(
                f"{length} samples of {self.channels} channels are too few for 'chb-mit-cnn'",
                where="model",
                hint="it is made for 2048 samples in all: --model r1 takes fewer",
            )
        self.joint = nn.Linear(5 * left, units)
        self.dense = nn.Linear(units, classes)

    def forward(self, signal: Tensor) -> Tensor:
        """Return logits [n, classes] of signal [n, channels, length]."""
        value = signal
        if self.channels > 1:
            value = torch.cat([value[:, i : i + 1] for i in range(self.channels)], dim=2)
        value = self.pool(self.conv1(value).relu())
        value = self.pool(self.conv2(value).relu())
        logits: Tensor = self.dense(self.joint(value.flatten(1)).relu())
        return logits
