"""Mixes what belongs to different patients: rhythms, shapes and usual beats of heartbeats.

A normal and a supraventricular beat differ in rhythm, hardly in shape; a ventricular beat differs
from the patient's usual beat. So in training a rhythm (recorded or simulated) may meet the shape
of another patient's beat of the same kind, and a ventricular beat another patient's usual beat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeprune.config import TrainingSettings
from edgeprune.training.determinism import derive_seed
from edgeprune.training.rhythms import SUPRAVENTRICULAR, settled, simulate_rhythm
from edgeprune.training.sampling import draw, window_weights

if TYPE_CHECKING:
    from edgeprune.data.front_end import BeatFrontEnd
    from edgeprune.data.windows import Windows

_PATIENTS = 400
_NORMAL_SHARE, _EARLY_SHARE = 0.6, 0.4
_VENTRICULAR_IF_EARLY, _VENTRICULAR_IF_NORMAL = 0.4, 0.12
_EARLY_SHAPE = 0.2
_PREMATURE = "log RR[+0] / median"  # the feature that says how early a beat came
_EARLIER_THAN = -8  # a quarter octave
_LEAST_PEAK = 20  # of a lent shape, LSB: a flatter one would be noise blown up


@dataclass(frozen=True)
class Beats:
    """Heartbeats before augmentation, LSB from the zero point.

    Attributes:
        signal: Float [n, 2, length]: the beat, and the beat less the patient's usual one.
        rhythm: Float [n, features]; what depends on intervals alone comes first.
        label: Int64 [n].
    """

    signal: Tensor
    rhythm: Tensor
    label: Tensor


@dataclass(frozen=True)
class EpochDraws:
    """Which windows and simulated rhythms each step of an epoch takes, [steps, n] each.

    Attributes:
        window: Windows to learn from.
        normal: Normal windows that lend their shape to those.
        wide: Ventricular windows that lend theirs to patients whose usual beat is wide.
        rhythm: Simulated rhythms.
        shapes: For each simulated rhythm a normal, a supraventricular and a ventricular window.
    """

    window: Tensor
    normal: Tensor
    wide: Tensor
    rhythm: Tensor
    shapes: tuple[Tensor, Tensor, Tensor]


def can_mix(windows: Windows) -> bool:
    """Return whether windows are heartbeats with a usual beat, of all three kinds."""
    if not {"N", "S", "V"} <= set(windows.class_names) or windows.signal.shape[2] != 2:
        return False
    kinds = [windows.class_names.index(name) for name in ("N", "S", "V")]
    return all((windows.label == kind).any() for kind in kinds)


class BeatMixer:
    """Draws and mixes the heartbeats of a training.

    Args:
        windows: Training windows for which `can_mix` holds.
        front_end: What made them; computes the features of simulated rhythms.
        beats: All windows as floats' integers, int16: signal, rhythm and label.
        weights: Probability of each window to be drawn.
        settings: Shares of what is mixed.
        seed: Seed of the training.
    """

    def __init__(
        self,
        windows: Windows,
        front_end: BeatFrontEnd,
        beats: Beats,
        weights: NDArray[np.float64],
        settings: TrainingSettings,
        seed: int,
    ) -> None:
        self._beats = beats
        self._weights = weights
        self._settings = settings
        self._intervals = front_end.interval_features
        self._peak, self._qrs = front_end.peak, slice(*front_end.qrs)
        self._premature = front_end.rhythm_names.index(_PREMATURE)
        names = windows.class_names
        self._kinds = tuple(names.index(name) for name in ("N", "S", "V"))
        self._by_kind = tuple(
            window_weights(
                windows.label,
                windows.record,
                tuple(float(number == kind) for number in range(len(names))),
                settings.record_balance,
            )
            for kind in self._kinds
        )
        self._simulated, self._early = _simulate(front_end, seed)
        early = self._early.numpy()
        self._simulated_weights = np.where(
            early, _EARLY_SHARE / max(early.sum(), 1), _NORMAL_SHARE / max((~early).sum(), 1)
        )

    def plan(self, steps: int, generator: torch.Generator) -> EpochDraws:
        """Draw what the steps of an epoch take."""
        batch = self._settings.batch_size
        simulated = int(batch * self._settings.simulated_rhythms)
        recorded = batch - simulated

        def windows(weights: NDArray[np.float64], count: int) -> Tensor:
            if count == 0:
                return torch.zeros(steps, 0, dtype=torch.int64)
            return draw(weights, steps, count, generator)

        normal, early, ventricular = self._by_kind
        return EpochDraws(
            window=windows(self._weights, recorded),
            rhythm=windows(self._simulated_weights, simulated),
            shapes=(
                windows(normal, simulated),
                windows(early, simulated),
                windows(ventricular, simulated),
            ),
            normal=windows(normal, recorded),
            wide=windows(ventricular, batch),
        )

    def step(self, draws: EpochDraws, number: int, generator: torch.Generator) -> Beats:
        """Return the heartbeats of one step."""
        recorded = self._recorded(draws.window[number], draws.normal[number], generator)
        shapes = tuple(shape[number] for shape in draws.shapes)
        simulated = self._with_simulated_rhythm(draws.rhythm[number], shapes, generator)
        mixed = Beats(
            torch.cat((recorded.signal, simulated.signal)),
            torch.cat((recorded.rhythm, simulated.rhythm)),
            torch.cat((recorded.label, simulated.label)),
        )
        mixed = self._with_wide_usual_beats(mixed, draws.wide[number], generator)
        return self._with_other_templates(mixed, generator)

    def _take(self, windows: Tensor) -> Beats:
        return Beats(
            self._beats.signal[windows].float(),
            self._beats.rhythm[windows].float(),
            self._beats.label[windows],
        )

    def _recorded(self, windows: Tensor, normal: Tensor, generator: torch.Generator) -> Beats:
        """Give some beats the shape of another normal beat: N and S stay so, V become S."""
        beats = self._take(windows)
        n_kind, s_kind, v_kind = self._kinds
        chosen = torch.rand(len(windows), generator=generator) < self._settings.remix
        chosen &= (beats.label == n_kind) | (beats.label == s_kind)
        beats = self._with_shape(beats, normal, chosen)
        chosen = torch.rand(len(windows), generator=generator) < self._settings.early_normals
        chosen &= (beats.label == v_kind) & (beats.rhythm[:, self._premature] < _EARLIER_THAN)
        shaped = self._with_shape(beats, normal, chosen)
        return Beats(shaped.signal, shaped.rhythm, torch.where(chosen, s_kind, shaped.label))

    def _with_shape(self, beats: Beats, lenders: Tensor, chosen: Tensor) -> Beats:
        lent = self._take(lenders)
        signal = torch.where(chosen[:, None, None], lent.signal, beats.signal)
        form = torch.where(chosen[:, None], lent.rhythm, beats.rhythm)[:, self._intervals :]
        rhythm = torch.cat((beats.rhythm[:, : self._intervals], form), 1)
        return Beats(signal, rhythm, beats.label)

    def _with_simulated_rhythm(
        self, rhythms: Tensor, shapes: tuple[Tensor, ...], generator: torch.Generator
    ) -> Beats:
        """Give simulated rhythms the shapes of recorded beats that could have had them."""
        n_kind, s_kind, v_kind = self._kinds
        early = self._early[rhythms]
        limit = torch.where(early, _VENTRICULAR_IF_EARLY, _VENTRICULAR_IF_NORMAL)
        ventricular = torch.rand(len(rhythms), generator=generator) < limit
        own_shape = early & (torch.rand(len(rhythms), generator=generator) < _EARLY_SHAPE)
        normal_shape, early_shape, ventricular_shape = shapes
        shape = torch.where(own_shape, early_shape, normal_shape)
        beats = self._take(torch.where(ventricular, ventricular_shape, shape))
        form = beats.rhythm[:, self._intervals :]
        label = torch.where(early, s_kind, n_kind)
        return Beats(
            beats.signal,
            torch.cat((self._simulated[rhythms].float(), form), 1),
            torch.where(ventricular, v_kind, label),
        )

    def _with_wide_usual_beats(
        self, beats: Beats, wide: Tensor, generator: torch.Generator
    ) -> Beats:
        """Make some N and S beats those of a patient with bundle branch block.

        The usual beat is then a ventricular shape; what differs from it stays, as do the features.
        """
        n_kind, s_kind, _ = self._kinds
        chosen = torch.rand(len(wide), generator=generator) < self._settings.wide_normals
        chosen &= (beats.label == n_kind) | (beats.label == s_kind)
        shape = self._take(wide).signal[:, 0]
        peak = shape[:, self._qrs].abs().amax(1, keepdim=True).clamp(min=_LEAST_PEAK)
        beat = torch.where(chosen[:, None], shape * (self._peak / peak), beats.signal[:, 0])
        return Beats(torch.stack((beat, beats.signal[:, 1]), 1), beats.rhythm, beats.label)

    def _with_other_templates(self, beats: Beats, generator: torch.Generator) -> Beats:
        """Hold some ventricular beats against the usual beat of another patient."""
        count = len(beats.label)
        chosen = torch.rand(count, generator=generator) < self._settings.other_templates
        chosen &= beats.label == self._kinds[2]
        template = beats.signal[:, 0] - beats.signal[:, 1]
        other = template[torch.randperm(count, generator=generator)]
        template = torch.where(chosen[:, None], other, template)
        beat = beats.signal[:, 0]
        return Beats(torch.stack((beat, beat - template), 1), beats.rhythm, beats.label)


def _simulate(front_end: BeatFrontEnd, seed: int) -> tuple[Tensor, Tensor]:
    """Return interval features int16 [beats, features] and whether each beat is early."""
    generator = np.random.default_rng(derive_seed(seed, "simulated rhythms"))
    per_second = front_end.rr_reference / 0.8
    features, early = [], []
    for _ in range(_PATIENTS):
        series = simulate_rhythm(generator)
        samples = np.round(series.interval * per_second).astype(np.int64)
        samples = np.clip(samples, front_end.rr_least, front_end.rr_most)
        rows, _ = front_end.interval_rows(samples[:-1], samples[1:])
        kept = settled(series)
        features.append(rows[kept])
        early.append(series.label[kept] == SUPRAVENTRICULAR)
    joined = np.concatenate(features).astype(np.int16)
    return torch.from_numpy(joined), torch.from_numpy(np.concatenate(early))
