"""What a perturbation at the converter does to the signal of a batch, differentiably.

All of a perturbation that training needs is its support function: the most that a change weighs
along a direction. The front end is linear up to its roundings, so that a change of the raw samples
is brought to the window by its conditioning matrix and by the gain of each beat, and the extremes
over each set are known in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from edgeprune.data.held_front_end import conditioning_matrix
from edgeprune.errors import ConfigurationError
from edgeprune.registry import Registry
from edgeprune.targets import Adc
from edgeprune.training.bounded import Bounded, Interval, related_signal
from edgeprune.verification.perturbations import parse_perturbation

if TYPE_CHECKING:
    from edgeprune.data.front_end import BeatFrontEnd

_CONDITIONED = 4096  # the conditioning matrix is in units of 1 / this
_GAIN = 1 << 14  # and the gain
_FREQUENCIES = 33
_HIGHEST = 127  # of the network's input, LSB
_ENERGY = 256  # the front end's energies are in units of this


class Part(Protocol):
    """One of the perturbations that a sum is made of."""

    def weigh(self, directions: Tensor) -> Tensor:
        """Return the largest response of directions [..., raw samples], microvolts: [...]."""
        ...


@dataclass(frozen=True)
class LargestChange:
    """Every raw sample changes by at most so many microvolts (L-infinity)."""

    microvolt: float

    def weigh(self, directions: Tensor) -> Tensor:
        """Return the L1 norm."""
        return self.microvolt * directions.abs().sum(-1)


@dataclass(frozen=True)
class TotalChange:
    """The changes of all raw samples together have at most this root of their squares' sum (L2)."""

    microvolt: float

    def weigh(self, directions: Tensor) -> Tensor:
        """Return the L2 norm."""
        norm: Tensor = torch.linalg.vector_norm(directions, dim=-1)
        return self.microvolt * norm


@dataclass(frozen=True)
class Sine:
    """A sine of any phase, of at most this amplitude and of a frequency in any of some ranges.

    Ranges are sampled, so finely that the window sees no difference between neighbours.
    """

    microvolt: float
    ranges_hz: tuple[tuple[float, float], ...]
    rate_hz: float

    def weigh(self, directions: Tensor) -> Tensor:
        """Return the largest amplitude of the spectrum within the ranges."""
        samples = directions.shape[-1]
        frequency = torch.cat(
            [
                torch.linspace(low, high, _FREQUENCIES if high > low else 1)
                for low, high in self.ranges_hz
            ]
        )
        turns = torch.arange(samples)[:, None] * frequency / self.rate_hz * (2 * math.pi)
        parts = torch.stack((directions @ turns.cos(), directions @ turns.sin()))
        amplitude: Tensor = torch.linalg.vector_norm(parts, dim=0)
        return self.microvolt * amplitude.amax(-1)


@dataclass(frozen=True)
class PerturbationSpec:
    """A perturbation as training sees it.

    Attributes:
        parts: Perturbations of the raw samples whose changes add up.
        gain: Share by which the amplifier's gain moves.
        signal_lsb: Steps by which each value of the signal input moves by itself.
        rhythm_lsb: Steps by which each value of the rhythm input moves by itself.
    """

    parts: tuple[Part, ...] = ()
    gain: float = 0.0
    signal_lsb: float = 0.0
    rhythm_lsb: float = 0.0


def _largest(part: Any, adc: Adc) -> PerturbationSpec:
    if part.of_inputs:
        return PerturbationSpec(signal_lsb=part.radius.value)
    return PerturbationSpec((LargestChange(part.radius.microvolt),))


def _total(part: Any, adc: Adc) -> PerturbationSpec:
    _refuse(part, inputs=True)
    return PerturbationSpec((TotalChange(part.radius.microvolt),))


def _rhythm(part: Any, adc: Adc) -> PerturbationSpec:
    _refuse(part, inputs=False)
    return PerturbationSpec(rhythm_lsb=part.size.value)


def _refuse(part: Any, *, inputs: bool) -> None:
    if part.of_inputs is inputs:
        raise ConfigurationError(
            f"training cannot bound {part.text}",
            where="robustness.perturbation",
            hint="give it in uV" if inputs else "give it in lsb",
        )


def _gain(part: Any, adc: Adc) -> PerturbationSpec:
    return PerturbationSpec(gain=part.share.share)


def _offset(part: Any, adc: Adc) -> PerturbationSpec:
    return PerturbationSpec((Sine(part.size.microvolt, ((0.0, 0.0),), adc.rate_hz),))


def _sinusoid(part: Any, adc: Adc) -> PerturbationSpec:
    return PerturbationSpec((Sine(part.size.microvolt, part.ranges(), adc.rate_hz),))


FAMILIES: Registry[Callable[[Any, Adc], PerturbationSpec]] = Registry(
    "perturbation to train for", linf=_largest, gain=_gain, offset=_offset, l2=_total, rr=_rhythm
)
FAMILIES.add("wander", _sinusoid)
FAMILIES.add("hum", _sinusoid)


def training_spec(text: str, adc: Adc) -> PerturbationSpec:
    """Read a perturbation that training knows: "linf:50uV", "gain:10%+linf:5uV".

    Args:
        text: As `edgeprune.verification.perturbations` reads it.
        adc: The converter.

    Raises:
        UnknownNameError: Training knows no such family.
        ConfigurationError: The text does not say how much.
    """
    total = PerturbationSpec()
    rounds = False
    for part in parse_perturbation(text).parts:
        for size in (getattr(part, "radius", None), getattr(part, "size", None)):
            if size is not None:
                size.check_unit(adc.unit, "robustness.perturbation")
        spec = FAMILIES.get(part.name, where="robustness.perturbation")(part, adc)
        rounds = rounds or part.rounds
        total = PerturbationSpec(
            total.parts + spec.parts,
            total.gain + spec.gain,
            total.signal_lsb + spec.signal_lsb,
            total.rhythm_lsb + spec.rhythm_lsb,
        )
    if not rounds:
        return total
    # The converter rounds what is added before it.
    return replace(total, parts=(*total.parts, LargestChange(adc.microvolt_per_count / 2)))


class Perturbed:
    """Turns batches into the bounded inputs of a classifier.

    Args:
        spec: What moves.
        front_end: What conditions the raw samples.
        adc: The converter.
    """

    def __init__(self, spec: PerturbationSpec, front_end: BeatFrontEnd, adc: Adc) -> None:
        self.spec = spec
        self._front_end = front_end
        matrix = torch.from_numpy(conditioning_matrix(front_end)).double()
        self._per_microvolt = (matrix / _CONDITIONED / adc.microvolt_per_count).float()

    @property
    def samples(self) -> int:
        """Raw samples that a window reads."""
        return len(self._per_microvolt)

    def changed(
        self, signal: Tensor, rhythm: Tensor, gain: Tensor, change: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return signal and rhythm after one change of the raw samples, without roundings.

        Args:
            signal: Float [n, channels, length], real.
            rhythm: Float [n, features], real.
            gain: The front end's gain of each window times 2^14, float [n].
            change: Microvolts, float [n, raw samples].
        """
        step = self._front_end.signal_scale
        per_count = gain / _GAIN * step
        moved = signal + (per_count[:, None] * (change @ self._per_microvolt))[:, None]
        before = self._form(signal, per_count)
        form = self._form(moved, per_count) - before
        intervals = self._front_end.interval_features
        features = torch.cat((rhythm[:, :intervals], rhythm[:, intervals:] + form), 1)
        return (
            within(moved, signal, _HIGHEST * step),
            within(features, rhythm, _HIGHEST * self._front_end.rhythm_scale),
        )

    def _form(self, signal: Tensor, per_count: Tensor, change: Tensor | float = 0.0) -> Tensor:
        """Return the log energies of the form, [n, 3], where every sample grows by `change`.

        Args:
            signal: Float [n, channels, length].
            per_count: Signal per conditioned count, [n].
            change: By how much each sample's size grows, [n, length]; none becomes negative.
        """
        front_end = self._front_end
        beat, difference = signal[:, 0], signal[:, 1]
        unit = 1 / (per_count.square() * _ENERGY)
        energies = []
        for wave, zone, share in (
            (difference, front_end.qrs, 0.5),
            (difference, front_end.p_wave, 0.5),
            (beat, front_end.qrs, 1.0),
        ):
            size = (wave.abs() + change)[:, slice(*zone)].clamp(min=0)
            energies.append(share * torch.log2(unit * size.square().sum(1) + 1))
        return torch.stack(energies, 1)

    def inputs(
        self, signal: Tensor, rhythm: Tensor, gain: Tensor, factor: float
    ) -> tuple[Bounded, Interval]:
        """Return signal and rhythm with what they can be.

        Args:
            signal: Float [n, channels, length], real.
            rhythm: Float [n, features], real.
            gain: The front end's gain of each window times 2^14, float [n].
            factor: Share of the perturbation, for warming up.
        """
        front_end = self._front_end
        per_count = gain / _GAIN
        step = front_end.signal_scale
        if self.spec.signal_lsb:
            # A set of inputs: whole steps, each value by itself.
            radius = torch.full_like(signal, self.spec.signal_lsb * step * factor)
            still = torch.full_like(rhythm, self._rhythm_radius(factor))
            return Interval(signal, signal, radius), Interval(rhythm, rhythm, still)
        beat = signal[:, 0]
        changes = BatchChanges(self.spec, self._per_microvolt, per_count * step, beat, factor)
        # The conditioned sample is rounded, and so is its product with the gain.
        rounding = step * (0.5 + 0.5 * per_count) * min(1.0, 4 * factor)
        bounded = related_signal(signal, changes, rounding[:, None, None], _HIGHEST * step)
        most = changes.support(torch.eye(signal.shape[2]))
        return bounded, self._rhythm(rhythm, signal, per_count * step, most, factor)

    def _rhythm(
        self, rhythm: Tensor, signal: Tensor, per_count: Tensor, most: Tensor, factor: float
    ) -> Interval:
        """Return the box of the rhythm features: the form's log energies move with the signal."""
        step = self._front_end.rhythm_scale
        low, high = rhythm.clone(), rhythm.clone()
        least, now, greatest = (
            self._form(signal, per_count, change) for change in (-most, 0.0, most)
        )
        form = slice(self._front_end.interval_features, None)
        rounding = step * min(1.0, 4 * factor)
        low[:, form] += least - now - rounding
        high[:, form] += greatest - now + rounding
        moved, limit = self._rhythm_radius(factor), _HIGHEST * step
        low, high = low - moved, high + moved
        low = torch.minimum(low.clamp(-limit, limit), rhythm)
        high = torch.maximum(high.clamp(-limit, limit), rhythm)
        return Interval.between(rhythm, low, high)

    def _rhythm_radius(self, factor: float) -> float:
        return self.spec.rhythm_lsb * self._front_end.rhythm_scale * factor


def within(value: Tensor, before: Tensor, limit: float) -> Tensor:
    """Clip at a limit, unless the value before the change was beyond it already."""
    return torch.maximum(torch.minimum(value, before.clamp(min=limit)), before.clamp(max=-limit))


class BatchChanges:
    """What the change of the signal can be for each window of a batch; see `SignalChanges`.

    Args:
        spec: What moves.
        per_microvolt: Conditioned counts per microvolt, [raw samples, length].
        per_count: Signal per conditioned count, [n].
        beat: First channel of the signal, [n, length]: what a gain multiplies.
        factor: Share of the perturbation.
    """

    def __init__(
        self,
        spec: PerturbationSpec,
        per_microvolt: Tensor,
        per_count: Tensor,
        beat: Tensor,
        factor: float,
    ) -> None:
        self._spec = spec
        self._per_microvolt = per_microvolt
        self._per_count = per_count * factor
        self._beat = beat * (spec.gain * factor)

    def support(self, directions: Tensor) -> Tensor:
        """Return the most that the change weighs along shared directions [length, m]: [n, m]."""
        most = self._per_count[:, None] * self._weigh(directions.T)[None]
        return most + (self._beat @ directions).abs() if self._spec.gain else most

    def own_support(self, directions: Tensor) -> Tensor:
        """Return the same along directions of each window [n, k, length]: [n, k]."""
        most = self._per_count[:, None] * self._weigh(directions)
        if not self._spec.gain:
            return most
        return most + torch.einsum("nl,nkl->nk", self._beat, directions).abs()

    def _weigh(self, directions: Tensor) -> Tensor:
        raw = directions @ self._per_microvolt.T
        total = raw.new_zeros(raw.shape[:-1])
        for part in self._spec.parts:
            total = total + part.weigh(raw)
        return total
