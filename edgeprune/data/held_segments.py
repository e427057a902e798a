"""Segments at the converter, whose raw samples may move: nothing else is remembered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.data.integer_arithmetic import Int8Array, Int16Array, Int64Array
from edgeprune.data.segment_front_end import SegmentFrontEnd
from edgeprune.errors import ConfigurationError
from edgeprune.files import write_bytes
from edgeprune.targets import Adc


@dataclass(frozen=True, eq=False)
class HeldSegments:
    """Segments whose raw samples may move.

    Attributes:
        front_end: What makes the network's input of the samples.
        adc: The converter; its bits bound what a raw sample can be.
        raw: int16 counts [n, length * channels * factor] in that order, so that the `factor`
            samples which become one value of the input are neighbours.
        signal_alone: The network takes nothing but the signal.
    """

    front_end: SegmentFrontEnd
    adc: Adc
    raw: Int16Array
    signal_alone: bool = True

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def samples(self) -> int:
        """Raw values of a window, over all channels."""
        length, channels = self.front_end.signal_shape
        return length * channels * self.front_end.factor

    @property
    def beat_at(self) -> int:
        """Time, in raw samples, that drifts and phases count from: the window's first sample."""
        return 0

    @property
    def gain(self) -> Int64Array:
        """The front end's gain times 2^shift, int64 [n]."""
        return np.full(len(self), self.front_end.gain, np.int64)

    @property
    def count_range(self) -> tuple[int, int]:
        """Least and greatest count that the converter delivers."""
        half = 1 << (self.adc.bits - 1)
        return -half, half - 1

    def inputs(self, raw: Int16Array | None = None) -> tuple[Int8Array, ...]:
        """Return the network's input int8 [n, length, channels], for other raw samples if given."""
        values = self.raw if raw is None else raw
        front_end = self.front_end
        sums = values.reshape(-1, *front_end.signal_shape, front_end.factor)
        return (front_end.scale(sums.sum(axis=3, dtype=np.int64)),)

    def with_intervals(self) -> HeldSegments:
        """Refuse: segments have no beats.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            "RR intervals are of beats, and these are segments of a signal",
            where="verification.perturbations",
            hint="leave 'rr' out",
        )

    def places(self) -> Int64Array:
        """Return the time of each raw value in raw samples from the window's first [size]."""
        length, channels = self.front_end.signal_shape
        grid = np.arange(self.front_end.factor * length).reshape(length, 1, -1)
        return np.asarray(np.broadcast_to(grid, (length, channels, grid.shape[2])).reshape(-1))

    def at_place(self, places: Int64Array) -> Int64Array:
        """Return which raw values lie at other times in their own channels.

        Args:
            places: Times in raw samples from the window's first [..., size], in the order of raw.
        """
        _, channels = self.front_end.signal_shape
        factor = self.front_end.factor
        channel = np.arange(self.samples) // factor % channels
        return np.asarray((places // factor * channels + channel) * factor + places % factor)

    def microvolt_per_lsb(self) -> npt.NDArray[np.float64]:
        """Return what one step of the signal input is at the electrodes [n]."""
        return self.front_end.microvolt_per_lsb(self.gain, self.adc)

    def recorded(self) -> Int16Array:
        """Return the windows as they were recorded, int16 [n, raw samples, channels]."""
        length, channels = self.front_end.signal_shape
        raw = self.raw.reshape(len(self), length, channels, self.front_end.factor)
        return np.ascontiguousarray(raw.transpose(0, 1, 3, 2)).reshape(len(self), -1, channels)

    def select(self, mask: npt.NDArray[np.bool_] | Int64Array | slice) -> HeldSegments:
        """Return the segments of a mask [n], of indices or of a slice."""
        return replace(self, raw=self.raw[mask])

    def save(self, path: Path) -> None:
        """Write to one `.npz` without pickled objects."""
        constants = {"kind": self.front_end.kind, "front_end": asdict(self.front_end)}
        text = json.dumps(constants | {"adc": asdict(self.adc)})
        buffer = BytesIO()
        np.savez(buffer, constants=np.array(text, dtype=np.str_), raw=self.raw)
        write_bytes(path, buffer.getvalue())

    @staticmethod
    def load(path: Path) -> HeldSegments:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as content:
            constants = json.loads(str(content["constants"]))
            front_end = SegmentFrontEnd(**constants["front_end"])
            return HeldSegments(front_end, Adc(**constants["adc"]), content["raw"])


def hold_segments(
    front_end: SegmentFrontEnd, adc: Adc, samples: Int16Array, starts: Int64Array
) -> HeldSegments:
    """Return windows of a recording as raw samples.

    Args:
        front_end: What makes the network's input of them.
        adc: The converter that the samples came from.
        samples: The whole recording, int16 [m, channels].
        starts: First sample of each window [n]; the windows lie within the recording.
    """
    places = starts[:, None] + np.arange(front_end.factor * front_end.length)
    recorded = samples[places].reshape(
        len(starts), front_end.length, front_end.factor, front_end.channels
    )
    raw = np.ascontiguousarray(recorded.transpose(0, 1, 3, 2)).reshape(len(starts), -1)
    return HeldSegments(front_end, adc, raw)


def join_segments(parts: Sequence[HeldSegments]) -> HeldSegments:
    """Return the segments of all parts, which share converter and front end."""
    return replace(parts[0], raw=np.concatenate([part.raw for part in parts]))
