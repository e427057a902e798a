"""Bounds hold what brute force finds, and are exact where they say so."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import Tensor, nn
from torch.nn import functional

from edgeprune.classifiers import CLASSIFIERS, create, logits_of
from edgeprune.data.held_front_end import conditioning_matrix
from edgeprune.errors import ConfigurationError, ModelError, UnknownNameError
from edgeprune.training.bounded import Interval, Related, related_signal
from edgeprune.training.bounds import BoundedClassifier
from edgeprune.training.changes import Perturbed, training_spec
from tests.training.bounded_modules import (
    ADC,
    FEATURES,
    FRONT_END,
    TwoInputs,
    beats,
    margins,
    random_layers,
    settle,
)

LENGTH = 8


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def box(value: Tensor, radius: float) -> Interval:
    return Interval(value, value, torch.full_like(value, radius))


def least_margins(
    model: nn.Module, signal: Interval, rhythm: Interval, label: Tensor, samples: int
) -> Tensor:
    """Return the least margins found at random points and random corners of the boxes."""
    found = []
    with torch.no_grad():
        for sample in range(samples):
            moved = []
            for value in (signal, rhythm):
                share = 2 * torch.rand_like(value.clean) - 1
                share = share.sign() if sample % 2 else share
                moved.append(value.centre + share * value.radius)
            found.append(margins(model(*moved), label))
    return torch.stack(found).amin(0)


@given(st.data(), st.integers(0, 2**31 - 1), st.sampled_from([0.01, 0.1, 0.5]))
@settings(max_examples=60, deadline=None)
def test_no_sample_lies_outside(data: st.DataObject, seed: int, radius: float) -> None:
    torch.manual_seed(seed)
    model = TwoInputs(random_layers(data.draw, st, LENGTH), LENGTH, 3)
    settle(model)
    model.eval()
    signal, rhythm = box(torch.randn(3, 2, LENGTH), radius), box(torch.randn(3, 2), radius / 2)
    label = torch.tensor([0, 1, 2])
    passed = BoundedClassifier(model)(signal, rhythm)
    torch.testing.assert_close(passed.logits, model(signal.clean, rhythm.clean))
    interval, linear = passed.interval_margins(label), passed.linear_margins(label)
    found = least_margins(model, signal, rhythm, label, 60)
    slack = 1e-4 * (1 + found.abs())
    assert (interval <= found + slack).all()
    assert (linear <= found + slack).all()
    assert (linear >= interval).all()


@given(st.data(), st.integers(0, 2**31 - 1))
@settings(max_examples=20, deadline=None)
def test_all_corners_of_tiny_networks_lie_inside(data: st.DataObject, seed: int) -> None:
    torch.manual_seed(seed)
    model = TwoInputs(random_layers(data.draw, st, 4), 4, 2)
    settle(model)
    model.eval()
    signal, rhythm = box(torch.randn(1, 2, 4), 0.2), box(torch.randn(1, 2), 0.2)
    corners = torch.tensor(list(itertools.product((-0.2, 0.2), repeat=10)))
    moved = signal.centre + corners[:, :8].reshape(-1, 2, 4), rhythm.centre + corners[:, 8:]
    passed = BoundedClassifier(model)(signal, rhythm)
    for label in (0, 1):
        with torch.no_grad():
            worst = margins(model(*moved), torch.full((len(corners),), label)).amin(0)
        for bound in (passed.interval_margins, passed.linear_margins):
            assert (bound(torch.tensor([label]))[0] <= worst + 1e-4).all()


def test_an_affine_network_s_margins_are_exact() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.Flatten(), nn.Linear(18, 4))
    settle(model)
    model.eval()
    signal = box(torch.randn(1, 2, LENGTH), 0.3)
    passed = BoundedClassifier(model)(signal, signal)
    bound = passed.linear_margins(torch.tensor([2]))[0]
    corners = torch.tensor(list(itertools.product((-0.3, 0.3), repeat=16))).reshape(-1, 2, LENGTH)
    with torch.no_grad():
        logits = model(signal.centre + corners)
    worst = margins(logits, torch.full((len(logits),), 2)).amin(0)
    torch.testing.assert_close(bound, worst, rtol=1e-4, atol=1e-4)


def test_training_bounds_are_of_the_batch_s_own_statistics() -> None:
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3, momentum=1.0), nn.ReLU(), nn.Flatten(),
        nn.Linear(18, 3),
    )  # fmt: skip
    signal, label = box(torch.randn(16, 2, LENGTH), 0.1), torch.randint(0, 3, (16,))
    passed = BoundedClassifier(model)(signal, signal)
    frozen = copy.deepcopy(model).eval()
    norm = frozen[1]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_var is not None
    count = 16 * 6
    norm.running_var *= (count - 1) / count  # torch keeps the unbiased one
    torch.testing.assert_close(passed.logits, frozen(signal.clean), rtol=1e-4, atol=1e-5)
    again = BoundedClassifier(frozen)(signal, signal)
    torch.testing.assert_close(
        passed.interval_margins(label), again.interval_margins(label), rtol=1e-3, atol=1e-4
    )


def test_dropout_leaves_out_the_same_of_value_and_bounds() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 3))
    signal = box(torch.randn(4, 2, LENGTH), 0.1)
    passed = BoundedClassifier(model)(signal, signal)
    label = torch.tensor([0, 1, 2, 0])
    clean = margins(passed.logits, label)
    none = BoundedClassifier(model)(box(signal.clean, 0.0), signal)
    assert (passed.interval_margins(label) <= clean + 1e-6).all()
    torch.testing.assert_close(none.interval_margins(label), margins(none.logits, label))


def test_the_bounds_have_gradients() -> None:
    model = create("certifiable-ecg", (96, 2), FEATURES, 3, seed=1)
    perturbed = Perturbed(training_spec("linf:30uV", ADC), FRONT_END, ADC)
    inputs = perturbed.inputs(
        torch.randn(4, 2, 96), torch.randn(4, FEATURES), torch.full((4,), 700.0), 1.0
    )
    label = torch.tensor([0, 1, 2, 0])
    for bound in ("interval_margins", "linear_margins"):
        model.zero_grad()
        passed = BoundedClassifier(model)(*inputs)
        weight = model.convolutions[0].weight
        value = getattr(passed, bound)(label).mean()
        value.backward()
        step = 1e-3 * weight.grad / weight.grad.norm()
        with torch.no_grad():
            weight += step
        after = getattr(BoundedClassifier(model)(*inputs), bound)(label).mean()
        expected = (weight.grad * step).sum()
        assert (after - value).item() == pytest.approx(expected.item(), rel=0.05)
        with torch.no_grad():
            weight -= step


def response(layer: nn.Conv1d, gain: float) -> np.ndarray:
    """Return what each raw count adds to each output of a first layer, [raw, outputs]."""
    matrix = conditioning_matrix(FRONT_END) / 4096 * gain / (1 << 14) * FRONT_END.signal_scale
    signal = torch.from_numpy(matrix).float()[:, None].expand(-1, 2, -1)
    with torch.no_grad():
        made = functional.conv1d(signal, layer.weight, None, layer.stride, layer.padding)
    return made.flatten(1).double().numpy()


def first_radius(text: str, signal: Tensor, gain: float, layer: nn.Conv1d) -> np.ndarray:
    perturbed = Perturbed(training_spec(text, ADC), FRONT_END, ADC)
    gains = torch.full((len(signal),), gain)
    bounded, _ = perturbed.inputs(signal, torch.zeros(len(signal), FEATURES), gains, 1.0)
    assert isinstance(bounded, Related)
    exact = related_signal(signal, bounded.changes, 0.0, float("inf"))

    def apply(value: Tensor) -> Tensor:
        return functional.conv1d(value, layer.weight, None, layer.stride, layer.padding)

    with torch.no_grad():
        value = exact.linear(apply, apply, lambda slack: slack[:, :1, :1] * 0)
        return value.interval().radius.flatten(1).double().numpy()


def test_the_first_layer_s_bound_is_the_best_sign_vector_and_the_linear_program() -> None:
    torch.manual_seed(4)
    layer = nn.Conv1d(2, 3, 7, stride=4, padding=3)
    found = first_radius("linf:40uV", torch.zeros(1, 2, 96), 700.0, layer)[0]
    made = response(layer, 700.0)
    limit = 40 / ADC.microvolt_per_count
    signs = np.sign(made)
    best = limit * (signs * made).sum(0)
    np.testing.assert_allclose(found, best, rtol=2e-5)
    for output in (0, 11, 40):
        # Scaled, since the solver leaves out what moves its goal by less than 1e-7.
        program = linprog(-1e4 * made[:, output], bounds=(-limit, limit), method="highs")
        assert -program.fun / 1e4 == pytest.approx(found[output], rel=2e-5)


def test_lines_pulled_back_to_the_raw_samples_are_exact_for_an_affine_network() -> None:
    torch.manual_seed(8)
    model = nn.Sequential(nn.Conv1d(2, 3, 7, stride=4), nn.Flatten(), nn.Linear(69, 3))
    signal = torch.randn(2, 2, 96)
    perturbed = Perturbed(training_spec("gain:5%+linf:30uV", ADC), FRONT_END, ADC)
    gains = torch.full((2,), 600.0)
    bounded, rhythm = perturbed.inputs(signal, torch.zeros(2, FEATURES), gains, 1.0)
    assert isinstance(bounded, Related)
    exact = related_signal(signal, bounded.changes, 0.0, float("inf"))
    label = torch.tensor([0, 2])
    found = BoundedClassifier(model)(exact, rhythm).linear_margins(label).detach()
    start = signal.clone().requires_grad_()
    over = margins(model(start), label)
    matrix = conditioning_matrix(FRONT_END) / 4096 * 600 / (1 << 14) * FRONT_END.signal_scale
    for other in range(3):
        (slope,) = torch.autograd.grad(over[:, other].sum(), start, retain_graph=True)
        along = slope.sum(1).double()
        # 30 uV and the converter's own rounding, in counts; and the gain, of the unchanged beat.
        spread = (30 / 5 + 0.5) * np.abs(matrix @ along.numpy().T).sum(0)
        spread += 0.05 * (along * signal[:, 0]).sum(1).abs().numpy()
        np.testing.assert_allclose(
            found[:, other], over[:, other].detach().numpy() - spread, rtol=1e-4, atol=1e-5
        )


def test_the_first_layer_s_bound_of_hum_wander_and_gain() -> None:
    torch.manual_seed(5)
    layer = nn.Conv1d(2, 3, 7, stride=4, padding=3)
    made = response(layer, 900.0)
    rounding = 0.5 * np.abs(made).sum(0)  # of the converter, behind the voltage
    time = np.arange(len(made)) / ADC.rate_hz

    def best(amplitude: float, frequencies: np.ndarray) -> np.ndarray:
        phases = np.linspace(0, 2 * np.pi, 721)
        waves = [np.sin(2 * np.pi * f * time[:, None] + phases) for f in frequencies]
        return amplitude / 5 * np.max([(wave.T @ made).max(0) for wave in waves], axis=0)

    quiet = torch.zeros(1, 2, 96)
    hum = first_radius("hum:100uV@50Hz", quiet, 900.0, layer)[0]
    np.testing.assert_allclose(hum, best(100, np.array([50.0])) + rounding, rtol=1e-3)
    wander = first_radius("wander:500uV@0.5Hz", quiet, 900.0, layer)[0]
    np.testing.assert_allclose(wander, best(500, np.linspace(0, 0.5, 60)) + rounding, rtol=1e-3)
    assert (first_radius("offset:500uV", quiet, 900.0, layer)[0] < 1.001 * rounding + 1e-4).all()
    signal = torch.randn(2, 2, 96)
    gain = first_radius("gain:10%", signal, 900.0, layer)
    common = signal[:, :1].expand(-1, 2, -1)
    with torch.no_grad():
        moved = functional.conv1d(0.1 * common, layer.weight, None, 4, 3).flatten(1).abs()
    np.testing.assert_allclose(gain, moved.double().numpy() + rounding, rtol=1e-3)


def test_parts_of_a_sum_add_up_and_unknown_ones_are_named() -> None:
    layer = nn.Conv1d(2, 3, 7)
    quiet = torch.zeros(1, 2, 96)
    apart = [first_radius(text, quiet, 500.0, layer) for text in ("linf:10uV", "linf:30uV")]
    both = first_radius("linf:10uV+linf:30uV", quiet, 500.0, layer)
    np.testing.assert_allclose(both, apart[0] + apart[1], rtol=1e-5)
    made = response(layer, 500.0)
    total = first_radius("l2:150uV", quiet, 500.0, layer)[0]
    np.testing.assert_allclose(total, 150 / 5 * np.linalg.norm(made, axis=0), rtol=1e-5)
    for text in ("shouting:3uV", "band:50ms"):
        with pytest.raises(UnknownNameError):
            training_spec(text, ADC)
    for text in ("l2:5lsb", "rr:8ms"):
        with pytest.raises(ConfigurationError, match="training cannot bound"):
            training_spec(text, ADC)


def test_inputs_in_steps_move_by_themselves() -> None:
    signal, rhythm = torch.randn(3, 2, 96), torch.randn(3, FEATURES)
    perturbed = Perturbed(training_spec("linf:2lsb+rr:3lsb", ADC), FRONT_END, ADC)
    moved = perturbed.inputs(signal, rhythm, torch.full((3,), 500.0), 0.5)
    for value, (clean, steps) in zip(moved, ((signal, 1.0), (rhythm, 1.5)), strict=True):
        assert isinstance(value, Interval)
        assert torch.equal(value.centre, clean)
        torch.testing.assert_close(value.radius, torch.full_like(clean, steps / 32))


@pytest.mark.parametrize("limit", [0, 1, 8])  # with none, only the device's roundings are left
def test_raw_samples_within_the_set_stay_within_the_bounds_of_the_integers(limit: int) -> None:
    generator = np.random.default_rng(6)
    count, gain = 6, 800
    reach = conditioning_matrix(FRONT_END).shape[0]
    matrix = conditioning_matrix(FRONT_END)
    walk = generator.normal(0, 6, (count, reach)).cumsum(1)
    raw = np.round(walk - walk.mean(1, keepdims=True)).astype(np.int64)
    template = generator.normal(0, 200, (count, 96)).astype(np.int64)

    def inputs(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both channels as the device computes them, and before any rounding, in LSB."""
        conditioned = (counts @ matrix + 2048) >> 12
        exact = counts @ matrix / 4096
        whole = np.stack([conditioned, conditioned - template], 1)
        unrounded = np.stack([exact, exact - template], 1) * gain / (1 << 14)
        return np.clip((whole * gain + (1 << 13)) >> 14, -127, 127), unrounded

    model = create("certifiable-ecg", (96, 2), FEATURES, 3, seed=2).eval()
    _, exact = inputs(raw)
    step = FRONT_END.signal_scale
    clean = torch.from_numpy(np.clip(exact, -127, 127) * step).float()
    perturbed = Perturbed(training_spec(f"linf:{5 * limit}uV", ADC), FRONT_END, ADC)
    rhythm = torch.zeros(count, FEATURES)
    bounded = perturbed.inputs(clean, rhythm, torch.full((count,), float(gain)), 1.0)
    label = torch.arange(count) % 3
    start = clean.clone().requires_grad_()
    over = margins(logits_of(model, start, rhythm), label)
    slopes = []
    for other in range(3):
        (slope,) = torch.autograd.grad(over[:, other].sum(), start, retain_graph=True)
        slopes.append(slope.sum(1).numpy())
    with torch.no_grad():
        passed = BoundedClassifier(model)(*bounded)
        bounds = [passed.interval_margins(label), passed.linear_margins(label)]
        for sample in range(100):
            moved = generator.integers(-limit, limit + 1, raw.shape)
            if sample < 3:  # the corner that a linear network's margin over `sample` is least at
                moved = -limit * np.sign(slopes[sample] @ matrix.T).astype(np.int64)
            elif generator.random() < 0.5:
                moved = limit * np.sign(moved)
            signal = torch.from_numpy(inputs(raw + moved)[0] * step).float()
            found = margins(logits_of(model, signal, rhythm), label)
            for bound in bounds:
                assert (bound <= found + 1e-4).all()


def test_the_form_s_features_stay_in_their_box() -> None:
    generator = np.random.default_rng(7)
    windows = beats(20, 8)
    signal = torch.from_numpy(windows.signal.transpose(0, 2, 1) / 32).float()
    gain = torch.from_numpy(windows.gain.astype(np.float32))
    perturbed = Perturbed(training_spec("linf:20uV", ADC), FRONT_END, ADC)
    rhythm = torch.zeros(20, FEATURES)
    bounded, box_of = perturbed.inputs(signal, rhythm, gain, 1.0)
    assert isinstance(bounded, Related)
    most = bounded.changes.support(torch.eye(96)).numpy()
    per_count = windows.gain / (1 << 14) / 32

    def form(beat: np.ndarray, difference: np.ndarray) -> np.ndarray:
        rows = []
        for wave, zone, share in (
            (difference, slice(*FRONT_END.qrs), 0.5),
            (difference, slice(*FRONT_END.p_wave), 0.5),
            (beat, slice(*FRONT_END.qrs), 1.0),
        ):
            energy = ((wave[:, zone] / per_count[:, None]) ** 2).sum(1) / 256
            rows.append(share * np.log2(energy + 1))
        return np.stack(rows, 1)

    channels = signal.numpy()
    before = form(channels[:, 0], channels[:, 1])
    for _ in range(50):
        change = generator.uniform(-1, 1, most.shape) * most
        after = form(channels[:, 0] + change, channels[:, 1] + change)
        moved = after - before
        assert (moved >= box_of.low[:, -3:].numpy() - 1e-4).all()
        assert (moved <= box_of.high[:, -3:].numpy() + 1e-4).all()
    assert (box_of.radius[:, :-3] == 0).all()


@pytest.mark.parametrize(
    "layer",
    [
        *(nn.ELU(0.5, inplace=True), nn.LeakyReLU(0.2), nn.Sigmoid(), nn.Tanh()),
        *(nn.Hardsigmoid(), nn.GELU(), nn.SiLU(), nn.Hardswish()),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_functions_stay_within_their_bounds(layer: nn.Module) -> None:
    torch.manual_seed(4)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), layer, nn.Linear(12, 3)).eval()
    signal = box(torch.randn(6, 2, LENGTH), 0.5)
    passed = BoundedClassifier(model)(signal, signal)
    label = torch.tensor([0, 1, 2, 0, 1, 2])
    found = margins(model(signal.clean), label)
    for _ in range(40):
        moved = signal.clean + (torch.rand_like(signal.clean) - 0.5).sign() * 0.5
        found = torch.minimum(found, margins(model(moved), label))
    assert (passed.interval_margins(label) <= found + 1e-5).all()
    assert (passed.linear_margins(label) <= found + 1e-5).all()


class Strange(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Softplus()
        self.dense = nn.Linear(16, 3)

    def forward(self, signal: Tensor) -> Tensor:
        logits: Tensor = self.dense(torch.softmax(self.gate(signal.flatten(1)), 1))
        return logits


class Deciding(nn.Module):
    def forward(self, signal: Tensor) -> Tensor:
        return signal.flatten(1) if signal.sum() > 0 else -signal.flatten(1)


def test_what_bounds_do_not_go_through_is_named_all_at_once() -> None:
    with pytest.raises(ModelError, match="Softplus 'gate', softmax 'softmax'"):
        BoundedClassifier(Strange())
    with pytest.raises(ModelError, match="cannot be traced"):
        BoundedClassifier(Deciding())
    model = BoundedClassifier(nn.Sequential(Squaring(), nn.Flatten(), nn.Linear(16, 2)))
    signal = box(torch.zeros(1, 2, LENGTH), 0.1)
    with pytest.raises(ModelError, match="a product of two values"):
        model(signal, signal)


class Squaring(nn.Module):
    def forward(self, value: Tensor) -> Tensor:
        return value * value


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_of_ours_can_be_bounded(name: str) -> None:
    length = 512 if name in ("chb-mit-cnn", "eegnet", "eeg-tcn") else 96
    model = create(name, (length, 2), FEATURES, 5, seed=1).eval()
    signal, rhythm = box(torch.randn(2, 2, length), 0.01), box(torch.randn(2, FEATURES), 0.01)
    passed = BoundedClassifier(model)(signal, rhythm)
    label = torch.tensor([0, 3])
    torch.testing.assert_close(passed.logits, logits_of(model, signal.clean, rhythm.clean))
    clean = margins(passed.logits, label)
    assert (passed.linear_margins(label) <= clean + 1e-5).all()
    assert (passed.interval_margins(label) <= passed.linear_margins(label)).all()
