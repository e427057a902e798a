"""EEGNet: filters in time, weights of the electrodes for each, and a separable convolution."""

from __future__ import annotations

from torch import Tensor, nn

from edgeprune.errors import ModelError

_POOLS = (4, 8)
_SEPARABLE = 16


class EegNet(nn.Module):
    """The compact network for EEG of Lawhern et al. (J. Neural Eng. 15, 056013, 2018), table 2.

    F1 filters over time see every electrode alone; behind each, D weighted sums over all electrodes
    (a depthwise convolution over the height of the map) take its place; pools of 4 and, after a
    separable convolution of 16 samples to F2 channels, of 8. EEGNet-8,2 of the paper has F1 = 8,
    D = 2 and F2 = 16. Convolutions over time are padded by half their kernel on both sides (as
    Braindecode does; the paper's "same" is one sample less where a kernel is even). The paper's
    limits of the weights' norms are a matter of training and left out.

    Args:
        signal_shape: Length and channels of the signal; the channels are the electrodes.
        classes: Number of logits.
        temporal_filters: F1.
        spatial_filters: D, weighted sums of the electrodes for each filter over time.
        pointwise_filters: F2; F1 * D where None.
        kernel: Samples of the filters over time: half the sampling rate in the paper.
        dropout: Probability of dropout behind both pools, in training.

    Raises:
        ModelError: The signal is shorter than the pools reach.
    """

    def __init__(
        self,
        signal_shape: tuple[int, int],
        classes: int,
        temporal_filters: int = 8,
        spatial_filters: int = 2,
        pointwise_filters: int | None = None,
        kernel: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        length, electrodes = signal_shape
        if length < _POOLS[0] * _POOLS[1]:
            raise ModelError(
                f"{length} samples are too few for 'eegnet'",
                where="model",
                hint=f"its pools take {_POOLS[0] * _POOLS[1]} samples for one feature",
            )
        wide = temporal_filters * spatial_filters
        out = wide if pointwise_filters is None else pointwise_filters
        self.temporal = nn.Conv2d(
            1, temporal_filters, (1, kernel), padding=(0, kernel // 2), bias=False
        )
        self.temporal_norm = nn.BatchNorm2d(temporal_filters)
        self.spatial = nn.Conv2d(
            temporal_filters, wide, (electrodes, 1), groups=temporal_filters, bias=False
        )
        self.spatial_norm = nn.BatchNorm2d(wide)
        self.first_pool = nn.AvgPool2d((1, _POOLS[0]))
        self.separable = nn.Conv2d(
            wide, wide, (1, _SEPARABLE), padding=(0, _SEPARABLE // 2), groups=wide, bias=False
        )
        self.pointwise = nn.Conv2d(wide, out, 1, bias=False)
        self.pointwise_norm = nn.BatchNorm2d(out)
        self.second_pool = nn.AvgPool2d((1, _POOLS[1]))
        self.activation = nn.ELU()
        self.dropout = nn.Dropout(dropout)
        # An even kernel with half of it on both sides gives one sample more than there were.
        more = 1 - kernel % 2
        left = ((length + more) // _POOLS[0] + 1) // _POOLS[1]
        self.dense = nn.Linear(out * left, classes)

    def forward(self, signal: Tensor) -> Tensor:
        """Return logits [n, classes] of signal [n, channels, length]."""
        value = self.temporal_norm(self.temporal(signal.unsqueeze(1)))
        value = self.activation(self.spatial_norm(self.spatial(value)))
        value = self.dropout(self.first_pool(value))
        value = self.pointwise_norm(self.pointwise(self.separable(value)))
        value = self.dropout(self.second_pool(self.activation(value)))
        logits: Tensor = self.dense(value.flatten(1))
        return logits
