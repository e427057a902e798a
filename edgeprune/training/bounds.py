"""Differentiable bounds of a classifier's margins while its inputs move.

Interval bounds follow each value's interval forward (IBP; Gowal et al., arXiv 1810.12715). The
CROWN-interval bound pulls linear lower bounds of the margins back to the inputs through those
intervals (CROWN-IBP; Zhang et al., arXiv 1906.06316). The last layer is elided: bounds are of
`z_c - z_j` and not of the logits one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from edgeprune.classifiers import takes_rhythm
from edgeprune.errors import ModelError
from edgeprune.training.bound_rules import FUNCTIONS, MODULES, BoundedModule
from edgeprune.training.bound_steps import Pull, lowest
from edgeprune.training.bounded import Bounded, Interval, Related

_MEASURES = ("getattr", "size", "dim", "numel")


@dataclass(frozen=True)
class RectifierBounds:
    """What reaches a ReLU, and which layer it comes from.

    Attributes:
        name: Qualified name of the layer that the ReLU reads.
        bounds: What reaches the ReLU.
        scale: Scale of the normalization there, [channels], detached; None without one.
    """

    name: str
    bounds: Interval
    scale: Tensor | None


class _Tracer(fx.Tracer):
    """Takes a module that bounds itself as one operation."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, BoundedModule) or super().is_leaf_module(module, name)


@dataclass(frozen=True)
class _Taken:
    """One operation that was run: where its operands came from and how lines get back."""

    result: fx.Node
    operands: tuple[fx.Node, ...]
    pull: Pull


class BoundPass:
    """One pass of a batch with its bounds.

    Attributes:
        logits: Of the unchanged inputs, float [n, classes].
        rectified: What reaches each ReLU.
    """

    def __init__(
        self,
        values: Mapping[fx.Node, Any],
        taken: Sequence[_Taken],
        rectified: tuple[RectifierBounds, ...],
        last: tuple[Bounded, Tensor, Tensor | None] | None,
        output: fx.Node,
        before: fx.Node | None,
    ) -> None:
        self._values = values
        self._taken = taken
        self.rectified = rectified
        self._last = last
        self._output = output
        self._before = before
        self.logits: Tensor = values[output].clean

    def interval_margins(self, label: Tensor) -> Tensor:
        """Return lower bounds of `z_label - z_j`, [n, classes]; 0 at the label itself.

        Args:
            label: Int64 [n].
        """
        if self._last is None:
            bounds = self._values[self._output].interval()
            own = bounds.low.gather(1, label[:, None])
            margins: Tensor = (own - bounds.high).scatter(1, label[:, None], 0.0)
            return margins
        value, difference, constant = self._differences(label)
        interval = value.interval()
        middle = torch.einsum("nkf,nf->nk", difference, interval.centre)
        spread = torch.einsum("nkf,nf->nk", difference.abs(), interval.radius)
        return middle - spread + constant

    def linear_margins(self, label: Tensor) -> Tensor:
        """Return lower bounds of `z_label - z_j` by lines pulled back through the intervals.

        Where the interval bound is the tighter one, it is returned: never looser than that.
        """
        if self._last is None:
            classes = torch.eye(self.logits.shape[1])
            difference = classes[label][:, None] - classes[None]
            lines: dict[fx.Node, Tensor] = {self._output: difference}
            bound = torch.zeros(difference.shape[:2])
        else:
            assert self._before is not None
            _, difference, constant = self._differences(label)
            lines, bound = {self._before: difference}, constant
        for step in reversed(self._taken):
            coefficients = lines.pop(step.result, None)
            if coefficients is None:
                continue
            pulled = step.pull(coefficients)
            bound = bound + pulled.constant
            for operand, back in zip(step.operands, pulled.coefficients, strict=True):
                if back is not None:
                    lines[operand] = lines[operand] + back if operand in lines else back
        for node, coefficients in lines.items():
            bound = bound + lowest(coefficients, self._values[node])
        return torch.maximum(bound, self.interval_margins(label))

    def _differences(self, label: Tensor) -> tuple[Bounded, Tensor, Tensor]:
        assert self._last is not None
        value, weight, bias = self._last
        difference = weight[label][:, None] - weight[None]
        if bias is None:
            return value, difference, torch.zeros(difference.shape[:2])
        return value, difference, bias[label][:, None] - bias[None]


class BoundedClassifier:
    """A classifier that can be run with bounds; it shares the modules of the one given.

    Args:
        model: The classifier; its mode decides what normalization and dropout do.

    Raises:
        ModelError: It cannot be traced, or holds operations that bounds do not go through: all
            of them are named.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._takes_rhythm = takes_rhythm(model)
        try:
            self._graph = _Tracer().trace(model)
        except Exception as error:  # a user's forward may do anything
            raise ModelError(
                f"the classifier cannot be traced for bounds: {type(error).__name__}: {error}",
                where=type(model).__name__,
                hint="let forward not decide by the values of its inputs, or leave [robustness] "
                "off",
            ) from error
        self._modules = dict(model.named_modules())
        self._check()
        (self._output,) = (node for node in self._graph.nodes if node.op == "output")
        self._readers = {node: list(node.users) for node in self._graph.nodes}

    def __call__(self, signal: Bounded, rhythm: Bounded) -> BoundPass:
        """Run a batch with its bounds.

        Args:
            signal: Of [n, channels, length].
            rhythm: Of [n, features]; not used by a classifier that takes the signal alone.
        """
        given = iter((signal, rhythm) if self._takes_rhythm else (signal,))
        values: dict[fx.Node, Any] = {}
        taken: list[_Taken] = []
        rectified: list[RectifierBounds] = []
        last = before = None
        result = self._output.args[0]
        assert isinstance(result, fx.Node)
        for node in self._graph.nodes:
            if node.op == "placeholder":
                values[node] = next(given, None)
            elif node.op == "get_attr":
                values[node] = _attribute(self.model, str(node.target))
            elif node.op != "output":
                arguments = fx.node.map_arg(node.args, values.__getitem__)
                named = fx.node.map_arg(node.kwargs, values.__getitem__)
                operands = tuple(n for n in node.all_input_nodes if _bounded(values[n]))
                if not operands:
                    values[node] = _plainly(node, arguments, named)
                elif _name(node) in _MEASURES:
                    first, *others = arguments
                    values[node] = _plainly(node, (first.clean, *others), named)
                else:
                    if node is result:
                        last = self._last_layer(node, arguments, named)
                        before = operands[0] if last is not None else None
                    if self._is_rectifier(node):
                        arguments = (arguments[0].interval(), *arguments[1:])
                        rectified.append(self._layer(operands[0], arguments[0]))
                    step = self._rule(node)(*arguments, **named)
                    values[node] = step.result
                    taken.append(_Taken(node, operands, step.pull))
        return BoundPass(values, taken, tuple(rectified), last, result, before)

    def _rule(self, node: fx.Node) -> Any:
        if node.op == "call_module":
            layer = self._modules[str(node.target)]
            rule = _module_rule(layer)
            assert rule is not None
            return lambda *values: rule(layer, *values)
        return FUNCTIONS[_name(node)]

    def _is_rectifier(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(self._modules[str(node.target)], nn.ReLU)
        return _name(node) in ("relu", "relu_")

    def _layer(self, source: fx.Node, value: Bounded) -> RectifierBounds:
        name, scale = source.name, None
        if source.op == "call_module":
            name = str(source.target)
            layer = self._modules[name]
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.weight is not None:
                scale = layer.weight.detach()
        return RectifierBounds(name, value.interval(), scale)

    def _last_layer(
        self, node: fx.Node, arguments: Any, named: Any
    ) -> tuple[Bounded, Tensor, Tensor | None] | None:
        if node.op == "call_module":
            layer = self._modules[str(node.target)]
            if isinstance(layer, nn.Linear) and arguments[0].clean.ndim == 2:
                return arguments[0], layer.weight, layer.bias
        elif _name(node) == "linear" and not named and arguments[0].clean.ndim == 2:
            value, weight, *bias = arguments
            return value, weight, bias[0] if bias else None
        return None

    def _check(self) -> None:
        unknown = []
        moving: set[fx.Node] = set()
        for node in self._graph.nodes:
            if node.op == "placeholder":
                moving.add(node)
            elif node.op.startswith("call_") and moving & set(node.all_input_nodes):
                if _name(node) in _MEASURES and node.op != "call_module":
                    continue
                moving.add(node)
                if node.op == "call_module":
                    layer = self._modules[str(node.target)]
                    if _module_rule(layer) is None:
                        unknown.append(f"{type(layer).__name__} '{node.target}'")
                elif _name(node) not in FUNCTIONS:
                    unknown.append(f"{_name(node)} '{node.name}'")
        if unknown:
            raise ModelError(
                f"bounds do not go through {', '.join(unknown)}",
                where=type(self.model).__name__,
                hint="use convolutions, dense layers, batch normalization, relu, clamp, pools, "
                "add, cat and changes of layout, or leave [robustness] off",
            )


def _module_rule(layer: nn.Module) -> Any:
    if isinstance(layer, BoundedModule):
        return type(layer).bound
    return next((MODULES[kind] for kind in type(layer).__mro__ if kind in MODULES), None)


def _name(node: fx.Node) -> str:
    return (
        str(getattr(node.target, "__name__", node.target)).strip("_")
        if not isinstance(node.target, str)
        else node.target
    )


def _bounded(value: Any) -> bool:
    return isinstance(value, Interval | Related)


def _attribute(model: nn.Module, path: str) -> Any:
    value: Any = model
    for part in path.split("."):
        value = getattr(value, part)
    return value


def _plainly(node: fx.Node, arguments: Any, named: Any) -> Any:
    if node.op == "call_method":
        first, *others = arguments
        return getattr(first, str(node.target))(*others, **named)
    assert callable(node.target)
    return node.target(*arguments, **named)
