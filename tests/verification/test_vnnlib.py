"""What other verifiers get: read back by a small parser, and run by ONNX Runtime."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from hypothesis import given, settings

from edgeprune.network import IntegerNetwork
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.perturbations import parse_perturbation
from edgeprune.verification.vnnlib import export, float_onnx, real_box, vnnlib
from tests.certified_beats import beats
from tests.certified_beats import network as network_about
from tests.network.strategies import Case, cases


@dataclass(frozen=True)
class Property:
    """What a VNN-LIB file says."""

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    cases: tuple[tuple[str, str], ...]

    def violated(self, outputs: npt.NDArray[np.float32]) -> bool:
        """Whether outputs [classes] fulfil the negated property."""
        values = {f"Y_{k}": float(value) for k, value in enumerate(outputs)}
        return any(values[left] >= values[right] for left, right in self.cases)


def parse(text: str) -> Property:
    """Read the part of VNN-LIB that the benchmarks use."""
    text = re.sub(r";.*", "", text)
    declared = re.findall(r"\(declare-const (\w+) Real\)", text)
    inputs = [name for name in declared if name.startswith("X_")]
    ends: dict[str, dict[str, float]] = {">=": {}, "<=": {}}
    for sign, name, value in re.findall(r"\(assert \(([<>]=) (X_\d+) (-?\d+\.\d+)\)\)", text):
        assert name not in ends[sign]
        ends[sign][name] = float(value)
    (final,) = re.findall(r"\(assert \(or (.*)\)\)", text)
    rivals = re.findall(r"\(and \(>= (Y_\d+) (Y_\d+)\)\)", final)
    assert text.count("(") == text.count(")")
    low, high = (np.array([ends[sign][name] for name in inputs]) for sign in (">=", "<="))
    return Property(low, high, tuple(rivals))


def run(network: IntegerNetwork, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(float_onnx(network).SerializeToString())
    outputs = [session.run(["Y"], {"X": row[None].astype(np.float32)})[0][0] for row in rows]
    return np.stack(outputs)


def test_the_text_is_the_box_and_the_negated_property() -> None:
    low, high = np.array([-1.5, 1e-7, 2.0]), np.array([-1.0, 0.03125, 2.0])
    found = parse(vnnlib(low, high, decision=1, classes=3))
    assert found.low.tolist() == low.tolist()
    assert found.high.tolist() == high.tolist()
    assert set(found.cases) == {("Y_0", "Y_1"), ("Y_2", "Y_1")}
    assert not found.violated(np.array([0.0, 1.0, 0.5], np.float32))
    assert found.violated(np.array([0.0, 1.0, 1.0], np.float32))


def test_beats_are_exported_with_boxes_that_hold_their_members(tmp_path: Path) -> None:
    held = beats(4)
    network = network_about(beats(24))
    perturbation = parse_perturbation("linf:5uV")
    decisions = network.predict(*held.inputs())
    paths = export(network, perturbation.input_sets(held), decisions, tmp_path)
    rows = (tmp_path / "instances.csv").read_text().splitlines()
    assert rows[2] == "network.onnx,window_2.vnnlib,60"
    random = np.random.default_rng(0)
    for number, path in enumerate(paths):
        found = parse(path.read_text())
        for _ in range(5):
            inputs = HeldInputs(held.inputs(perturbation.random(held, random))).raw[number] / 32
            assert ((found.low <= inputs) & (inputs <= found.high)).all()
        # What the float network says at the middle and at corners is what the property asks.
        corners = [np.where(random.random(len(found.low)) < 0.5, found.low, found.high)]
        points = np.stack([HeldInputs(held.inputs()).raw[number] / 32, *corners])
        for outputs in run(network, points):
            wins = outputs.argmax() == decisions[number] and np.ptp(np.sort(outputs)[-2:]) > 0
            assert found.violated(outputs) == (not wins)


@settings(max_examples=25, deadline=None)
@given(case=cases(count=3))
def test_the_float_network_is_the_integer_one_but_for_roundings(case: Case) -> None:
    network = case.network
    rows, _ = real_box(network, parse_perturbation("linf:0lsb").input_sets(HeldInputs(case.inputs)))
    found = run(network, rows)
    layers = network.run_layers(*case.inputs)
    saturated = any(
        ((layers[name] == 127) | (layers[name] == -128)).any()
        for name in layers
        if name not in network.inputs
    )
    if saturated:
        # int8 ends are no part of the float network.
        return
    expected = network.output_tensor.dequantize(network.run(*case.inputs))
    steps = np.abs(found - expected) / network.output_tensor.scale
    assert np.isfinite(found).all()
    # A layer's rounding of half a step can grow by its weights.
    assert steps.max() <= 0.75 or len(network.operations) > 1


@pytest.mark.parametrize("seed", range(3))
def test_close_to_the_integers_where_ranges_fit(seed: int) -> None:
    held = beats(16, seed)
    network = network_about(held, seed)
    rows, _ = real_box(network, parse_perturbation("linf:0uV").input_sets(held))
    found = run(network, rows)
    expected = network.output_tensor.dequantize(network.run(*held.inputs()))
    error = np.abs(found - expected) / network.output_tensor.scale
    assert np.median(error) < 6
