"""A compact temporal convolutional network for EEG."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class CausalConvolution(nn.Module):
    """A dilated convolution that sees the present and the past only, normalized.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Taps.
        dilation: Samples from one tap to the next.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.before = (kernel - 1) * dilation
        self.conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, value: Tensor) -> Tensor:
        """Return [n, outputs, length] of [n, inputs, length]."""
        normalized: Tensor = self.norm(self.conv(functional.pad(value, (self.before, 0))))
        return normalized


class TcnBlock(nn.Module):
    """Two causal convolutions of one dilation, around which the input is added back.

    Args:
        channels: Channels in and out.
        kernel: Taps of both.
        dilation: Samples from one tap to the next.
        dropout: Share of the values left out in training.
    """

    def __init__(self, channels: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.first = CausalConvolution(channels, channels, kernel, dilation)
        self.second = CausalConvolution(channels, channels, kernel, dilation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, value: Tensor) -> Tensor:
        """Return [n, channels, length] of the same."""
        branch = self.second(self.dropout(self.first(value).relu()))
        result: Tensor = (value + branch).relu()
        return result


class EegTcn(nn.Module):
    """Causal dilated convolutions in residual blocks behind a step that shortens the signal.

    After Bai, Kolter and Koltun (arXiv 1803.01271): dilations that double, two convolutions a
    block, residual sums. A strided convolution first keeps every fourth step, which at 128 Hz or
    256 Hz still holds the EEG's rhythms; four blocks then see 61 of these steps. The mean and the
    maximum of each quarter of the window are read by one dense layer.

    Args:
        signal_shape: Length and channels of the signal.
        classes: Number of logits.
        width: Channels of the feature maps.
        kernel: Taps of the blocks' convolutions.
        dilations: One block each.
        stride: Of the first convolution, whose kernel is twice that and one more.
        pooled: Positions that the window's pools keep.
        dropout: Share left out in training.
    """

    def __init__(
        self,
        signal_shape: tuple[int, int],
        classes: int,
        width: int = 12,
        kernel: int = 3,
        dilations: tuple[int, ...] = (1, 2, 4, 8),
        stride: int = 4,
        pooled: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        length, channels = signal_shape
        stride = max(1, min(stride, length // 16))
        taps = 2 * stride + 1
        self.stem = nn.Conv1d(channels, width, taps, stride, taps // 2, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.blocks = nn.ModuleList(TcnBlock(width, kernel, each, dropout) for each in dilations)
        steps = (length - 1) // stride + 1
        size = max(1, steps // pooled)
        self.mean = nn.AvgPool1d(size)
        self.peak = nn.MaxPool1d(size)
        self.dense = nn.Linear(2 * width * (steps // size), classes)

    def forward(self, signal: Tensor) -> Tensor:
        """Return logits [n, classes] of signal [n, channels, length]."""
        value = self.norm(self.stem(signal)).relu()
        for block in self.blocks:
            value = block(value)
        pooled = torch.cat((self.mean(value), self.peak(value)), dim=1)
        logits: Tensor = self.dense(pooled.flatten(1))
        return logits
