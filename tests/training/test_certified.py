"""Certified training proves more than natural training, repeats itself, and survives rounding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeprune.classifiers import create
from edgeprune.config import QuantizationSettings, RobustnessSettings, TrainingSettings
from edgeprune.errors import UnknownNameError, UnsupportedOperatorError
from edgeprune.network import read_qdq
from edgeprune.progress import Silent
from edgeprune.quantization import quantize, to_float_onnx
from edgeprune.quantization.calibration import ActivationRange
from edgeprune.training import (
    CertifiedTraining,
    TrainingResult,
    macro_f1,
    predict,
    train,
    train_quantized,
)
from edgeprune.training.bound_steps import clamped
from edgeprune.training.bounded import Interval
from edgeprune.training.bounds import BoundedClassifier
from edgeprune.training.certified import certified_share
from edgeprune.training.certified_losses import (
    neuron_instability,
    rectifier_instability,
    worst_case_loss,
)
from edgeprune.training.fake_quantization import FakeQuantize, RoundedWeights
from edgeprune.training.quantized import QuantizedClassifier
from edgeprune.verification import output_bounds
from tests.training.bounded_modules import ADC, FEATURES, FRONT_END, beats
from tests.training.test_loop import Killer, PowerCutError, content

ROBUST = RobustnessSettings(perturbation="linf:60uV", quantized_epochs=2)
CERTIFIED = CertifiedTraining(ROBUST, ADC)
SETTINGS = TrainingSettings(
    epochs=4, epoch_steps=8, batch_size=64, learning_rate=1e-2, teachers=0, augmentation=0.3
)
WINDOWS, VALIDATION = beats(300, 1), beats(120, 2)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def fit(
    certified: CertifiedTraining | None,
    folder: Path | None = None,
    progress: Silent | None = None,
    name: str = "certifiable-ecg",
    settings: TrainingSettings = SETTINGS,
) -> TrainingResult:
    model = create(name, (96, 2), FEATURES, 3, seed=4)
    return train(
        model,
        WINDOWS,
        VALIDATION,
        FRONT_END,
        settings,
        9,
        progress or Silent(),
        folder,
        certified=certified,
    )


def test_four_epochs_prove_more_than_natural_training() -> None:
    # Shorter ones end in a network of one class on some processors: rounding decides.
    enough = replace(SETTINGS, epoch_steps=20)
    quick = CertifiedTraining(ROBUST, ADC)
    natural, robust = fit(None, settings=enough), fit(quick, settings=enough)
    shares = [
        certified_share(each.model, VALIDATION, FRONT_END, quick) for each in (natural, robust)
    ]
    assert shares[1] > shares[0] + 0.2
    assert robust.history[-1].validation_certified == shares[1]
    assert natural.history[-1].validation_certified is None
    decisions = predict(robust.model, VALIDATION, FRONT_END).argmax(1)
    assert macro_f1(VALIDATION.label, decisions) > 0.8


@pytest.mark.parametrize("loss", ["interval", "crown-interval"])
def test_interrupted_certified_training_ends_in_the_same_bytes(loss: str, tmp_path: Path) -> None:
    certified = CertifiedTraining(replace(ROBUST, loss=loss, neuron_stability=0.01), ADC)
    settings = replace(SETTINGS, epochs=3, epoch_steps=2, batch_size=8)
    whole = fit(certified, name="residual-ecg-small", settings=settings)
    with pytest.raises(PowerCutError):
        fit(certified, tmp_path, Killer(5), name="residual-ecg-small", settings=settings)
    resumed = fit(certified, tmp_path, name="residual-ecg-small", settings=settings)
    assert content(resumed) == content(whole)
    assert resumed.history == whole.history
    other = CertifiedTraining(replace(certified.settings, weight=0.3), ADC)
    fresh = fit(other, tmp_path, name="residual-ecg-small", settings=settings)
    assert content(fresh) != content(whole)


def test_the_bounds_prove_what_no_change_breaks() -> None:
    result = fit(CERTIFIED)
    share = certified_share(result.model, VALIDATION, FRONT_END, CERTIFIED)
    linear = CertifiedTraining(replace(ROBUST, loss="crown-interval"), ADC)
    assert certified_share(result.model, VALIDATION, FRONT_END, linear) >= share
    twice = CertifiedTraining(replace(ROBUST, perturbation="linf:120uV"), ADC)
    assert certified_share(result.model, VALIDATION, FRONT_END, twice) <= share
    right = predict(result.model, VALIDATION, FRONT_END).argmax(1) == VALIDATION.label
    assert share <= right.mean()


def test_radius_and_weight_rise_once_and_stay() -> None:
    courses = [CERTIFIED.progress(done) for done in np.linspace(0, 1, 101)]
    assert courses[:6] == [0.0] * 6
    assert courses[30] == pytest.approx(0.5)
    assert courses[56:] == [1.0] * 45
    assert CertifiedTraining(ROBUST, ADC, warm=True).progress(0.0) == 1.0
    with pytest.raises(UnknownNameError):
        fit(CertifiedTraining(replace(ROBUST, loss="hope"), ADC))


def test_the_worst_case_loss_is_the_cross_entropy_of_the_worst_logits() -> None:
    margins = torch.tensor([[0.0, 1.5, -0.5]])
    offsets = torch.tensor([0.0, -2.0, -1.0])
    worst = torch.tensor([[0.0, -1.5 + 2.0, 0.5 + 1.0]])
    expected = torch.logsumexp(worst, 1) - worst[:, 0]
    found = worst_case_loss(margins, torch.tensor([0]), offsets)
    assert found.item() == pytest.approx(expected.item())


def test_penalties_are_what_their_papers_say() -> None:
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ReLU(), nn.Linear(2, 2)
    ).eval()
    dense, norm = model[1], model[2]
    assert isinstance(dense, nn.Linear)
    assert isinstance(norm, nn.BatchNorm1d)
    with torch.no_grad():
        dense.weight.copy_(torch.tensor([[1.0, -2.0], [0.5, 0.0]]))
        dense.bias.copy_(torch.tensor([0.25, 1.0]))
        norm.weight.copy_(torch.tensor([2.0, 0.5]))
    value = torch.tensor([[[0.5, 0.5]]])
    signal = Interval(value, value, torch.full_like(value, 0.25))
    passed = BoundedClassifier(model)(signal, signal)
    # Before the normalization: -0.25 +- 0.75 and 1.25 +- 0.125.
    bounds = [(2 * -1.0, 2 * 0.5, 2.0), (0.5 * 1.125, 0.5 * 1.375, 0.5)]
    plain = -np.mean([np.tanh(1 + low * high) for low, high, _ in bounds])
    scaled = -np.mean([np.tanh(1 + low * high / g**2) for low, high, g in bounds])
    assert rectifier_instability(passed).item() == pytest.approx(plain, rel=1e-4)
    assert neuron_instability(passed).item() == pytest.approx(scaled, rel=1e-4)
    norm.weight.grad = None
    neuron_instability(passed).backward()
    assert norm.weight.grad is not None  # through the bounds, not through g


@pytest.mark.parametrize("penalty", ["relu_stability", "neuron_stability"])
def test_a_penalty_leaves_fewer_units_that_can_switch(penalty: str) -> None:
    def unstable(model: nn.Module) -> float:
        value = torch.from_numpy(VALIDATION.signal.transpose(0, 2, 1) / 32).float()
        rhythm = torch.from_numpy(VALIDATION.rhythm / 32).float()
        signal = Interval(value, value, torch.full_like(value, 0.05))
        still = Interval(rhythm, rhythm, torch.zeros_like(rhythm))
        layers = BoundedClassifier(model)(signal, still).rectified
        switching = [((x.bounds.low < 0) & (x.bounds.high > 0)).float().mean() for x in layers]
        return float(torch.stack(switching).mean())

    weak = replace(ROBUST, perturbation="linf:10uV", weight=0.5, warm_up=0.1)
    plain = fit(CertifiedTraining(weak, ADC))
    penalized = fit(CertifiedTraining(replace(weak, **{penalty: 30.0}), ADC))
    assert unstable(penalized.model) < 0.8 * unstable(plain.model)


def test_rounding_is_the_quantizer_s_and_gradients_pass() -> None:
    weight = torch.randn(4, 3, 5, requires_grad=True)
    for per_channel in (True, False):
        made = RoundedWeights(per_channel=per_channel)(weight)
        largest = weight.detach().abs().flatten(1).amax(1) if per_channel else weight.abs().amax()
        steps = made.detach() / torch.as_tensor(largest / 127).reshape(-1, 1, 1)
        torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)
        assert steps.abs().max() <= 127 + 1e-4
        (gradient,) = torch.autograd.grad(made.sum(), weight)
        torch.testing.assert_close(gradient, torch.ones_like(weight), atol=1e-5, rtol=0)
    rounding = FakeQuantize(ActivationRange(0.5, -128))
    value = torch.tensor([-3.0, 0.2, 0.3, 200.0], requires_grad=True)
    torch.testing.assert_close(rounding(value), torch.tensor([0.0, 0.0, 0.5, 127.5]))
    (gradient,) = torch.autograd.grad(rounding(value).sum(), value)
    assert gradient.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_lines_through_a_clamp_and_a_rounding_hold() -> None:
    torch.manual_seed(1)
    rounding = FakeQuantize(ActivationRange(0.25, 10))
    for radius in (0.1, 5.0, 60.0):
        middle = 60 * torch.rand(500, 1) - 40
        value = Interval(middle, middle, torch.full_like(middle, radius))
        for step, function in (
            (rounding.bound(value), rounding),
            (clamped(value, -30.0, 25.0), lambda x: x.clamp(-30, 25)),
            (clamped(value, 0.0, float("inf")), functional.relu),
        ):
            for sign in (1.0, -1.0):
                pulled = step.pull(torch.full((500, 1, 1), sign))
                (slope,) = pulled.coefficients
                assert slope is not None
                for share in torch.linspace(-1, 1, 41):
                    point = middle + share * radius
                    line = slope[:, 0] * point + pulled.constant
                    assert (line <= sign * function(point) + 1e-4).all()
                    result = step.result.interval()
                    assert (function(point) <= result.high + 1e-4).all()
                    assert (function(point) >= result.low - 1e-4).all()


@pytest.fixture(scope="module", params=["certifiable-ecg", "residual-ecg-small"])
def quantized(request: pytest.FixtureRequest) -> tuple:
    torch.set_num_threads(1)
    name = request.param
    trained = fit(CERTIFIED, name=name).model
    graph = to_float_onnx(trained, (96, 2), FEATURES)
    settings = QuantizationSettings(calibration_windows=128)
    first = quantize(graph, WINDOWS, FRONT_END, settings, Silent(), 1)
    last = train_quantized(
        graph, first.ranges, WINDOWS, VALIDATION, FRONT_END, SETTINGS, CERTIFIED, 5, Silent()
    )
    second = quantize(last.model, WINDOWS, FRONT_END, settings, Silent(), 1, ranges=first.ranges)
    return name, trained, last, second


def test_what_is_trained_is_what_the_integers_are(quantized: tuple) -> None:
    _, _, last, result = quantized
    network = read_qdq(result.model)
    model = QuantizedClassifier(last.model, result.ranges).eval()
    logits = predict(model, VALIDATION, FRONT_END)
    scale = network.output_tensor.scale
    values = network.run(VALIDATION.signal, VALIDATION.rhythm).astype(np.int64)
    found = (values - network.output_tensor.zero_point) * scale
    step = np.abs(np.clip(logits, found.min(), found.max()) - found) / scale
    assert np.median(step) <= 0.5
    assert (step <= 3).mean() > 0.98
    assert (network.predict(VALIDATION.signal, VALIDATION.rhythm) == logits.argmax(1)).mean() > 0.98
    assert result.chosen.calibration == "ranges it was trained for"


def test_interval_bounds_through_roundings_are_those_of_the_integers(quantized: tuple) -> None:
    name, _, last, result = quantized
    network = read_qdq(result.model)
    model = QuantizedClassifier(last.model, result.ranges).eval()
    chosen = VALIDATION.select(np.arange(40))
    low = np.clip(chosen.signal.astype(int) - 2, -128, 127).astype(np.int8)
    high = np.clip(chosen.signal.astype(int) + 2, -128, 127).astype(np.int8)
    least, greatest = output_bounds(network, [(low, high), (chosen.rhythm, chosen.rhythm)])

    def real(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.swapaxes(values, 1, 2).astype(np.float32) / 32)

    middle, rhythm = real(chosen.signal), torch.from_numpy(chosen.rhythm / np.float32(32))
    signal = Interval.between(middle, real(low), real(high))
    passed = BoundedClassifier(model)(signal, Interval(rhythm, rhythm, torch.zeros_like(rhythm)))
    output = passed._values[passed._output].interval()
    scale, zero = network.output_tensor.scale, network.output_tensor.zero_point
    for found, wanted in ((output.low, least), (output.high, greatest)):
        steps = np.clip(found.detach().numpy() / scale + zero, -128, 127)
        assert np.abs(steps - wanted).mean() < 2.0, name


def test_the_last_training_repeats_itself(quantized: tuple, tmp_path: Path) -> None:
    name, trained, last, result = quantized
    if name != "certifiable-ecg":
        return
    graph = to_float_onnx(trained, (96, 2), FEATURES)
    ranges = result.ranges

    def again(progress: Silent) -> bytes:
        made = train_quantized(
            graph, ranges, WINDOWS, VALIDATION, FRONT_END, SETTINGS, CERTIFIED, 5, progress,
            tmp_path,
        )  # fmt: skip
        return made.model.SerializeToString(deterministic=True)

    with pytest.raises(PowerCutError):
        again(Killer(11))
    assert again(Silent()) == last.model.SerializeToString(deterministic=True)


def test_rounding_loses_no_decisions_that_were_proved(quantized: tuple) -> None:
    _, trained, last, result = quantized
    before = certified_share(trained, VALIDATION, FRONT_END, CERTIFIED)
    model = QuantizedClassifier(last.model, result.ranges).eval()
    after = certified_share(model, VALIDATION, FRONT_END, CERTIFIED)
    assert after >= before - 0.03


def test_a_graph_that_cannot_be_trained_is_named() -> None:
    import onnx

    graph = to_float_onnx(create("r1", (96, 2), 0, 3, seed=1), (96, 2), 0)
    graph.graph.node.append(onnx.helper.make_node("Erf", ["logits"], ["other"], name="odd"))
    with pytest.raises(UnsupportedOperatorError, match="Erf 'odd'"):
        QuantizedClassifier(graph, {})
