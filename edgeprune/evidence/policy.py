"""policy.toml: what a change of the network may cost, agreed before anybody makes the change.

The limits of a predetermined change control plan are gates: each names a figure of the evidence
and how far it may go. `edgeprune compare` and `edgeprune diff` judge them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from edgeprune.errors import ConfigurationError
from edgeprune.evidence.figures import FigurePath
from edgeprune.files import write_bytes
from edgeprune.typed_toml import locate, parse_table, read_toml

POLICY_SCHEMA = "edgeprune-policy"
POLICY_VERSION = 1
POLICY_FILE = "policy.toml"
DEFAULT_POLICY = Path(__file__).with_name("default-policy.toml")
# Figures that only two bundles together have; `edgeprune diff` finds them.
UPDATE_FIGURES = {
    "update.network.operations_moved": "operations of the integer network that are added, removed, "
    "reshaped or connected otherwise",
    "update.network.weights_changed_share": "share of the int8 weights that differ",
    "update.decisions.changed_share": "share of the test windows decided otherwise than before",
    "update.decisions.worse_share": "share of the test windows decided rightly before and not now",
    "update.decisions.better_share": "share of the test windows decided rightly now and not before",
    "update.twins.proved_alike_share": "share of the windows tried that are proved to be decided "
    "alike over the whole set",
    "update.twins.follows_share": "share of the windows tried for which the new network is proved "
    "to decide as the old one does without change, wherever in the set the old one does",
    "update.twins.different": "windows tried that some change within the set makes the networks "
    "decide differently",
}


_DEMANDS = {
    "parity": "no value differs from the integer specification",
    "verdict": "the new bundle's own verdict is pass",
    "requirements": "no requirement that passed fails, is not tested, is loosened or is gone",
}


class Better(StrEnum):
    """Which way a figure is better."""

    HIGHER = "higher"
    LOWER = "lower"


class End(StrEnum):
    """What of a figure is held against a limit: the figure, or an end of its interval."""

    POINT = "point"
    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True)
class Gate:
    """One limit; exactly one of the four limits is given.

    Attributes:
        name: What it is called in tables and reports; no other gate has it.
        figure: Path of the figure in the evidence; see `edgeprune.evidence.figures`. A path that
            begins with "update." is a figure of the change itself (`UPDATE_FIGURES`).
        direction: "higher" or "lower", whichever is better; needed where a change is limited.
        at_least: Least value of the new bundle.
        at_most: Greatest value of the new bundle.
        at_most_worse_by: How much worse than the old bundle's it may be, in the figure's unit.
        at_most_worse_by_percent: The same in percent of the old bundle's value.
        interval: "point" judges the figure itself; "low" or "high" that end of its interval, of a
            change that of the change's own interval. A figure without interval is not tested then.
        reason: Why this limit, for a reader.
    """

    name: str
    figure: str
    direction: str = ""
    at_least: float | None = None
    at_most: float | None = None
    at_most_worse_by: float | None = None
    at_most_worse_by_percent: float | None = None
    interval: str = "point"
    reason: str = ""

    @property
    def limits_change(self) -> bool:
        """Whether two bundles are needed to judge it."""
        return self.at_most_worse_by is not None or self.at_most_worse_by_percent is not None

    @property
    def is_of_update(self) -> bool:
        """Whether its figure is one that only `edgeprune diff` finds."""
        return self.figure.startswith("update.")

    @property
    def path(self) -> FigurePath:
        """The path of its figure in the evidence of one bundle."""
        return FigurePath.parse(self.figure)

    @property
    def demand(self) -> str:
        """The limit in words, without the figure."""
        for words, limit, unit in (
            ("at least", self.at_least, ""),
            ("at most", self.at_most, ""),
            ("worse by at most", self.at_most_worse_by, ""),
            ("worse by at most", self.at_most_worse_by_percent, " %"),
        ):
            if limit is not None:
                end = "" if self.interval == End.POINT else f", {self.interval} end of the interval"
                return f"{words} {limit:g}{unit}{end}"
        raise ValueError(f"gate '{self.name}' has no limit")


@dataclass(frozen=True)
class Conditions:
    """Outcomes that a new bundle must have; one that is false is not asked for.

    Attributes:
        parity: No implementation differs from the integer specification in a single value, and at
            least one was compared.
        verdict: The new bundle's own verdict is "pass".
        requirements: No requirement that passed in the old bundle fails, is not tested or is gone
            in the new one.
    """

    parity: bool = True
    verdict: bool = False
    requirements: bool = True

    @property
    def demands(self) -> dict[str, str]:
        """Each condition that is asked for, in words, by its key."""
        return {key: words for key, words in _DEMANDS.items() if getattr(self, key)}


@dataclass(frozen=True)
class Policy:
    """What a change may cost.

    Attributes:
        schema: "edgeprune-policy".
        version: Version of the form.
        title: What the policy is called.
        modifications: Which changes it is for, in words.
        protocol: How a change is made and tested, in words.
        conditions: Outcomes asked for.
        gates: Limits of figures.
    """

    schema: str
    version: int
    title: str = ""
    modifications: tuple[str, ...] = ()
    protocol: tuple[str, ...] = ()
    conditions: Conditions = Conditions()
    gates: tuple[Gate, ...] = ()


def read_policy(path: Path) -> Policy:
    """Read a policy.toml.

    Raises:
        ConfigurationError: It is absent or no TOML, has another schema, an unknown key (with the
            nearest known one), a figure that no evidence has, or a limit that cannot be judged.
    """
    table = read_toml(path)
    found = (table.get("schema"), table.get("version"))
    if found != (POLICY_SCHEMA, POLICY_VERSION):
        raise ConfigurationError(
            f"this edgeprune reads {POLICY_SCHEMA} version {POLICY_VERSION} only",
            where=str(path),
            hint=f'begin it with schema = "{POLICY_SCHEMA}" and version = {POLICY_VERSION}',
        )
    policy = parse_table(Policy, table, path=path)
    names: set[str] = set()
    for number, gate in enumerate(policy.gates):
        where = f"{path}: gates[{number}] '{gate.name}'"
        if not gate.name or gate.name in names:
            raise ConfigurationError(
                "two gates have one name" if gate.name else "a gate has no name",
                where=where,
                hint="give each gate a name of its own",
            )
        names.add(gate.name)
        _check_gate(gate, where)
    if not policy.gates and not policy.conditions.demands:
        raise ConfigurationError(
            "the policy asks for nothing",
            where=locate(path, "", "gates"),
            hint="add a [[gates]], or set a key of [conditions] to true",
        )
    return policy


def write_default_policy(path: Path) -> None:
    """Write the policy that a team may start from.

    Raises:
        ConfigurationError: There is a file already.
        DiskError: No space or no permission.
    """
    if path.exists():
        raise ConfigurationError(
            "there is a file already", where=str(path), hint="name another, or remove it"
        )
    write_bytes(path, DEFAULT_POLICY.read_bytes())


def _check_gate(gate: Gate, where: str) -> None:
    limits = {
        key: limit
        for key in ("at_least", "at_most", "at_most_worse_by", "at_most_worse_by_percent")
        if (limit := getattr(gate, key)) is not None
    }
    if len(limits) != 1:
        raise ConfigurationError(
            f"a gate has one limit, not {len(limits)}",
            where=where,
            hint="give one of at_least, at_most, at_most_worse_by, at_most_worse_by_percent",
        )
    if not all(map(math.isfinite, limits.values())):
        raise ConfigurationError(
            "a limit that is no finite number limits nothing", where=where, hint="give a number"
        )
    for key, kind in (("interval", End), ("direction", Better)):
        value = getattr(gate, key)
        known = tuple(member.value for member in kind)
        if value not in known and (value or key == "interval"):
            raise ConfigurationError(
                f"{key} is '{value}'", where=where, hint=f"known: {', '.join(known)}"
            )
    if gate.limits_change and not gate.direction:
        raise ConfigurationError(
            "the gate limits how much worse a figure becomes, and not which way is worse",
            where=where,
            hint='give direction = "higher" (higher is better) or "lower"',
        )
    if any(limit < 0 for key, limit in limits.items() if key.startswith("at_most_worse_by")):
        raise ConfigurationError(
            "a figure cannot be worse by less than nothing",
            where=where,
            hint="0 allows no worsening; an improvement is asked for with at_least or at_most",
        )
    if not gate.is_of_update:
        FigurePath.parse(gate.figure, where)
    elif gate.figure not in UPDATE_FIGURES:
        raise ConfigurationError(
            f"a change has no figure '{gate.figure}'",
            where=where,
            hint=f"known: {', '.join(UPDATE_FIGURES)}",
        )
    elif gate.limits_change:
        raise ConfigurationError(
            f"'{gate.figure}' is of the change: it has no value before it",
            where=where,
            hint="give at_least or at_most",
        )
