"""The reference ECG classifier: a compact residual 1-D CNN that also sees the rhythm."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two convolutions around which the input is added back; halves the length where it widens.

    Args:
        inputs: Channels in.
        outputs: Channels out; where they differ from `inputs` the shortcut is a convolution too.
        kernel: Kernel of both convolutions, odd.
        stride: Stride of the first convolution and of the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        half = kernel // 2
        self.conv1 = nn.Conv1d(inputs, outputs, kernel, stride=stride, padding=half, bias=False)
        self.norm1 = nn.BatchNorm1d(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, kernel, padding=half, bias=False)
        self.norm2 = nn.BatchNorm1d(outputs)
        self.shortcut: nn.Module | None = None
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Conv1d(inputs, outputs, 1, stride=stride)

    def forward(self, value: Tensor) -> Tensor:
        """Return [n, outputs, length / stride] of [n, inputs, length]."""
        change = self.norm2(self.conv2(self.norm1(self.conv1(value)).relu()))
        kept = value if self.shortcut is None else self.shortcut(value)
        result: Tensor = (kept + change).relu()
        return result


class ResidualEcg(nn.Module):
    """Stem, residual blocks and a global average of the signal, joined with the rhythm.

    Args:
        channels: Channels of the signal.
        rhythm_features: Rhythm features a window.
        classes: Number of logits.
        widths: Channels of each stage; the first is the stem's.
        hidden: Units of the dense layer that joins signal and rhythm.
    """

    def __init__(
        self,
        channels: int,
        rhythm_features: int,
        classes: int,
        widths: tuple[int, ...] = (16, 24, 32),
        hidden: int = 32,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv1d(channels, widths[0], 7, stride=2, padding=3, bias=False)
        self.stem_norm = nn.BatchNorm1d(widths[0])
        self.blocks = nn.Sequential(
            ResidualBlock(widths[0], widths[0], 5, 1),
            *(ResidualBlock(narrow, wide, 5, 2) for narrow, wide in pairwise(widths)),
        )
        self.mean = nn.AdaptiveAvgPool1d(1)
        self.rhythm = nn.Linear(rhythm_features, hidden // 2)
        self.joint = nn.Linear(widths[-1] + hidden // 2, hidden)
        self.dense = nn.Linear(hidden, classes)

    def forward(self, signal: Tensor, rhythm: Tensor) -> Tensor:
        """Return logits [n, classes] of signal [n, channels, length] and rhythm [n, features]."""
        value = self.blocks(self.stem_norm(self.stem(signal)).relu())
        shape = self.mean(value).flatten(1)
        joined = torch.cat((shape, self.rhythm(rhythm).relu()), dim=1)
        logits: Tensor = self.dense(self.joint(joined).relu())
        return logits
