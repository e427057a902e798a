"""Modules that stand where an architecture had others: what pruning puts in place of a layer.

A saved classifier lists its replacements, so that loading builds the same modules again before
channel counts and weights are set. To add one: subclass `Replacement` and add its line to
`REPLACEMENTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from edgeprune.errors import ModelError
from edgeprune.late import late
from edgeprune.registry import Registry


@dataclass(frozen=True)
class Replaced:
    """One replacement as it is written down.

    Attributes:
        module: Qualified name of the place.
        kind: Name in `REPLACEMENTS`.
        facts: What its class needs to be built: JSON values by name.
    """

    module: str
    kind: str
    facts: Mapping[str, Any]


class Replacement(nn.Module):
    """A module in the place of another; what it learns belongs into parameters and buffers.

    Attributes:
        kind: Its name in `REPLACEMENTS`.
    """

    kind: ClassVar[str]

    def facts(self) -> Mapping[str, Any]:
        """Return what `build` needs besides the original: JSON values by name."""
        return {}

    def hold(self) -> None:
        """Bring the weights back to what they are to satisfy, in place; training asks for it."""

    @classmethod
    def build(cls, original: nn.Module, facts: Mapping[str, Any]) -> Replacement:
        """Return a replacement of those facts for a module; its weights are set afterwards."""
        raise NotImplementedError


# "module:Class" within this package, imported when a file asks for it.
REPLACEMENTS: Registry[str] = Registry(
    "replacement",
    without="blocks:WithoutBlocks",
    factored="factored:Factored",
    conditioned="factored:Conditioned",
    grafted="grafted:Grafted",
)


def replacements(model: nn.Module) -> tuple[Replaced, ...]:
    """Return all replacements in a classifier, outer ones first."""
    return tuple(
        Replaced(name, module.kind, module.facts())
        for name, module in model.named_modules()
        if isinstance(module, Replacement)
    )


def replacement_class(kind: str, where: str) -> type[Replacement]:
    """Return the class of a kind of replacement.

    Raises:
        UnknownNameError: This version knows no such replacement.
    """
    found: type[Replacement] = late("edgeprune.classifiers", REPLACEMENTS.get(kind, where=where))
    return found


def replace_again(model: nn.Module, replaced: tuple[Replaced, ...]) -> None:
    """Put replacements that `replacements` listed into a classifier as created, in place.

    Raises:
        ModelError: The architecture has no such module.
        UnknownNameError: This version knows no such replacement.
    """
    for entry in replaced:
        kind = replacement_class(entry.kind, where=entry.module)
        original = dict(model.named_modules()).get(entry.module)
        if original is None:
            raise ModelError(
                f"the architecture has no module '{entry.module}' to replace",
                where=entry.module,
                hint="build the classifier with the version that saved it",
            )
        put_module(model, entry.module, kind.build(original, entry.facts))


def is_held(model: nn.Module) -> bool:
    """Return whether a classifier has replacements."""
    return any(isinstance(module, Replacement) for module in model.modules())


def hold(model: nn.Module) -> None:
    """Bring the weights of all replacements back to what they are to satisfy, in place."""
    for module in model.modules():
        if isinstance(module, Replacement):
            module.hold()


def put_module(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module in the place of that qualified name, in place; "" is the classifier itself."""
    if not name:
        # Who holds the classifier goes on holding it: it becomes the other module.
        model.__class__ = module.__class__
        model.__dict__ = module.__dict__
        return
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)
