"""Victims decide as their networks do; their gradients are what differences say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from foolbox import PyTorchModel
from foolbox.attacks import LinfPGD
from torch import Tensor, nn

from edgeprune.attacks import ATTACKS, AttackSettings, Ball, FloatVictim, Guided, IntegerVictim
from edgeprune.attacks.victims import SomeWindows
from edgeprune.data.held_front_end import HeldBeats
from edgeprune.verification.held_inputs import HeldInputs
from tests import certified_beats
from tests.network.builders import dense_network

HELD = certified_beats.beats(24)
NETWORK = certified_beats.network(HELD)
ROWS = np.arange(len(HELD))


class Linear(nn.Module):
    """Logits that are linear in both inputs: every slope is known."""

    def __init__(self, held: HeldBeats, intervals_alone: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        signal, rhythm = held.inputs()
        self.of_signal = nn.Linear(signal[0].size, 3)
        self.of_rhythm = nn.Linear(rhythm.shape[1], 3)
        if intervals_alone:
            self.of_rhythm.weight.data[:, -3:] = 0

    def forward(self, signal: Tensor, rhythm: Tensor) -> Tensor:
        return self.of_signal(signal.flatten(1)) + self.of_rhythm(rhythm)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv1d(2, 6, 7, stride=3)
        self.last = nn.Linear(180, 3)

    def forward(self, signal: Tensor) -> Tensor:
        return self.last(torch.relu(self.conv(signal)).flatten(1))


def float_victim(model: nn.Module, held: HeldBeats = HELD) -> FloatVictim:
    return FloatVictim(model, held.front_end, held)


def alone(held: HeldBeats) -> HeldBeats:
    return HeldBeats(**{**vars(held), "signal_alone": True})


def test_an_integer_victim_decides_as_the_network_does() -> None:
    victim = IntegerVictim(NETWORK, HELD)
    random = np.random.default_rng(0)
    rows = random.integers(0, len(HELD), 60)
    raw = Ball("linf", 300).random(HELD.select(rows), random)
    expected = [
        int(NETWORK.run(*HELD.select(np.array([row])).inputs(one[np.newaxis]))[0].argmax())
        for row, one in zip(rows, raw, strict=True)
    ]
    assert victim.decide(raw, rows).tolist() == expected
    seen = victim.look(raw, rows)
    assert seen.decisions.tolist() == expected
    np.testing.assert_allclose(seen.logits, victim.logits(raw, rows))
    exact = NETWORK.run(*HELD.select(rows).inputs(raw)).astype(np.float64)
    tensor = NETWORK.output_tensor
    # Before the last rounding: within half an LSB where nothing is clamped.
    inside = (exact > -128) & (exact < 127)
    off = np.abs(seen.logits - (exact - tensor.zero_point) * tensor.scale)
    assert off[inside].max() <= 0.5001 * tensor.scale


@pytest.mark.parametrize("intervals_alone", [True, False])
def test_gradients_through_the_front_end_are_what_differences_say(intervals_alone: bool) -> None:
    victim = float_victim(Linear(HELD, intervals_alone))
    weights = np.random.default_rng(1).normal(size=(len(HELD), 3))
    time = np.arange(HELD.raw.shape[1])
    directions = np.stack(
        [np.exp(-(((time - HELD.beat_at - shift) / 15.0) ** 2)) for shift in (-60, 0, 15)]
    )
    for direction in directions:
        # So far that roundings average out, so near that no value is clipped; and far from the
        # template, where the logarithm of an energy bends little.
        base = HELD.raw + np.rint(80 * direction).astype(np.int16)
        step = np.rint(20 * direction).astype(np.int16)
        slope = victim.gradient(base, ROWS, weights)
        ahead, behind = victim.logits(base + step, ROWS), victim.logits(base - step, ROWS)
        difference = ((ahead - behind) * weights).sum(axis=1)
        expected = 2 * slope @ step
        assert (expected @ difference) / (expected @ expected) == pytest.approx(1, abs=0.15)
        assert np.corrcoef(difference, expected)[0, 1] > 0.96


def test_a_module_of_raw_counts_is_the_victim() -> None:
    model = Small()
    held = alone(HELD)
    victim = FloatVictim(model, held.front_end, held)
    module = victim.module(ROWS)
    raw = torch.from_numpy(held.raw.astype(np.float32) + 0.3).requires_grad_()
    logits = module(raw)
    np.testing.assert_allclose(
        logits.detach().numpy(), victim.logits(held.raw, ROWS), rtol=1e-5, atol=1e-5
    )
    weights = np.random.default_rng(0).normal(size=logits.shape)
    (logits * torch.from_numpy(weights)).sum().backward()
    assert raw.grad is not None
    expected = victim.gradient(held.raw, ROWS, weights)
    np.testing.assert_allclose(raw.grad.numpy(), expected, rtol=1e-4, atol=1e-7)
    # The same logits by torch alone, from the front end's integers.
    signal = torch.from_numpy(held.inputs()[0].swapaxes(1, 2).astype(np.float32) / 32)
    np.testing.assert_allclose(logits.detach().numpy(), model(signal).detach().numpy(), atol=1e-4)


def test_pgd_is_no_weaker_than_that_of_foolbox() -> None:
    held = alone(HELD)
    victim = FloatVictim(Small(), held.front_end, held)
    labels = victim.decide(held.raw, ROWS)
    theirs = ours = 0
    for size in (10.0, 30.0, 100.0):
        ball = Ball("linf", size)
        low, high = held.count_range
        model = PyTorchModel(victim.module(ROWS), bounds=(low, high))
        attack = LinfPGD(steps=10, random_start=False, rel_stepsize=0.25)
        raw = torch.from_numpy(held.raw.astype(np.float32))
        _, found, _ = attack(model, raw, torch.from_numpy(labels), epsilons=size / 5)
        whole = np.rint(found.detach().numpy()).astype(np.int16)
        assert ball.contains(held, whole).all()
        theirs += int((victim.decide(whole, ROWS) != labels).sum())
        made = ATTACKS.get("pgd")(victim, labels, ball, AttackSettings(steps=10, rounds=0))
        ours += int(made.success.sum())
    assert 0 < theirs <= ours


class Leads(nn.Module):
    """A classifier of many leads, without any front end."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.last = nn.Linear(channels * 20, 3)

    def forward(self, signal: Tensor) -> Tensor:
        return self.last(signal.flatten(1))


def test_windows_without_the_front_end_may_have_any_leads() -> None:
    random = np.random.default_rng(0)
    signal = random.integers(-100, 100, (8, 20, 12)).astype(np.int8)
    held = HeldInputs((signal,))
    model = Leads(12)
    victim = FloatVictim(model, HELD.front_end, held)
    rows = np.arange(8)
    weights = random.normal(size=(8, 3))
    slope = victim.gradient(held.raw, rows, weights)
    matrix = model.last.weight.detach().numpy().reshape(3, 12, 20).swapaxes(1, 2)
    np.testing.assert_allclose(slope, weights @ matrix.reshape(3, -1) / 32, rtol=1e-4, atol=1e-6)
    labels = victim.decide(held.raw, rows)
    for text in ("linf:12lsb", "l2:160lsb", "l1:1500lsb", "l0:40"):
        found = ATTACKS.get("pgd")(victim, labels, Ball.parse(text), AttackSettings(steps=10))
        assert found.success.all(), text
        assert found.unit == ("" if text.startswith("l0") else "lsb")


def test_the_gradient_of_a_linear_integer_network_is_its_matrix() -> None:
    matrix = np.array([[3, -1, 2], [0, 4, -5]])
    network = dense_network(matrix, [0, 0], factor=0.01)
    held = HeldInputs((np.array([[1, 2, 3], [40, -50, 60]], np.int8),))
    victim = IntegerVictim(network, held)
    rows = np.arange(2)
    weights = np.array([[1.0, 0.0], [-1.0, 2.0]])
    # The factor of the accumulator and the scale of the logits undo each other.
    np.testing.assert_allclose(victim.gradient(held.raw, rows, weights), weights @ matrix)
    np.testing.assert_allclose(victim.logits(held.raw, rows), held.raw @ matrix.T)


def test_some_windows_and_a_guide_answer_for_the_victim_itself() -> None:
    victim = IntegerVictim(NETWORK, HELD)
    chosen = np.array([5, 2, 9])
    some = SomeWindows(victim, chosen)
    raw, rows = HELD.raw[[9, 5]], np.array([2, 0])
    weights = np.ones((2, 3)) * [1, 0, -1]
    np.testing.assert_array_equal(some.decide(raw, rows), victim.decide(raw, chosen[rows]))
    np.testing.assert_array_equal(
        some.gradient(raw, rows, weights), victim.gradient(raw, chosen[rows], weights)
    )
    guide = float_victim(Linear(HELD, True))
    led = Guided(victim, guide)
    np.testing.assert_array_equal(led.look(HELD.raw, ROWS).logits, victim.logits(HELD.raw, ROWS))
    every = np.ones((len(HELD), 3)) * [1, 0, -1]
    np.testing.assert_array_equal(
        led.look(HELD.raw, ROWS).gradient(every), guide.gradient(HELD.raw, ROWS, every)
    )
