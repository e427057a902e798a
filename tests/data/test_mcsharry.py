"""The dynamical model against the paper's own equations, integrated by scipy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp
from scipy.signal import periodogram

from edgeprune.data.mcsharry import Morphology, integrate, paper_morphology, rr_process

RATE, SECONDS = 360, 6
ANGLES = np.array([-np.pi / 3, -np.pi / 12, 0.0, np.pi / 12, np.pi / 2])
STRENGTHS = np.array([1.2, -5.0, 30.0, -7.5, 0.75])
WIDTHS = np.array([0.25, 0.1, 0.1, 0.1, 0.4])


def baseline(time: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
    return np.asarray(0.15 * np.sin(2 * np.pi * 0.25 * np.asarray(time)))


def equations(time: float, state: npt.NDArray[np.float64]) -> list[float]:
    x, y, z = state
    speed = 2 * np.pi
    pull = 1 - np.hypot(x, y)
    distance = (np.arctan2(y, x) - ANGLES + np.pi) % (2 * np.pi) - np.pi
    waves = STRENGTHS * distance * np.exp(-(distance**2) / (2 * WIDTHS**2))
    fall = -float(waves.sum()) - (z - float(baseline(time)))
    return [pull * x - speed * y, pull * y + speed * x, fall]


def every_beat(r_times: npt.NDArray[np.float64]) -> Morphology:
    paper = paper_morphology()
    return Morphology(
        *(np.tile(part, (len(r_times), 1)) for part in (paper.delays, paper.widths, paper.peaks))
    )


def test_the_three_equations_of_the_paper_have_this_solution() -> None:
    times = np.arange(SECONDS * RATE) / RATE
    solution = solve_ivp(
        equations,
        (0, SECONDS),
        [-1.0, 0.0, 0.0],
        t_eval=times,
        rtol=1e-8,
        atol=1e-9,
        max_step=1 / RATE,
    )
    # At one beat a second from the angle pi the R waves are at 0.5 s, 1.5 s ...
    r_times = np.arange(-1, SECONDS + 2) + 0.5
    half_steps = np.arange(2 * SECONDS * RATE - 1) / (2 * RATE)
    ours = integrate(r_times, every_beat(r_times), baseline(half_steps), RATE)
    assert np.abs(solution.y[2]).max() > 0.1
    np.testing.assert_allclose(ours, solution.y[2], atol=1e-6)


def test_halving_the_step_changes_little() -> None:
    r_times = np.array([0.4, 1.1, 1.6, 2.9])
    waves = every_beat(r_times)
    coarse = integrate(r_times, waves, np.zeros(2 * 4 * 180 - 1), 180)
    fine = integrate(r_times, waves, np.zeros(2 * 4 * 720 - 1), 720)
    np.testing.assert_allclose(coarse, fine[::4], atol=1e-5)


def test_rr_intervals_have_the_bimodal_spectrum() -> None:
    series = rr_process(np.random.default_rng(0), 1000, 0.8, 0.05, low_to_high=0.5)
    assert abs(series.mean() - 0.8) < 1e-9
    assert abs(series.std() - 0.05) < 1e-9
    frequencies, power = periodogram(series, 4.0)
    low = power[(frequencies > 0.05) & (frequencies < 0.15)].sum()
    high = power[(frequencies > 0.2) & (frequencies < 0.3)].sum()
    assert abs(low / high - 0.5) < 0.01
    assert (low + high) / power.sum() > 0.99


def test_p_q_r_s_t_follow_each_other() -> None:
    """One clean beat: P up, Q down, R up and highest, S down, T up, each at its own delay."""
    paper = paper_morphology()
    r_times = np.array([1.5])
    beat = Morphology(*(part[None] for part in (paper.delays, paper.widths, paper.peaks)))
    signal = integrate(r_times, beat, np.zeros(2 * 3 * RATE - 1), RATE)
    places = np.rint((r_times + paper.delays) * RATE).astype(int)
    heights = []
    for place, width, up in zip(places, paper.widths, paper.peaks > 0, strict=True):
        reach = max(2, round(width * RATE))
        around = signal[place - reach : place + reach + 1] * (1 if up else -1)
        assert abs(int(around.argmax()) - reach) <= max(2, reach // 2)
        heights.append(signal[place])
    assert (np.sign(heights) == [1, -1, 1, -1, 1]).all()
    assert int(np.argmax(heights)) == 2
    assert (np.diff(places) > 0).all()
