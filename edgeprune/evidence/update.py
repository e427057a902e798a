"""What an update in the field changes: weights, decisions, and what a plan says of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from edgeprune.evidence.codec import json_schema
from edgeprune.evidence.comparison import BundleComparison
from edgeprune.evidence.performance import ConfusionMatrix
from edgeprune.evidence.quantity import Quantity

UPDATE_SCHEMA = "edgeprune-update"
UPDATE_VERSION = 1
UPDATE_SCHEMA_FILE = Path(__file__).with_name(f"update-{UPDATE_VERSION}.schema.json")


@dataclass(frozen=True)
class LayerChange:
    """One operation of the integer network before and after.

    Attributes:
        name: Its name, in the network where it is.
        kind: What it computes.
        change: "same", "changed", "reshaped", "added" or "removed".
        weights: int8 weights, of the new network unless it is removed there.
        weights_changed: How many of them differ; all where it is not in both with one shape.
        largest_weight_change: By how many steps at most; absent where they cannot be compared.
        biases: int32 biases.
        biases_changed: How many of them differ.
        scales: Scales of its weights, and scale and zero point of its output.
        scales_changed: How many of them differ.
        settings_changed: Names of other settings that differ, e.g. "stride".
        shapes: Shape of the weights (of the output where it has none) before and after, in words;
            empty where it is the same.
    """

    name: str
    kind: str
    change: str
    weights: int
    weights_changed: int
    largest_weight_change: int | None
    biases: int
    biases_changed: int
    scales: int
    scales_changed: int
    settings_changed: tuple[str, ...] = ()
    shapes: str = ""


@dataclass(frozen=True)
class NetworkChange:
    """The integer network before and after.

    Attributes:
        identical: Whether it is the same to the bit, names included.
        structure: "same", or what was added, removed and reshaped, in words.
        operations_moved: Operations added, removed, reshaped or connected otherwise.
        weights: int8 weights of the new network, and of layers that are gone.
        weights_changed: How many of them differ.
        biases: int32 biases, likewise.
        biases_changed: How many of them differ.
        scales: Scales and zero points, likewise.
        scales_changed: How many of them differ.
        layers: Operation by operation.
    """

    identical: bool
    structure: str
    operations_moved: int
    weights: int
    weights_changed: int
    biases: int
    biases_changed: int
    scales: int
    scales_changed: int
    layers: tuple[LayerChange, ...]


@dataclass(frozen=True)
class DecisionCounts:
    """Test windows that two networks decide, alike or not.

    Attributes:
        name: What the windows have in common: a reference class or a recording.
        n: Windows.
        changed: Windows decided otherwise than before.
        better: Of these, windows decided rightly now.
        worse: Of these, windows decided rightly before; the rest is wrong in both.
    """

    name: str
    n: int
    changed: int
    better: int
    worse: int


@dataclass(frozen=True)
class DecisionsChange:
    """Both networks on the same test windows.

    Attributes:
        windows_from: Where the windows come from, in words.
        counts: All windows.
        changed_share: Share decided otherwise, its interval clustered by patient.
        worse_share: Share decided rightly before and not now, likewise.
        better_share: Share decided rightly now and not before, likewise.
        classes: Per reference class.
        records: Per recording; empty where either bundle withholds them.
        turned: Windows by decision before (rows) and after (columns).
    """

    windows_from: str
    counts: DecisionCounts
    changed_share: Quantity
    worse_share: Quantity
    better_share: Quantity
    classes: tuple[DecisionCounts, ...]
    records: tuple[DecisionCounts, ...]
    turned: ConfusionMatrix


@dataclass(frozen=True)
class TwinSet:
    """Both networks over one perturbation of some test windows.

    Attributes:
        perturbation: The set, e.g. "linf:5uV".
        windows: Windows that were to be tried.
        tried: Windows that were; fewer where the time was over.
        proved_alike: Both decide for one class over the whole set; or both are one network.
        different: Some member of the set is decided differently; such a member was found.
        unknown: Neither was shown.
        implied: Windows for which the new network is proved to follow wherever in the set the old
            one decides as it does without change.
        margin_loss_bound: Proved upper bound of the margin lost, in logits; absent without a try.
        margin_loss_found: Largest loss at a member that was tried; absent without a try.
    """

    perturbation: str
    windows: int
    tried: int
    proved_alike: int
    different: int
    unknown: int
    implied: int
    margin_loss_bound: float | None
    margin_loss_found: float | None


@dataclass(frozen=True)
class UpdateDifference:
    """An update: what it changes, and whether a plan allows it.

    Attributes:
        schema: "edgeprune-update".
        version: Version of the form.
        comparison: Figures of both bundles, and the gates of the policy in the old one.
        network: The integer network before and after.
        decisions: Both networks on the test windows; absent where these are not at hand.
        decisions_why: Why they are not.
        twins: Both networks over whole sets.
        twins_why: Why they were not compared; empty where they were.
        verdict: "inside the plan", "outside the plan" or "no plan".
        outside: Which gates put it outside, and why; empty elsewhere.
    """

    schema: str
    version: int
    comparison: BundleComparison
    network: NetworkChange
    decisions: DecisionsChange | None
    decisions_why: str
    twins: tuple[TwinSet, ...]
    twins_why: str
    verdict: str
    outside: tuple[str, ...] = ()


def update_schema_bytes() -> bytes:
    """Return the JSON Schema of an update, generated from the records."""
    schema = {"title": f"{UPDATE_SCHEMA} {UPDATE_VERSION}", **json_schema(UpdateDifference)}
    return f"{json.dumps(schema, indent=1, ensure_ascii=False)}\n".encode()
