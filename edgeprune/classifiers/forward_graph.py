"""What a module's forward does with its children, as a graph that can be changed.

Every module that calls others has a graph of its own (torch.fx), in which its children are single
operations; so one block of a network can be rewritten, and all else stays the module it was.
"""

from __future__ import annotations

import inspect
import operator
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from edgeprune.errors import ModelError

_RECTIFIERS: set[Any] = {
    "relu",
    "relu_",
    torch.relu,
    torch.relu_,
    functional.relu,
    functional.relu_,
}
# None of these makes a negative number of numbers that are none.
_KEEPING_SIGN: set[Any] = {
    "flatten", "reshape", "view", "mean", "sum", "amax", "squeeze", "unsqueeze", "transpose",
    "permute", "contiguous", "clone", "detach", "sqrt", "add", "add_", "mul", "mul_",
    torch.flatten, torch.reshape, torch.mean, torch.sum, torch.amax, torch.squeeze,
    torch.unsqueeze, torch.transpose, torch.permute, torch.cat, torch.concat, torch.stack,
    torch.add, torch.mul, operator.add, operator.iadd, operator.mul, operator.getitem,
    functional.max_pool1d, functional.max_pool2d, functional.avg_pool1d, functional.avg_pool2d,
    functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d,
    functional.adaptive_max_pool1d, functional.adaptive_max_pool2d, functional.dropout,
    torch.max_pool1d, torch.avg_pool1d, torch.adaptive_avg_pool1d,
}  # fmt: skip
_POSITIVE: set[Any] = {"abs", "exp", "sigmoid", torch.abs, torch.exp, torch.sigmoid}
_KEEPING_SIGN_MODULES = (
    nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.Flatten, nn.Dropout,
    nn.Dropout1d, nn.Dropout2d, nn.Identity,
)  # fmt: skip


@dataclass(frozen=True)
class Traced:
    """A module that calls others, and what one pass through it looked like.

    Attributes:
        name: Qualified name; empty for the classifier itself.
        module: The module.
        graph: Its forward; children are single operations.
        shapes: Shape of each tensor in it, by node, where a pass was seen.
    """

    name: str
    module: nn.Module
    graph: fx.Graph
    shapes: dict[fx.Node, tuple[int, ...]]

    def qualified(self, target: object) -> str:
        """Return the qualified name of a child."""
        return f"{self.name}.{target}" if self.name else str(target)

    def child(self, node: fx.Node) -> nn.Module | None:
        """Return the module that a node calls, if it calls one."""
        return self.module.get_submodule(str(node.target)) if node.op == "call_module" else None


class ForwardGraphs:
    """The forward graphs of a classifier, by the names of the modules they are of.

    Attributes:
        traced: By qualified name, outer modules first.
        refused: Why modules that call others have no graph, by qualified name.
        calls: How often each module was called in the pass.

    Args:
        model: The classifier; its mode is restored.
        example: Inputs to call it with.
    """

    def __init__(self, model: nn.Module, example: tuple[Tensor, ...]) -> None:
        self.model = model
        self.calls: Counter[str] = Counter()
        self.traced: dict[str, Traced] = {}
        self.refused: dict[str, str] = {}
        modes = {module: module.training for module in model.modules()}
        try:
            model.eval()
            given = self._watch(example)
            for name, module in model.named_modules():
                if list(module.children()) and self.calls[name]:
                    self._trace(name, module, *given[name])
        finally:
            for module, training in modes.items():
                module.training = training

    @torch.no_grad()
    def _watch(self, example: tuple[Tensor, ...]) -> dict[str, tuple[Any, Any]]:
        given: dict[str, tuple[Any, Any]] = {}

        def hook_of(name: str) -> Any:
            def watch(_: nn.Module, arguments: Any, named: Any) -> None:
                self.calls[name] += 1
                given[name] = arguments, named

            return watch

        handles = [
            module.register_forward_pre_hook(hook_of(name), with_kwargs=True)
            for name, module in self.model.named_modules()
        ]
        try:
            self.model(*example)
        finally:
            for handle in handles:
                handle.remove()
        return given

    def _trace(self, name: str, module: nn.Module, arguments: Any, named: Any) -> None:
        if self.calls[name] > 1:
            self.refused[name] = f"it is called {self.calls[name]} times"
            return
        try:
            traced = trace(name, module)
        except ModelError as problem:
            self.refused[name] = problem.what
            return
        traced.shapes.update(_shapes(traced, arguments, named))
        self.traced[name] = traced

    def nonnegative(self, owner: Traced, value: fx.Node) -> bool:
        """Return whether it is certain that a value of a graph is never below 0."""
        if value.op == "placeholder":
            return self._given_nonnegative(owner, value)
        if value.op == "get_attr":
            constant = _attribute(owner.module, str(value.target))
            fixed = isinstance(constant, Tensor) and not isinstance(constant, nn.Parameter)
            return fixed and bool((constant >= 0).all())
        operands = all(self.nonnegative(owner, node) for node in value.all_input_nodes)
        if value.op == "call_module":
            child = owner.child(value)
            inner = self.traced.get(owner.qualified(value.target))
            if inner is not None:
                return self.nonnegative(inner, result_of(inner.graph))
            return isinstance(child, nn.ReLU) or (
                isinstance(child, _KEEPING_SIGN_MODULES) and operands
            )
        if value.target in _RECTIFIERS or value.target in _POSITIVE:
            return True
        numbers = [a for a in value.args[1:] if isinstance(a, float)]
        return value.target in _KEEPING_SIGN and operands and all(n >= 0 for n in numbers)

    def _given_nonnegative(self, owner: Traced, placeholder: fx.Node) -> bool:
        for caller in reversed(self.traced.values()):
            prefix = f"{caller.name}." if caller.name else ""
            if caller is owner or not owner.name.startswith(prefix):
                continue
            target = owner.name[len(prefix) :]
            for node in caller.graph.nodes:
                if node.op == "call_module" and node.target == target:
                    argument = _argument(owner, placeholder, node)
                    return argument is not None and self.nonnegative(caller, argument)
        return False


def is_rectifier(owner: Traced, node: fx.Node) -> bool:
    """Return whether a node is a ReLU, a module or not."""
    return isinstance(owner.child(node), nn.ReLU) or (
        node.op in ("call_function", "call_method") and node.target in _RECTIFIERS
    )


def result_of(graph: fx.Graph) -> fx.Node:
    """Return the value that a forward returns (of several, the first)."""
    output = next(node for node in reversed(graph.nodes) if node.op == "output")
    returned: fx.Node = output.all_input_nodes[0]
    return returned


class _Children(fx.Tracer):
    """Takes every child as one operation."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


class _Shapes(fx.Interpreter):
    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        super().__init__(module, graph=graph)
        self.shapes: dict[str, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.shapes[n.name] = tuple(result.shape)
        return result


def trace(name: str, module: nn.Module) -> Traced:
    """Trace the forward of a module, without shapes.

    Args:
        name: Its qualified name.
        module: The module; its mode is restored.

    Raises:
        ModelError: Its forward cannot be traced.
    """
    training = module.training
    try:
        module.training = False
        graph = _Children().trace(module)
        if "training" in type(module).forward.__code__.co_names:
            module.training = True
            if str(_Children().trace(module)) != str(graph):
                raise ValueError("it does something else in training, not in a module")
    except Exception as problem:  # a user's forward may do anything
        raise ModelError(
            f"its forward cannot be traced: {problem}",
            where=name or type(module).__name__,
            hint="let forward not decide by values or by its mode; write that as modules",
        ) from problem
    finally:
        module.training = training
    for node in graph.nodes:
        node.type = None  # annotations, which may be strings; those cannot be pickled
    return Traced(name, module, graph, {})


@torch.no_grad()
def _shapes(traced: Traced, arguments: Any, named: Any) -> dict[fx.Node, tuple[int, ...]]:
    module, graph = traced.module, traced.graph
    run = _Shapes(module, graph)
    bound = inspect.signature(module.forward).bind(*arguments, **named)
    bound.apply_defaults()
    order = [str(node.target) for node in graph.nodes if node.op == "placeholder"]
    run.run(*(bound.arguments[name] for name in order), enable_io_processing=False)
    return {node: run.shapes[node.name] for node in graph.nodes if node.name in run.shapes}


def _argument(owner: Traced, placeholder: fx.Node, call: fx.Node) -> fx.Node | None:
    order = [node for node in owner.graph.nodes if node.op == "placeholder"]
    position = order.index(placeholder)
    found = call.kwargs.get(str(placeholder.target))
    if position < len(call.args):
        found = call.args[position]
    return found if isinstance(found, fx.Node) else None


def _attribute(module: nn.Module, name: str) -> Any:
    return operator.attrgetter(name)(module)
