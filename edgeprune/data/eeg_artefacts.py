"""What blinks, muscles and electrodes add to an EEG: shapes in time, and how they spread.

Used three times: by the generator of synthetic patients, by disturbances, and by the sets that
certificates are about. All are made by rule: SYNTHETIC, of the order that textbooks show.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

BLINK_SECONDS = 0.4
POP_SECONDS = 0.3
# A pop's exponential is followed until so little of it is left.
_POP_REST = 1e-3
_MUSCLE_LOW_HZ = 20.0
_MUSCLE_HIGH_HZ = 100.0
# What is seen of a blink, relative to the frontal poles: it falls off towards the back (our
# reading, rounded, of the order of the propagation factors in Gratton, Coles and Donchin 1983).
_BLINK = (
    (r"FP(\d|Z)", 1.0),
    (r"AF(\d|Z)", 0.8),
    (r"F[78]", 0.5),
    (r"F(\d|Z)", 0.45),
    (r"F[CT](\d+|Z)", 0.25),
    (r"[CT](\d|Z)", 0.15),
    (r"[CT]P(\d|Z)", 0.1),
    (r"P(\d|Z)", 0.07),
    (r"(PO|O|I)(\d|Z)", 0.04),
)


def blink_shape(rate_hz: float) -> FloatArray:
    """Return an eye blink of height 1: a slow wave of 0.4 s, one half of which is the lid's way.

    Args:
        rate_hz: Samples a second.

    Returns:
        float64 [samples], a raised cosine, 0 at both ends.
    """
    count = max(3, round(BLINK_SECONDS * rate_hz) + 1)
    return np.asarray(np.sin(np.pi * np.arange(count) / (count - 1)) ** 2)


def pop_shape(rate_hz: float, count: int | None = None) -> FloatArray:
    """Return an electrode's pop of height 1: a step that the amplifier's high-pass takes back.

    Args:
        rate_hz: Samples a second.
        count: Samples; None until a thousandth is left.

    Returns:
        float64 [samples]: exp(-t / 0.3 s) from its first sample on.
    """
    number = max(2, round(-np.log(_POP_REST) * POP_SECONDS * rate_hz)) if count is None else count
    return np.asarray(np.exp(-np.arange(number) / (POP_SECONDS * rate_hz)))


def muscle_noise(generator: np.random.Generator, count: int, rate_hz: float) -> FloatArray:
    """Return a burst of electromyogram with an RMS of 1 under a smooth rise and fall.

    Args:
        generator: Decides the noise.
        count: Samples.
        rate_hz: Samples a second; what lies above its half is not there.

    Returns:
        float64 [count]: white from 20 Hz to 100 Hz.
    """
    spectrum = np.fft.rfft(generator.normal(size=count))
    frequency = np.fft.rfftfreq(count, 1 / rate_hz)
    spectrum[(frequency < _MUSCLE_LOW_HZ) | (frequency > _MUSCLE_HIGH_HZ)] = 0
    noise = np.fft.irfft(spectrum, count) * np.sin(np.pi * (np.arange(count) + 0.5) / count)
    return np.asarray(noise / max(float(np.sqrt(np.square(noise).mean())), 1e-12))


def blink_spread(channels: Sequence[str]) -> tuple[float, ...]:
    """Return what each channel sees of a blink that is 1 at the frontal poles.

    "F7-T7" sees the difference of its electrodes; a channel whose electrodes are not known by their
    names in the 10-20 system sees all of it.
    """
    return tuple(_seen(channel) for channel in channels)


def _seen(channel: str) -> float:
    names = re.split(r"[-\s]+", re.sub(r"^EEG\s+", "", channel.upper()).strip(" ."))
    found = [_electrode(name) for name in names if name]
    if not found or found[0] is None:
        return 1.0
    reference = found[1] if len(found) == 2 else None
    return found[0] - (reference or 0.0)


def _electrode(name: str) -> float | None:
    return next((seen for pattern, seen in _BLINK if re.fullmatch(pattern, name)), None)
