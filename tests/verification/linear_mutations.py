"""Linear bounds broken on purpose; see `tests.verification.mutations`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgeprune.network.weighted import WeightedOperation
from edgeprune.verification import (
    activations,
    backward,
    bound_graph,
    input_forms,
    line_tables,
    linear_bounds,
    relaxations,
    slopes,
)
from edgeprune.verification.bound_nodes import Averaged, BoundGraph, Node, Step
from edgeprune.verification.linear_bounds import BoundSettings
from edgeprune.verification.linear_maps import SlidingMap
from tests.verification import provers
from tests.verification.mutations import Mutation, Patch
from tests.verification.tiny_networks import TinyCase, loose_case, tiny_case

REFINED = provers.linear(BoundSettings())
OPTIMISED = provers.linear(BoundSettings(iterations=3))
ANY_RUNTIME = provers.linear(BoundSettings(), rounding_lsb=1)


def shared_case(seed: int) -> TinyCase:
    """Draw a case whose signal moves in both channels together."""
    return tiny_case(seed, shared=True)


# What a Step states.


def _steps(change: Callable[[Step], Step]) -> Patch:
    """Return a patch that changes the Step nodes of every graph."""

    def node(each: Node) -> Node:
        return change(each) if isinstance(each, Step) else each

    def apply(patch: pytest.MonkeyPatch) -> None:
        exact = bound_graph.bound_graph

        def broken(*args: Any) -> BoundGraph:
            graph = exact(*args)
            return replace(graph, nodes=tuple(node(each) for each in graph.nodes))

        patch.setattr(bound_graph, "bound_graph", broken)

    return apply


def _no_rounding(step: Step) -> Step:
    return replace(step, error=np.zeros(step.size))


def _rounded_once(step: Step) -> Step:
    return replace(step, error=np.minimum(step.error, 0.5))


def _exact_mean(step: Step) -> Step:
    return _no_rounding(step) if isinstance(step.levels, Averaged) else step


def _exact_sum(step: Step) -> Step:
    return replace(step, slack=np.zeros(step.size))


def _no_upper_clamp(step: Step) -> Step:
    return replace(step, high=np.full(step.size, 1e4))


def _no_lower_clamp(step: Step) -> Step:
    return replace(step, low=np.full(step.size, -1e4))


def _factor_off(step: Step) -> Step:
    return replace(step, factor=step.factor * (1 + 2.0**-7))


def _padding_counts(step: Step) -> Step:
    if not isinstance(step.levels, Averaged):
        return step
    return replace(step, factor=np.full(step.size, step.factor.min()))


def _same_runtime(step: Step) -> Step:
    return replace(step, error=step.error - step.spread, spread=0)


def _spread_of_values_only(step: Step) -> Step:
    """Interval ends may be an LSB off, the lines may not."""
    return replace(step, error=step.error - step.spread)


def _only_requantized(step: Step) -> Step:
    sums = isinstance(step.levels, Averaged) or step.slack.any()
    return _same_runtime(step) if sums else step


# What an Affine states.


def _zero_points(patch: pytest.MonkeyPatch) -> None:
    exact = bound_graph._Lowering._zero_point
    patch.setattr(
        bound_graph._Lowering, "_zero_point", lambda self, name: max(exact(self, name) - 1, -128)
    )


def _padding_is_integer_zero(patch: pytest.MonkeyPatch) -> None:
    exact = bound_graph._Lowering._weighted

    def weighted(self: Any, operation: WeightedOperation) -> int:
        number = exact(self, operation)
        sums = self.nodes[number - 1]
        linear = sums.maps[0]
        if isinstance(linear, SlidingMap):
            zero_point = self._zero_point(operation.inputs[0])
            constant = operation.bias - zero_point * linear.taps.sum(axis=(0, 2))
            constant = np.tile(constant, linear.lengths[1])
            self.nodes[number - 1] = replace(sums, constant=constant)
        return number

    patch.setattr(bound_graph._Lowering, "_weighted", weighted)


def _padding_shifted(patch: pytest.MonkeyPatch) -> None:
    exact = bound_graph._Lowering._linear

    def linear(self: Any, operation: WeightedOperation) -> Any:
        found = exact(self, operation)
        if isinstance(found, SlidingMap) and found.padding:
            return replace(found, padding=found.padding - 1)
        return found

    patch.setattr(bound_graph._Lowering, "_linear", linear)


def _signed_magnitudes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SlidingMap, "absolute", lambda self: self)


def _sums_are_integers(patch: pytest.MonkeyPatch) -> None:
    exact = bound_graph._Lowering._add

    def add(self: Any, operation: Any) -> int:
        number = exact(self, operation)
        self.nodes[number - 1] = replace(self.nodes[number - 1], integral=True)
        self.nodes[number] = replace(self.nodes[number], slack=np.zeros(self.nodes[number].size))
        return number

    patch.setattr(bound_graph._Lowering, "_add", add)


def _joined_in_reverse(patch: pytest.MonkeyPatch) -> None:
    exact = bound_graph._Lowering._concat

    def concat(self: Any, operation: Any) -> int:
        number = exact(self, operation)
        join = self.nodes[number]
        sizes = [len(place) for place in join.places]
        if len(set(sizes)) == 1:
            self.nodes[number] = replace(join, operands=join.operands[::-1])
        return number

    patch.setattr(bound_graph._Lowering, "_concat", concat)


# Lines.


def _in_all(patch: pytest.MonkeyPatch, name: str, function: Any) -> None:
    """Replace a function wherever the package calls it."""
    for module in (relaxations, activations, slopes, linear_bounds, backward, input_forms):
        if hasattr(module, name):
            patch.setattr(module, name, function)


def _other_line(patch: pytest.MonkeyPatch) -> None:
    exact = line_tables.Frame.step

    def step(*args: Any) -> Any:
        found = exact(*args)
        return replace(found, slope_half=-found.slope_half, intercept_half=-found.intercept_half)

    patch.setattr(line_tables.Frame, "step", step)


def _negative_coefficients_alike(patch: pytest.MonkeyPatch) -> None:
    """Take the line below for every coefficient."""
    exact = line_tables.Frame.step

    def step(self: Any, number: int, found: Any, *args: Any) -> Any:
        alike = replace(found, upper_slope=found.lower_slope, upper=found.lower)
        return exact(self, number, alike, *args)

    patch.setattr(line_tables.Frame, "step", step)


def _narrow(end: str, share: float) -> Patch:
    def apply(patch: pytest.MonkeyPatch) -> None:
        exact = relaxations.kinks

        def kinks(step: Step, low: Any, high: Any, least: Any, most: Any) -> Any:
            if end == "low":
                low = low + share * (high - low)
                least = step.ends(low, high)[0]
            else:
                high = high - share * (high - low)
                most = step.ends(low, high)[1]
            return exact(step, low, high, least, most)

        _in_all(patch, "kinks", kinks)

    return apply


def _steeper(side: str) -> Patch:
    """Raise the slope beyond what the intercept is for."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        exact = relaxations.lines

        def lines(*args: Any) -> Any:
            found = exact(*args)
            return replace(found, **{side: 1.1 * getattr(found, side) + 0.002})

        _in_all(patch, "lines", lines)

    return apply


def _kink_without_error(patch: pytest.MonkeyPatch) -> None:
    """The lines turn where the exact value would be clamped, not where a rounded one may be."""
    exact = relaxations.kinks

    def kinks(step: Step, *args: Any) -> Any:
        return exact(replace(step, error=np.zeros(step.size)), *args)

    _in_all(patch, "kinks", kinks)


def _mean_as_maximum(patch: pytest.MonkeyPatch) -> None:
    exact = relaxations.maximum_lines

    def lines(node: Any, low: Any, high: Any) -> Any:
        found = exact(node, low, high)
        mean = high[:, node.cells].mean(axis=2)
        return replace(found, upper_slope=np.zeros_like(mean), upper=mean)

    _in_all(patch, "maximum_lines", lines)


def _one_cell_as_maximum(patch: pytest.MonkeyPatch) -> None:
    exact = relaxations.maximum_lines

    def lines(node: Any, low: Any, high: Any) -> Any:
        found = exact(node, low, high)
        ones = np.ones_like(found.upper)
        return replace(found, upper_slope=ones, upper=np.zeros_like(ones))

    _in_all(patch, "maximum_lines", lines)


# Passes.


def _last_reader_only(patch: pytest.MonkeyPatch) -> None:
    def add(
        graph: Any, pending: Any, passed: Any, tables: Any, number: Any, rows: Any, span: Any
    ) -> None:
        pending[number] = rows, span

    patch.setattr(backward, "_add", add)


def _lines_of_another_window(patch: pytest.MonkeyPatch) -> None:
    exact = backward._through_step

    def through(number: int, rows: Any, span: Any, owners: Any, table: Any, passed: Any) -> None:
        parts = {name: each for name, each in vars(table).items() if isinstance(each, np.ndarray)}
        first = {name: np.repeat(each[:1], len(each), axis=0) for name, each in parts.items()}
        first |= {"columns": None}
        exact(number, rows, span, owners, replace(table, **first), passed)

    patch.setattr(backward, "_through_step", through)


def _no_intercepts_of_maxima(patch: pytest.MonkeyPatch) -> None:
    exact = backward._through_maximum

    def through(node: Any, rows: Any, span: Any, owners: Any, table: Any, passed: Any) -> Any:
        nothing = np.zeros_like(table.upper_intercept)
        return exact(node, rows, span, owners, replace(table, upper_intercept=nothing), passed)

    patch.setattr(backward, "_through_maximum", through)


# Inputs.


def _middle_is_an_integer(patch: pytest.MonkeyPatch) -> None:
    exact = input_forms.InputForms.of

    def of(graph: Any, sets: Any) -> Any:
        forms = exact(graph, sets)
        return replace(
            forms,
            centre={key: np.floor(each) for key, each in forms.centre.items()},
            radius={key: np.floor(each) for key, each in forms.radius.items()},
        )

    patch.setattr(input_forms.InputForms, "of", staticmethod(of))


def _correlated(change: Callable[[Any], Any]) -> Patch:
    def apply(patch: pytest.MonkeyPatch) -> None:
        exact = provers.correlated_input
        patch.setattr(provers, "correlated_input", lambda shared: change(exact(shared)))

    return apply


def _no_slack(correlated: Any) -> Any:
    return replace(correlated, slack=np.zeros_like(correlated.slack))


def _clip_forgotten(correlated: Any) -> Any:
    return replace(
        correlated,
        slack=np.full_like(correlated.slack, 0.5),
        usable=np.ones_like(correlated.usable),
    )


def _channels(combine: Callable[[Any], Any]) -> Patch:
    """Combine the channels' coefficients otherwise than by their sum."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        exact = input_forms.InputForms._least_correlated

        def least(self: Any, correlated: Any, rows: Any, span: Any, owners: Any) -> Any:
            length, channels = correlated.centre.shape[1:]
            wide = input_forms.widen(rows, span, (0, length * channels))
            shaped = -wide.reshape(len(rows), length, channels)
            wrong = combine(shaped)
            with pytest.MonkeyPatch.context() as inner:
                support = input_forms._support
                inner.setattr(input_forms, "_support", lambda c, _, o: support(c, wrong, o))
                return exact(self, correlated, rows, span, owners)

        patch.setattr(input_forms.InputForms, "_least_correlated", least)

    return apply


# Decisions.


def _proves(before: float, after: float) -> Patch:
    def apply(patch: pytest.MonkeyPatch) -> None:
        def proves(lower: Any, decisions: Any) -> Any:
            earlier = np.arange(lower.shape[1]) < decisions[:, np.newaxis]
            return np.where(earlier, lower > before, lower > after).all(axis=1)

        patch.setattr(provers, "proves", proves)

    return apply


def _no_float_errors(patch: pytest.MonkeyPatch) -> None:
    for module in (line_tables, activations, backward, input_forms, slopes):
        patch.setattr(module, "gamma", lambda *args: 0.0)
    patch.setattr(relaxations, "_MARGIN", 0.0)


def _mutation(rule: str, change: str, apply: Patch, **fields: Any) -> Mutation:
    return Mutation(rule, change, **({"prover": REFINED} | fields), apply=apply)


LINEAR_MUTATIONS = (
    _mutation("step, rounding", "its error is dropped", _steps(_no_rounding)),
    _mutation("step, rounding", "rounding twice counts once", _steps(_rounded_once)),
    _mutation("step, factor", "it is off by 1/128", _steps(_factor_off)),
    _mutation("step, clamp", "the upper clamp is ignored", _steps(_no_upper_clamp)),
    _mutation("step, clamp", "the lower clamp is ignored", _steps(_no_lower_clamp)),
    _mutation("average, rounding", "its error is dropped", _steps(_exact_mean)),
    _mutation("average, padding", "cells of the padding are counted", _steps(_padding_counts)),
    _mutation(
        "add, rounding",
        "the error of its scaled inputs is dropped",
        _steps(_exact_sum),
        expected=False,
        why="it is about a millionth of a step: inputs are shifted left by 20 bits first",
    ),
    _mutation("add, integers", "scaled inputs are taken for integers", _sums_are_integers),
    _mutation("layer, zero point", "the input's is off by one", _zero_points),
    _mutation("layer, padding", "it counts as the integer 0", _padding_is_integer_zero),
    _mutation("layer, padding", "windows start one cell late", _padding_shifted),
    _mutation("layer, interval", "magnitudes of weights keep their sign", _signed_magnitudes),
    _mutation("concat", "operands change places", _joined_in_reverse),
    _mutation("lines", "those below and above are exchanged", _other_line),
    _mutation("lines", "negative coefficients take the line below", _negative_coefficients_alike),
    _mutation("lines, range", "the chord leaves out the lowest fifth", _narrow("low", 0.2)),
    _mutation("lines, range", "the chord leaves out the highest fifth", _narrow("high", 0.2)),
    _mutation("lines, slope", "steeper below, intercept as it was", _steeper("lower_slope")),
    _mutation("lines, slope", "steeper above, intercept as it was", _steeper("upper_slope")),
    _mutation("lines, kink", "it ignores the rounding error", _kink_without_error),
    _mutation("maximum", "the mean bounds it from above", _mean_as_maximum),
    _mutation("maximum", "its largest cell alone bounds it from above", _one_cell_as_maximum),
    _mutation("maximum", "the intercept of its line is dropped", _no_intercepts_of_maxima),
    _mutation("pass, residual", "one reader's coefficients are lost", _last_reader_only),
    _mutation("pass, batch", "all windows take the first one's lines", _lines_of_another_window),
    _mutation("inputs, box", "middle and half width are rounded down", _middle_is_an_integer),
    _mutation(
        "inputs, shared change",
        "the rounding of the signal is dropped",
        _correlated(_no_slack),
        draw=shared_case,
    ),
    _mutation(
        "inputs, shared change",
        "the clip of the signal is forgotten",
        _correlated(_clip_forgotten),
        draw=shared_case,
        prover=OPTIMISED,
    ),
    _mutation(
        "inputs, shared change",
        "channels cancel by their difference",
        _channels(lambda each: each[:, :, 0] - each[:, :, 1]),
        draw=shared_case,
    ),
    _mutation(
        "inputs, shared change",
        "only the first channel moves",
        _channels(lambda each: each[:, :, 0]),
        draw=shared_case,
    ),
    _mutation("decision, ties", "an equal logit before it is no loss", _proves(-1.0, -1.0)),
    _mutation("decision, integers", "integrality is used twice", _proves(0.0, -2.0)),
    _mutation("float errors", "no error term is subtracted", _no_float_errors),
    _mutation(
        "any runtime",
        "the LSB is not counted",
        _steps(_same_runtime),
        prover=ANY_RUNTIME,
        draw=loose_case,
    ),
    _mutation(
        "any runtime",
        "the LSB is counted in intervals only",
        _steps(_spread_of_values_only),
        prover=ANY_RUNTIME,
        draw=loose_case,
    ),
    _mutation(
        "any runtime",
        "averages and sums are taken for exact",
        _steps(_only_requantized),
        prover=ANY_RUNTIME,
        draw=loose_case,
    ),
)
