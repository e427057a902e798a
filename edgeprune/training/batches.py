"""The windows of one epoch, drawn in balance and changed as another sensor would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from edgeprune.config import TrainingSettings
from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.training.augmentation import Augmentation
from edgeprune.training.beats import BeatMixer, Beats, can_mix
from edgeprune.training.determinism import generator_of
from edgeprune.training.sampling import draw, window_weights
from edgeprune.training.segments import SegmentAugmentation

if TYPE_CHECKING:
    from edgeprune.data.front_end import BeatFrontEnd
    from edgeprune.data.front_ends import FrontEnd
    from edgeprune.data.windows import Windows

_RARE = 0.05  # share of the gains beyond either end


@dataclass(frozen=True)
class Batch:
    """What one step sees, as real numbers.

    Attributes:
        signal: Float [n, channels, length].
        rhythm: Float [n, features].
        label: Int64 [n].
        gain: The front end's gain times 2^14 that each window is given, float [n]: log-uniform
            over what the training windows have, whatever patient the shape is of.
    """

    signal: Tensor
    rhythm: Tensor
    label: Tensor
    gain: Tensor


class BatchSource:
    """Draws the batches of a training.

    Args:
        windows: Training windows.
        front_end: What made them.
        settings: Batch size, balance, mixing and augmentation.
        seed: Seed of the training.
    """

    def __init__(
        self, windows: Windows, front_end: FrontEnd, settings: TrainingSettings, seed: int
    ) -> None:
        signal = torch.from_numpy(windows.signal.transpose(0, 2, 1).copy()).to(torch.int16)
        rhythm = torch.from_numpy(windows.rhythm.copy()).to(torch.int16)
        self._beats = Beats(
            signal - front_end.signal_zero_point,
            rhythm - front_end.rhythm_zero_point,
            torch.from_numpy(windows.label.copy()),
        )
        self._scales = front_end.signal_scale, front_end.rhythm_scale
        self._settings = settings
        self._seed = seed
        self._augmentation: Augmentation | SegmentAugmentation = SegmentAugmentation()
        self._gains = _usual_gains(windows)
        self._weights = window_weights(
            windows.label,
            windows.record,
            by_class(settings.class_mix, windows.class_names),
            settings.record_balance,
        )
        self._mixer: BeatMixer | None = None
        if not isinstance(front_end, SegmentFrontEnd):
            of_beats = cast("BeatFrontEnd", front_end)
            self._augmentation = Augmentation(center=of_beats.before)
            if can_mix(windows):
                self._mixer = BeatMixer(
                    windows, of_beats, self._beats, self._weights, settings, seed
                )

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return self._settings.epoch_steps

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of one epoch; the same number yields the same batches."""
        generator = generator_of(self._seed, "batches", number)
        # Of its own, so that natural and robust trainings see the same windows.
        gains = generator_of(self._seed, "gains", number)
        for beats in self._drawn(generator):
            signal, rhythm = self._augmentation(
                beats.signal, beats.rhythm, self._settings.augmentation, generator
            )
            share = torch.rand(len(beats.label), generator=gains)
            low, high = self._gains
            yield Batch(
                signal * self._scales[0],
                rhythm * self._scales[1],
                beats.label,
                low * (high / low) ** share,
            )

    def _drawn(self, generator: torch.Generator) -> Iterator[Beats]:
        if self._mixer is not None:
            draws = self._mixer.plan(self.steps, generator)
            for step in range(self.steps):
                yield self._mixer.step(draws, step, generator)
            return
        chosen = draw(self._weights, self.steps, self._settings.batch_size, generator)
        for windows in chosen:
            yield Beats(
                self._beats.signal[windows].float(),
                self._beats.rhythm[windows].float(),
                self._beats.label[windows],
            )


def _usual_gains(windows: Windows) -> tuple[float, float]:
    """Return the gains between which nearly all windows lie, every record counting alike."""
    if not len(windows.gain):
        return 1.0, 1.0
    sizes = np.bincount(windows.record)
    order = np.argsort(windows.gain, kind="stable")
    share = np.cumsum(1 / sizes[windows.record[order]])
    low, high = np.searchsorted(share / share[-1], (_RARE, 1 - _RARE))
    return float(windows.gain[order[low]]), float(windows.gain[order[high]])


def by_class(given: Mapping[str, float], names: tuple[str, ...]) -> tuple[float, ...]:
    """Return the values of a table by class name in class order, 0 for classes it does not name.

    A table that names none of the classes is of another data set: it gives nothing.
    """
    if not set(given) & set(names):
        return ()
    return tuple(given.get(name, 0.0) for name in names)
