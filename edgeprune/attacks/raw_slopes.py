"""From slopes by the network's inputs to slopes by raw counts: the front end run backwards."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeprune.data.held_front_end import HeldBeats, conditioning_matrix
from edgeprune.data.held_segments import HeldSegments
from edgeprune.verification.falsify import Windows, through_form
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.outcomes import Int16Array

Float64Array = npt.NDArray[np.float64]
Int8Array = npt.NDArray[np.int8]

_GAIN = 2.0**14  # what the front end's gain is in units of
_CLIPPED = 127  # the front end's signal goes no further


class RawSlopes:
    """Carries slopes through the front end; roundings pass, clips stop.

    Args:
        held: The windows; their front end's matrix is computed once.
    """

    def __init__(self, held: Windows) -> None:
        self._matrix: Float64Array | None = None
        if isinstance(held, HeldBeats):
            square = float(held.front_end.boxcar) ** 2
            matrix = conditioning_matrix(held.front_end).astype(np.float64) / square
            self._matrix = np.ascontiguousarray(matrix.T)

    def of(
        self,
        held: Windows,
        raw: Int16Array,
        inputs: tuple[Int8Array, ...],
        slopes: tuple[Float64Array, ...],
    ) -> Float64Array:
        """Return slopes by raw counts.

        Args:
            held: The windows of the candidates [m].
            raw: The candidates, int16 [m, reach].
            inputs: What the front end makes of them.
            slopes: By each input in LSB, of the inputs' shapes.

        Returns:
            float64 [m, reach].
        """
        if isinstance(held, HeldSegments):
            inside = np.abs(inputs[0].astype(np.int16)) < _CLIPPED
            front_end = held.front_end
            by_sum = (slopes[0] * inside).reshape(len(raw), -1)
            steps = by_sum * (front_end.gain / 2.0**front_end.shift)
            return np.asarray(np.repeat(steps, front_end.factor, axis=1))
        if isinstance(held, HeldInputs) or self._matrix is None:
            flat = [slopes[0].reshape(len(raw), -1)]
            flat += [np.zeros((len(raw), raw.shape[1] - flat[0].shape[1]))]
            return np.concatenate(flat, axis=1)
        inside = np.abs(inputs[0].astype(np.int16)) < _CLIPPED
        conditioned: Float64Array = (slopes[0] * inside).sum(axis=2)
        if len(slopes) > 1:
            samples = raw[:, : held.samples]
            conditioned += through_form(held, samples, slopes[1][:, -3:])
        conditioned *= (held.gain / _GAIN)[:, np.newaxis]
        found = conditioned @ self._matrix
        beside = raw.shape[1] - held.samples
        return np.pad(found, ((0, 0), (0, beside))) if beside else found
