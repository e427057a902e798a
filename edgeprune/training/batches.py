"""The windows of one epoch, drawn in balance and changed as another sensor would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edgeprune.config import TrainingSettings
from edgeprune.training.augmentation import Augmentation
from edgeprune.training.determinism import generator_of
from edgeprune.training.sampling import draw, window_weights

if TYPE_CHECKING:
    from edgeprune.data.front_end import FrontEnd
    from edgeprune.data.windows import Windows


@dataclass(frozen=True)
class Batch:
    """What one step sees, as real numbers.

    Attributes:
        signal: Float [n, channels, length].
        rhythm: Float [n, features].
        label: Int64 [n].
    """

    signal: Tensor
    rhythm: Tensor
    label: Tensor


class BatchSource:
    """Draws the batches of a training.

    Args:
        windows: Training windows.
        front_end: What made them.
        settings: Batch size, balance and augmentation.
        seed: Seed of the training.
    """

    def __init__(
        self, windows: Windows, front_end: FrontEnd, settings: TrainingSettings, seed: int
    ) -> None:
        signal = torch.from_numpy(windows.signal.transpose(0, 2, 1).copy())
        # int16: the zero point may carry a value out of int8, and floats take four times the memory
        self._signal = signal.to(torch.int16) - front_end.signal_zero_point
        rhythm = torch.from_numpy(windows.rhythm.copy()).to(torch.int16)
        self._rhythm = rhythm - front_end.rhythm_zero_point
        self._label = torch.from_numpy(windows.label.copy())
        self._scales = front_end.signal_scale, front_end.rhythm_scale
        self._settings = settings
        self._seed = seed
        self._augmentation = Augmentation()
        self._weights = window_weights(
            windows.label, windows.record, settings.class_mix, settings.record_balance
        )
        drawn = int((self._weights > 0).sum())
        self.steps = max(1, -(-drawn // settings.batch_size))

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of one epoch; the same number yields the same batches."""
        generator = generator_of(self._seed, "batches", number)
        chosen = draw(self._weights, self.steps, self._settings.batch_size, generator)
        for step in range(self.steps):
            mine = chosen[step]
            yield self._finish(
                self._signal[mine].float(), self._rhythm[mine].float(), self._label[mine], generator
            )

    def _finish(
        self, signal: Tensor, rhythm: Tensor, label: Tensor, generator: torch.Generator
    ) -> Batch:
        signal, rhythm = self._augmentation(signal, rhythm, self._settings.augmentation, generator)
        return Batch(signal * self._scales[0], rhythm * self._scales[1], label)
