"""Float bounds never lie above the same bounds in rational numbers, and hardly below."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import pytest

from edgeprune.verification.activations import Activations, bound_activations
from edgeprune.verification.backward import Owners, backward
from edgeprune.verification.bound_graph import bound_graph
from edgeprune.verification.bound_nodes import Affine, BoundGraph, Curve, Maximum, Product, Step
from edgeprune.verification.input_forms import InputForms
from edgeprune.verification.input_sets import InputSets
from edgeprune.verification.line_tables import Frame
from edgeprune.verification.linear_bounds import BoundSettings, linear_bounds
from edgeprune.verification.relaxations import adaptive, curve_lines, kinks, lines, maximum_lines
from tests.verification.exact_pass import adaptive_slopes, exact_lower
from tests.verification.tiny_networks import TinyCase, tiny_case

SEEDS = range(12)


def prepared(seed: int) -> tuple[TinyCase, BoundGraph, InputSets]:
    case = tiny_case(seed, shared=False)
    return case, bound_graph(case.network), InputSets(case.low, case.high)


@pytest.mark.parametrize("seed", SEEDS)
def test_objectives_in_float64_are_below_rational_ones(seed: int) -> None:
    case, graph, sets = prepared(seed)
    random = np.random.default_rng(seed)
    objectives = random.normal(0, 3, (case.windows, 2, case.logits.shape[1]))
    found = linear_bounds(graph, sets, objectives, settings=BoundSettings(iterations=2))
    box = [*case.low], [*case.high]
    for window in range(case.windows):
        for which in range(2):
            slopes = {
                number: tuple(
                    np.broadcast_to(side[number], (case.windows, 2, side[number].shape[2]))[
                        :, which
                    ]
                    for side in (found.slopes.lower, found.slopes.upper)
                )
                for number in graph.steps
            }
            exact = exact_lower(
                graph,
                found.activations,
                slopes,
                window,
                graph.output,
                objectives[window, which],
                box,
            )
            assert Fraction(float(found.lower[window, which])) <= exact
            assert float(exact) - found.lower[window, which] < 1e-8 * (1 + abs(float(exact)))


@pytest.mark.parametrize("seed", SEEDS)
def test_refined_accumulators_in_float32_are_outside_of_rational_ones(seed: int) -> None:
    case, graph, sets = prepared(seed)
    found = bound_activations(graph, sets, least_kink=0.0)
    plain = bound_activations(graph, sets, refines=False)
    slopes = adaptive_slopes(graph, found)
    box = [*case.low], [*case.high]
    for number, mask in found.refined.items():
        step = graph.nodes[number]
        assert isinstance(step, Step)
        operand = graph.nodes[step.operand]
        assert isinstance(operand, Affine)
        for window, neuron in np.argwhere(mask)[:4]:
            row = np.zeros(operand.size)
            row[neuron] = 1.0
            low = exact_lower(graph, found, slopes, int(window), step.operand, row, box)
            high = -exact_lower(graph, found, slopes, int(window), step.operand, -row, box)
            least, most = interval(graph, found, operand, int(window), int(neuron))
            if operand.integral:
                low, high = Fraction(ceil(low)), -Fraction(ceil(-high))
            assert Fraction(float(found.low[step.operand][window, neuron])) <= max(low, least)
            assert Fraction(float(found.high[step.operand][window, neuron])) >= min(high, most)
            # Outside, but by little: half of a step at the very most.
            slack = Fraction(1 if operand.integral else 0) + Fraction(1, 2) / Fraction(
                float(step.factor[neuron])
            )
            assert Fraction(float(found.low[step.operand][window, neuron])) >= low - slack
    assert len(plain.refined) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_pass_in_either_arithmetic_is_below_a_rational_one(seed: int, dtype: type) -> None:
    case, graph, sets = prepared(seed)
    found = bound_activations(graph, sets)
    slopes = adaptive_slopes(graph, found)
    forms = InputForms.of(graph, sets)
    frame = Frame(graph, graph.run([forms.nominal[n] for n in graph.sources]), dtype)
    steps, others = {}, {}
    for number, node in enumerate(graph.nodes):
        frame.place(number, found.low[number], found.high[number])
        if isinstance(node, Step):
            ends = [
                bounds[of] for of in (node.operand, number) for bounds in (found.low, found.high)
            ]
            kinked = kinks(node, *ends).lifted()
            steps[number] = frame.step(number, lines(kinked, *adaptive(kinked)))
        elif isinstance(node, Maximum):
            before = found.low[node.operand], found.high[node.operand]
            others[number] = frame.maximum(number, maximum_lines(node, *before))
        elif isinstance(node, Curve):
            before = found.low[node.operand], found.high[node.operand]
            steps[number] = frame.step(number, curve_lines(node, *before).lifted())
        elif isinstance(node, Product):
            others[number] = frame.product(number, found.low, found.high)
    random = np.random.default_rng(seed)
    rows = random.normal(0, 3, (case.windows, graph.nodes[graph.output].size)).astype(dtype)
    owners = Owners(np.arange(case.windows), 1)
    span = 0, rows.shape[1]
    passed = backward(graph, graph.output, rows.copy(), span, owners, frame.tables(steps, others))
    lower = passed.constant + forms.least(passed.sources, owners)
    for window in range(case.windows):
        row = rows[window].astype(np.float64)
        box = [*case.low], [*case.high]
        exact = exact_lower(graph, found, slopes, window, graph.output, row, box)
        nominal = frame.nominal[graph.output][window]
        exact -= sum(
            Fraction(float(a)) * Fraction(float(b)) for a, b in zip(row, nominal, strict=True)
        )
        assert Fraction(float(lower[window])) <= exact
        assert float(exact) - lower[window] < (0.05 if dtype == np.float32 else 1e-8) * (
            1 + np.abs(row).sum()
        )


def interval(
    graph: BoundGraph, found: Activations, operand: Affine, window: int, neuron: int
) -> tuple[Fraction, Fraction]:
    """Bound one accumulator by its operands' boxes, exactly."""
    least = most = Fraction(float(operand.constant[neuron]))
    for number, linear in zip(operand.operands, operand.maps, strict=True):
        weights = linear.matrix()[neuron]
        for weight, low, high in zip(
            weights, found.low[number][window], found.high[number][window], strict=True
        ):
            ends = Fraction(float(weight)) * int(low), Fraction(float(weight)) * int(high)
            least, most = least + min(ends), most + max(ends)
    return least, most
