"""Every figure of an evidence under a name that is the same in the evidence of another build.

A path of evidence.json counts list items by position; positions move when a build has one stage or
one perturbation more. Here an item stands under its own name, in braces:
`performance.{int8 as flashed}.scores.classes.{V}.sensitivity`. A position and `*`, for every item,
are understood too.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from edgeprune.errors import ConfigurationError
from edgeprune.evidence.attacks import MinimumNorm, Transfer
from edgeprune.evidence.beat_scores import BeatScores
from edgeprune.evidence.device import InstructionClass, InstructionCount, ModelRange, ParityRow
from edgeprune.evidence.evidence import Evidence
from edgeprune.evidence.guard import SubgroupChange
from edgeprune.evidence.performance import StageComparison
from edgeprune.evidence.probabilities import ProbabilityScores
from edgeprune.evidence.quantity import Number, Quantity, Where
from edgeprune.evidence.seizures import SeizureScores

EVERY = "*"
# What tells the items of a list apart: the first of these that a record has, or what is named for
# its kind. Where a record has none, its position does.
_IDENTIFYING = (
    "stage",
    "name",
    "text",
    "attack",
    "record",
    "patient",
    "perturbation",
    "key",
    "path",
    "id",
    "reason",
    "method",
)
_IDENTIFYING_TOGETHER: dict[type, tuple[str, ...]] = {
    BeatScores: ("stage", "part"),
    MinimumNorm: ("attack", "norm"),
    ParityRow: ("implementation", "place", "compared"),
    ProbabilityScores: ("stage", "part"),
    SeizureScores: ("stage", "part"),
    StageComparison: ("before", "after"),
    SubgroupChange: ("kind", "name"),
    Transfer: ("attack", "ball", "source", "target"),
}
_STEP = re.compile(r"\{[^{}]+\}|\*|\w+")
_PATH = re.compile(rf"(?:{_STEP.pattern})(?:\.(?:{_STEP.pattern}))*")
_UNITS_OF_MODELS = {"cycles": "cycle", "microseconds": "us", "microjoules": "uJ"}
_COUNTED = {"macs": "multiply-accumulate", "parameters": "parameter"}


@dataclass(frozen=True)
class Figure:
    """One figure and where it stands.

    Attributes:
        name: The same in every evidence, e.g. "device.firmware.flash_bytes".
        source: Path in evidence.json, as the report cites it.
        quantity: The figure; a bare number has the unit that its name says.
    """

    name: str
    source: str
    quantity: Quantity


@dataclass(frozen=True)
class FigurePath:
    """A path to one figure, or with `*` to several.

    Attributes:
        text: As it was written.
        steps: Field names, positions, `*`, and names of items in braces.
    """

    text: str
    steps: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, where: str = "") -> FigurePath:
        """Read a path and hold it against the records of the evidence.

        Args:
            text: E.g. "performance.{int8 as flashed}.scores.accuracy".
            where: What names it, for messages.

        Raises:
            ConfigurationError: It is no path, names a field that no record has, or ends at
                something that is no figure.
        """
        steps = _PATH.fullmatch(text) and tuple(match[0] for match in _STEP.finditer(text))
        if not steps:
            raise ConfigurationError(
                f"'{text}' is no path of a figure",
                where=where,
                hint="dots between the steps and braces around names, e.g. "
                "performance.{int8 as flashed}.scores.accuracy",
            )
        _check(text, steps, where)
        return cls(text, steps)

    def __str__(self) -> str:
        return self.text


def find(evidence: Evidence, path: FigurePath) -> tuple[Figure, ...]:
    """Return the figures at a path, in order; none where the evidence has none there."""
    found = _follow(evidence, path.steps, "", "")
    return tuple(figure for figure in found if figure is not None)


def figures_of(evidence: Evidence, sections: Sequence[str]) -> Iterator[Figure]:
    """Yield every figure of some sections of the evidence, in order.

    Args:
        evidence: The evidence.
        sections: Names of its fields, e.g. "performance".
    """
    for section in sections:
        yield from _all(getattr(evidence, section), section, section, None)


def item_names(items: Sequence[object]) -> tuple[str, ...]:
    """Return a name for each item of a list: what identifies it, numbered where it is no other."""
    names: list[str] = []
    seen: dict[str, int] = {}
    for position, item in enumerate(items):
        name = _own_name(item) or str(position)
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return tuple(names)


def _own_name(item: object) -> str:
    together = _IDENTIFYING_TOGETHER.get(type(item))
    texts = [str(getattr(item, field, None) or "") for field in together or _IDENTIFYING]
    own = [text for text in texts if text]
    # Braces enclose the name in a path.
    return re.sub(r"[{}]", "", ", ".join(own if together else own[:1]))


def _follow(value: Any, steps: Sequence[str], name: str, source: str) -> Iterator[Figure | None]:
    if value is None:
        return
    if not steps:
        yield _figure(value, name, source, None)
        return
    step, rest = steps[0], steps[1:]
    if isinstance(value, tuple):
        for position, own in enumerate(item_names(value)):
            if step in (EVERY, str(position), f"{{{own}}}"):
                place = f"{source}.{position}"
                yield from _follow(value[position], rest, f"{name}.{{{own}}}", place)
        return
    inner = getattr(value, step)
    joined, place = _join(name, step), _join(source, step)
    if not rest and not isinstance(inner, Quantity):
        yield _figure(inner, joined, place, value)
    else:
        yield from _follow(inner, rest, joined, place)


def _all(value: Any, name: str, source: str, parent: object) -> Iterator[Figure]:
    if isinstance(value, tuple):
        for position, (own, item) in enumerate(zip(item_names(value), value, strict=True)):
            if is_dataclass(item):
                yield from _all(item, f"{name}.{{{own}}}", f"{source}.{position}", None)
    elif is_dataclass(value) and not isinstance(value, Quantity):
        for field in fields(value):
            inner = getattr(value, field.name)
            yield from _all(inner, f"{name}.{field.name}", f"{source}.{field.name}", value)
    elif isinstance(value, Quantity) or _is_counted(name, parent):
        figure = _figure(value, name, source, parent)
        if figure is not None:
            yield figure


def _is_counted(name: str, parent: object) -> bool:
    """Say whether a bare number is a figure of its own and no detail of another."""
    leaf = name.rpartition(".")[2]
    if isinstance(parent, InstructionCount | ModelRange | InstructionClass):
        return leaf != "windows"
    return leaf.endswith("_bytes") or leaf in _COUNTED


def _figure(value: Any, name: str, source: str, parent: object) -> Figure | None:
    if isinstance(value, Quantity):
        return Figure(name, source, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return Figure(name, source, _with_unit(value, name, parent))


def _with_unit(value: Number, name: str, parent: object) -> Quantity:
    """Return a bare number with what its name and the record around it say."""
    above, _, leaf = name.rpartition(".")
    if isinstance(parent, ModelRange):
        unit = _UNITS_OF_MODELS.get(above.rpartition(".")[2], "cycle")
        return Quantity(value, unit, parent.where)
    if isinstance(parent, InstructionCount) and leaf != "windows":
        return Quantity(value, "instruction", parent.where, n=parent.windows, n_of="windows")
    if isinstance(parent, InstructionClass):
        return Quantity(value, "instruction", Where.EMULATOR)
    if leaf.endswith("_bytes"):
        return Quantity(value, "byte", Where.IMAGE)
    return Quantity(value, _COUNTED.get(leaf, "1"), Where.HOST)


def _check(text: str, steps: Sequence[str], where: str) -> None:
    kind: Any = Evidence
    for number, step in enumerate(steps):
        kind = _without_none(kind)
        so_far = ".".join(steps[:number])
        if typing.get_origin(kind) is tuple:
            if not (step.isdecimal() or step == EVERY or step.startswith("{")):
                raise ConfigurationError(
                    f"'{so_far}' is a list: '{step}' is no item of it",
                    where=where,
                    hint=f"name an item as {{{step}}}, or take every item with {EVERY}",
                )
            kind = typing.get_args(kind)[0]
            continue
        known = _fields(kind) if _is_record(kind) else {}
        if step not in known:
            nearest = get_close_matches(step, known, n=1, cutoff=0.5)
            guess = f"did you mean '{nearest[0]}'? " if nearest else ""
            raise ConfigurationError(
                f"'{text}' leads nowhere: {so_far or 'the evidence'} has no '{step}'",
                where=where,
                hint=f"{guess}known: {', '.join(known) or 'nothing below it'}",
            )
        kind = known[step]
    kind = _without_none(kind)
    if kind is not Quantity and kind not in (int, float) and kind != int | float:
        raise ConfigurationError(
            f"'{text}' ends at no figure",
            where=where,
            hint=f"go on to one of: {', '.join(_fields(kind))}"
            if _is_record(kind)
            else "name a figure, e.g. performance.{int8 as flashed}.scores.accuracy",
        )


def _is_record(kind: Any) -> bool:
    return is_dataclass(kind)


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        options = [each for each in typing.get_args(kind) if each is not type(None)]
        return options[0] if len(options) == 1 else int | float
    return kind


@cache
def _fields(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(typing.cast(Any, kind))}


def _join(name: str, step: str) -> str:
    return f"{name}.{step}" if name else step
