"""R1, the plain network whose firmware figures are known."""

from __future__ import annotations

from torch import Tensor, nn


class R1(nn.Module):
    """Four convolutions, a global average and a dense layer; the rhythm is not used.

    For one channel of 256 samples and five classes it has 866,624 multiply-accumulates, whatever
    the weights are: conv k7 s2 to 16, k5 to 32, pool, k5 to 32, pool, k3 to 64, mean, dense.

    Args:
        channels: Channels of the signal.
        classes: Number of logits.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, 16, 7, stride=2, padding=3, bias=False)
        self.norm1 = nn.BatchNorm1d(16)
        self.conv2 = nn.Conv1d(16, 32, 5, padding=2, bias=False)
        self.norm2 = nn.BatchNorm1d(32)
        self.conv3 = nn.Conv1d(32, 32, 5, padding=2, bias=False)
        self.norm3 = nn.BatchNorm1d(32)
        self.conv4 = nn.Conv1d(32, 64, 3, padding=1, bias=False)
        self.norm4 = nn.BatchNorm1d(64)
        self.pool = nn.MaxPool1d(2)
        self.mean = nn.AdaptiveAvgPool1d(1)
        self.dense = nn.Linear(64, classes)

    def forward(self, signal: Tensor) -> Tensor:
        """Return logits [n, classes] of signal [n, channels, length]."""
        value = self.norm1(self.conv1(signal)).relu()
        value = self.pool(self.norm2(self.conv2(value)).relu())
        value = self.pool(self.norm3(self.conv3(value)).relu())
        value = self.norm4(self.conv4(value)).relu()
        logits: Tensor = self.dense(self.mean(value).flatten(1))
        return logits
