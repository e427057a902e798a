"""The reference ECG classifier: a compact residual 1-D CNN that also sees the rhythm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_POOL = 4
_HALVINGS = 3


class ConvolutionNorm(nn.Module):
    """A convolution that keeps the length (or halves it), normalized, with or without a ReLU.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Odd.
        stride: 1 or 2.
        rectified: Whether a ReLU follows.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, rectified: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm1d(outputs)
        self.rectified = rectified

    def forward(self, value: Tensor) -> Tensor:
        """Return [n, outputs, length / stride] of [n, inputs, length]."""
        result: Tensor = self.norm(self.conv(value))
        return result.relu() if self.rectified else result


class ResidualBlock(nn.Module):
    """Two convolutions around which the input is added back.

    Args:
        channels: Channels in and out.
        kernel: Kernel of both, odd.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.first = ConvolutionNorm(channels, channels, kernel)
        self.second = ConvolutionNorm(channels, channels, kernel, rectified=False)

    def forward(self, value: Tensor) -> Tensor:
        """Return [n, channels, length] of the same."""
        result: Tensor = value + self.second(self.first(value))
        return result.relu()


class ResidualEcg(nn.Module):
    """Three stages, each a convolution that halves the length and a residual block.

    Averages of four positions keep where in the beat something was; they are joined with the
    features of the rhythm in two dense layers.

    Args:
        signal_shape: Length (at least 8) and channels of the signal.
        rhythm_features: Features of the rhythm.
        classes: Number of logits.
        widths: Channels of each stage.
        kernel: Kernel of all convolutions but the first, whose is 7.
        rhythm_units: Units of the layer that reads the rhythm.
        joint_units: Units of the layer that joins both.
        dropout: Share of the joined features left out in training.
    """

    def __init__(
        self,
        signal_shape: tuple[int, int],
        rhythm_features: int,
        classes: int,
        widths: tuple[int, int, int] = (16, 24, 32),
        kernel: int = 5,
        rhythm_units: int = 32,
        joint_units: int = 48,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        length, channels = signal_shape
        self.stage1 = ConvolutionNorm(channels, widths[0], 7, 2)
        self.block1 = ResidualBlock(widths[0], kernel)
        self.stage2 = ConvolutionNorm(widths[0], widths[1], kernel, 2)
        self.block2 = ResidualBlock(widths[1], kernel)
        self.stage3 = ConvolutionNorm(widths[1], widths[2], kernel, 2)
        self.block3 = ResidualBlock(widths[2], kernel)
        for _ in range(_HALVINGS):
            length = (length + 1) // 2
        self.pool = nn.AvgPool1d(min(_POOL, length))
        positions = max(1, length // _POOL)
        self.rhythm = nn.Linear(rhythm_features, rhythm_units)
        self.dropout = nn.Dropout(dropout)
        self.joint = nn.Linear(positions * widths[2] + rhythm_units, joint_units)
        self.dense = nn.Linear(joint_units, classes)

    def forward(self, signal: Tensor, rhythm: Tensor) -> Tensor:
        """Return logits [n, classes] of signal [n, channels, length] and rhythm [n, features]."""
        value = self.block1(self.stage1(signal))
        value = self.block2(self.stage2(value))
        value = self.block3(self.stage3(value))
        shape = self.pool(value).flatten(1)
        joined = torch.cat((shape, self.rhythm(rhythm).relu()), dim=1)
        logits: Tensor = self.dense(self.joint(self.dropout(joined)).relu())
        return logits
