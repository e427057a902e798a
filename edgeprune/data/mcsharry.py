"""The dynamical model of the ECG of McSharry, Clifford, Tarassenko and Smith (2003).

IEEE Transactions on Biomedical Engineering 50(3):289-294. A point circles the origin once a beat,
pulled up and down as it passes the angles of the waves P, Q, R, S and T:

    x' = c x - w y          c = 1 - sqrt(x^2 + y^2),  w = 2 pi / RR
    y' = c y + w x
    z' = - sum_k a_k d_k exp(-d_k^2 / (2 b_k^2)) - (z - z0(t)),   d_k = theta - theta_k

Two facts make it cheap to integrate exactly. Started on the unit circle the point stays on it, so
that theta is the integral of w. Then z obeys a linear equation with a known right-hand side, whose
solution over one sample is an integral that Simpson's rule takes with an error of fourth order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

WAVES = ("P", "Q", "R", "S", "T")
_REACH_IN_WIDTHS = 5.0


@dataclass(frozen=True)
class Morphology:
    """The five waves of a heart beat, P Q R S T, in seconds and millivolts.

    An angle theta_k, width b_k and strength a_k of the paper are, at the angular speed w, the delay
    theta_k / w, the width b_k / w and the peak a_k b_k^2 / w: written so, w cancels in z', and a
    wave keeps its shape when the interval before it or after it changes.

    Attributes:
        delays: Seconds from the R wave's time to each wave's centre.
        widths: Standard deviation of each wave in seconds.
        peaks: Height of each wave in mV.
    """

    delays: FloatArray
    widths: FloatArray
    peaks: FloatArray


def paper_morphology() -> Morphology:
    """Return table I of the paper at one beat a second."""
    speed = 2 * np.pi
    angles = np.array([-np.pi / 3, -np.pi / 12, 0.0, np.pi / 12, np.pi / 2])
    strengths = np.array([1.2, -5.0, 30.0, -7.5, 0.75])
    widths = np.array([0.25, 0.1, 0.1, 0.1, 0.4])
    return Morphology(angles / speed, widths / speed, strengths * widths**2 / speed)


def rr_process(
    generator: np.random.Generator,
    seconds: float,
    mean: float,
    deviation: float,
    low_to_high: float = 0.5,
    respiration_hz: float = 0.25,
    rate_hz: float = 4.0,
) -> FloatArray:
    """Return RR intervals in seconds with the paper's bimodal spectrum (equations 2 to 5).

    Args:
        generator: Draws the phases.
        seconds: Length.
        mean: Mean interval in seconds.
        deviation: Its standard deviation in seconds.
        low_to_high: Power of the Mayer waves (0.1 Hz) over that of the respiration.
        respiration_hz: Centre of the respiratory peak.
        rate_hz: Values a second.

    Returns:
        float64 [seconds * rate_hz].
    """
    count = int(np.ceil(seconds * rate_hz / 2)) * 2
    frequencies = np.fft.rfftfreq(count, 1 / rate_hz)
    spread = 0.01
    power = low_to_high * np.exp(-((frequencies - 0.1) ** 2) / (2 * spread**2)) + np.exp(
        -((frequencies - respiration_hz) ** 2) / (2 * spread**2)
    )
    phases = np.exp(2j * np.pi * generator.random(len(frequencies)))
    series = np.fft.irfft(np.sqrt(power) * phases, count)
    scaled: FloatArray = mean + deviation * (series - series.mean()) / series.std()
    return scaled


def integrate(
    r_times: FloatArray,
    beats: Morphology,
    baseline: FloatArray,
    rate_hz: float,
) -> FloatArray:
    """Return z(t) at t = 0, 1/rate, 2/rate ... of the model, starting from z(0) = z0(0).

    Args:
        r_times: float64 [k], when the point passes the angle of each R wave, in seconds.
        beats: Arrays of shape [k, 5]: every beat may have its own waves.
        baseline: float64 [2 n - 1], z0 at every half sample.
        rate_hz: Samples a second.

    Returns:
        float64 [n], millivolts.
    """
    step = 1.0 / rate_hz
    drive = baseline + _pull(r_times, beats, len(baseline), step / 2)
    gain = np.exp(-step)
    increments = (step / 6) * (
        gain * drive[:-2:2] + 4 * np.exp(-step / 2) * drive[1:-1:2] + drive[2::2]
    )
    from scipy.signal import lfilter

    rest = lfilter([1.0], [1.0, -gain], increments, zi=[gain * baseline[0]])[0]
    return np.concatenate([baseline[:1], rest])


def _pull(r_times: FloatArray, beats: Morphology, count: int, step: float) -> FloatArray:
    """Return the sum over beats and waves of -a d exp(-d^2 / (2 b^2)) on a grid of `step` s."""
    pull = np.zeros(count)
    for wave in range(len(WAVES)):
        centres = r_times + beats.delays[:, wave]
        widths = beats.widths[:, wave]
        reach = int(np.ceil(_REACH_IN_WIDTHS * widths.max() / step))
        nearest = np.rint(centres / step).astype(np.int64)
        places = nearest[:, None] + np.arange(-reach, reach + 1)
        distance = (places * step - centres[:, None]) / widths[:, None]
        slopes = -(beats.peaks[:, wave] / widths)[:, None] * distance * np.exp(-(distance**2) / 2)
        inside = (places >= 0) & (places < count)
        pull += np.bincount(places[inside], weights=slopes[inside], minlength=count)
    return pull
