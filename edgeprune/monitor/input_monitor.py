"""What the device checks of a window before it decides: the specification, in integers.

Four questions, cheap ones first:

1. Saturated: how many samples lie at an end of the range.
2. Flat: is there a block of samples with next to no range (a lead that is off).
3. Unusual: the roughness (sum of absolute second differences) of each zone of the window, as a
   logarithm, is held against its mean and its spread over the training windows that the network
   decided alike. The score is a Mahalanobis distance with a diagonal covariance (Lee et al. 2018,
   "A simple unified framework for detecting out-of-distribution samples", there of a network's
   activations and with a full covariance). On MIT-BIH with recorded noise it left fewer errors,
   beside a limit of the margin, than distances of the last hidden layer, and more features of the
   window left no fewer.
4. Low margin: the two largest logits lie too near each other.

The first two look at the raw samples of the window proper where a front end has them, else at the
int8 signal. The C of the device (firmware_export/runtime/edgeprune_monitor.c) computes the same to
the bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeprune.data.held_front_end import HeldBeats
from edgeprune.data.integer_arithmetic import Int8Array, Int16Array, Int64Array, integer_log
from edgeprune.monitor.reasons import Reason, Reasons

Samples = Int8Array | Int16Array

# Added to every sum before its logarithm: below this, differences mean nothing.
FLOOR = 8
# Larger deviations from a mean count as this (in 1/32 octave): a term stays within 32 bits.
MOST_DEVIATION = 255
# 2^WEIGHT_BITS over the variance is a weight; terms are shifted by TERM_SHIFT before they add up.
WEIGHT_BITS = 14
TERM_SHIFT = 6
# A sum must stay below this for its logarithm.
MOST_SUM = 1 << 27


@dataclass(frozen=True)
class SampleLimits:
    """What samples do where a lead is off or an amplifier is at its end.

    Attributes:
        count: Samples of each channel that are looked at.
        low: A sample at or below this is at a rail.
        high: A sample at or above this is at a rail.
        rail_samples: Samples at a rail, of all channels, from which the window is saturated.
        block: Samples of a block; what is left behind the last whole one is not looked at.
        flat_range: Greatest range of a flat block.
        flat_blocks: Flat blocks of a channel from which the window is flat.
    """

    count: int
    low: int
    high: int
    rail_samples: int
    block: int
    flat_range: int
    flat_blocks: int

    @property
    def blocks(self) -> int:
        """Whole blocks of a channel."""
        return self.count // self.block

    def rails(self, samples: Samples) -> Int64Array:
        """Count the samples at a rail of windows [n, count, channels]."""
        at_rail = (samples <= self.low) | (samples >= self.high)
        return np.asarray(at_rail.sum(axis=(1, 2)), dtype=np.int64)

    def flats(self, samples: Samples) -> Int64Array:
        """Count the flat blocks of windows [n, count, channels]; the channel with most counts."""
        n, _, channels = samples.shape
        used = samples[:, : self.blocks * self.block].astype(np.int64)
        blocks = used.reshape(n, self.blocks, self.block, channels)
        flat = np.ptp(blocks, axis=2) <= self.flat_range
        return np.asarray(flat.sum(axis=1).max(axis=1), dtype=np.int64)

    def verdicts(self, samples: Samples) -> Reasons:
        """Return SATURATED and FLAT of windows [n, count, channels] as uint8 [n]."""
        saturated = self.rails(samples) >= self.rail_samples
        flat = self.flats(samples) >= self.flat_blocks
        return (saturated * Reason.SATURATED + flat * Reason.FLAT).astype(np.uint8)


@dataclass(frozen=True)
class InputMonitor:
    """The monitor's integers; `verdicts` is the specification.

    Attributes:
        length: Samples of the int8 signal.
        channels: Its channels.
        read: Its leading channels that the score reads.
        zones: First sample of each zone, and the signal's length.
        centres: Mean of each feature per decided class [classes][zones].
        weights: 2^14 over its variance, likewise.
        unusual: Greatest score of a usual window.
        margin: Least difference of the two largest logits, in LSB.
        samples: Limits of the raw samples, or of the int8 signal.
        raw_before: Raw samples before the beat's own from which `samples` are looked at; None
            where those are the int8 signal's.
    """

    length: int
    channels: int
    read: int
    zones: tuple[int, ...]
    centres: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[int, ...], ...]
    unusual: int
    margin: int
    samples: SampleLimits
    raw_before: int | None

    @property
    def classes(self) -> int:
        """Classes that the network tells apart."""
        return len(self.centres)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What each feature of the score is."""
        zones = zip(self.zones, self.zones[1:], strict=False)
        return tuple(f"log roughness of samples {first} to {end - 1}" for first, end in zones)

    def verdicts(
        self, signal: Int8Array, logits: Int8Array, raw: Int16Array | None = None
    ) -> Reasons:
        """Return why each window should get no decision; 0 where it should.

        Args:
            signal: int8 [n, length, channels], or [n, features] of a network without a time axis.
            logits: int8 [n, classes], what the network made of it.
            raw: What `raw_of` returns. Without them a monitor of raw samples finds nothing
                saturated and nothing flat, as a device that was handed ready windows.

        Returns:
            `Reason` bits, uint8 [n].
        """
        found = self.score(signal, logits) > self.unusual
        reasons = (found * Reason.UNUSUAL).astype(np.uint8)
        reasons |= ((margins(logits) < self.margin) * Reason.LOW_MARGIN).astype(np.uint8)
        if self.raw_before is None:
            reasons |= self.samples.verdicts(self._rows(signal))
        elif raw is not None:
            reasons |= self.samples.verdicts(raw[:, :, None])
        return reasons

    def raw_of(self, held: HeldBeats) -> Int16Array:
        """Return the raw samples that the monitor looks at, int16 [n, samples.count].

        Raises:
            ValueError: The monitor looks at the int8 signal.
        """
        if self.raw_before is None:
            raise ValueError("this monitor was fitted without a front end")
        first = held.beat_at - self.raw_before
        return held.raw[:, first : first + self.samples.count]

    def features(self, signal: Int8Array) -> Int64Array:
        """Return the roughness of every zone in 1/32 octave, int64 [n, zones].

        Args:
            signal: int8 [n, length, channels] or [n, features].
        """
        rows = self._rows(signal)[:, :, : self.read].astype(np.int64)
        # At its ends the signal is held.
        wide = np.pad(rows, ((0, 0), (1, 1), (0, 0)), mode="edge")
        rough = np.abs(wide[:, 2:] - 2 * rows + wide[:, :-2]).sum(axis=2)
        return integer_log(np.add.reduceat(rough, self.zones[:-1], axis=1) + FLOOR)

    def score(self, signal: Int8Array, logits: Int8Array) -> Int64Array:
        """Return how unusual each window is for the class it is decided for, int64 [n]."""
        decided = np.argmax(logits, axis=1)
        centres = np.array(self.centres, np.int64)[decided]
        weights = np.array(self.weights, np.int64)[decided]
        return distances(self.features(signal), centres, weights)

    def _rows(self, signal: Int8Array) -> Int8Array:
        return signal.reshape(len(signal), self.length, self.channels)


def distances(features: Int64Array, centres: Int64Array, weights: Int64Array) -> Int64Array:
    """Return weighted sums of squared deviations of features [n, f], int64 [n]."""
    deviation = np.minimum(np.abs(features - centres), MOST_DEVIATION)
    return np.asarray(((deviation * deviation * weights) >> TERM_SHIFT).sum(axis=1))


def margins(logits: Int8Array) -> Int64Array:
    """Return by how much the largest logit exceeds the second, in LSB, int64 [n].

    Args:
        logits: int8 [n, classes], two classes or more.
    """
    ordered = np.sort(logits.astype(np.int64), axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2])
