"""An update in the field: what it changes, and whether the plan in the old bundle allows it.

The policy in the OLD bundle decides. The new one's own policy is what somebody wanted after the
change was made; where it differs, that is said.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeprune.data.held import HeldWindows
from edgeprune.errors import ConfigurationError, DataError, EdgepruneError
from edgeprune.evidence import Outcome, Quantity, Where
from edgeprune.evidence.comparison import BundleComparison, GateResult
from edgeprune.evidence.update import (
    UPDATE_SCHEMA,
    UPDATE_VERSION,
    DecisionsChange,
    NetworkChange,
    TwinSet,
    UpdateDifference,
)
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.comparable import why_incomparable
from edgeprune.pipeline.compare import Bundle, compare_evidence, is_headline, policy_of
from edgeprune.pipeline.decisions_change import Subject, decisions_change, open_subject
from edgeprune.pipeline.network_change import network_change
from edgeprune.pipeline.recipe import bundle_config
from edgeprune.pipeline.twins import compare_over, count, load_held
from edgeprune.progress import Progress, Silent
from edgeprune.verification import outcomes as verified
from edgeprune.verification.perturbations import parse_perturbation
from edgeprune.verification.twins import TwinRun, integer_twin

INSIDE, OUTSIDE, NO_PLAN = "inside the plan", "outside the plan", "no plan"
NETWORK = "network.safetensors"
HELD = "certificates/held.npz"
_AT_A_TIME = 5


@dataclass(frozen=True)
class UpdateSettings:
    """What is asked of an update.

    Attributes:
        data_dir: Where the recordings are; generated ones need none.
        perturbations: Sets over which the networks are compared; empty takes the first that the
            old bundle was verified under.
        windows: Windows for which that is tried; 0 leaves it out.
        time_limit: Seconds after which no further window is begun; 0 for none.
        seed: Of all draws.
    """

    data_dir: Path | None = None
    perturbations: tuple[str, ...] = ()
    windows: int = 20
    time_limit: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.windows < 0 or not 0 <= self.time_limit < float("inf"):
            raise ConfigurationError(
                f"{self.windows} windows in {self.time_limit:g} s cannot be",
                where="--windows, --time-limit",
                hint="0 windows leaves the twins out; 0 s sets no limit",
            )
        for text in self.perturbations:
            parse_perturbation(text)


def difference(
    old: Bundle,
    new: Bundle,
    settings: UpdateSettings | None = None,
    progress: Progress | None = None,
) -> UpdateDifference:
    """Return what an update changes, judged by the policy in the old bundle.

    Args:
        old: What is in the field.
        new: What is to replace it.
        settings: What is looked at.
        progress: Told of the work.

    Raises:
        ConfigurationError: A policy, a configuration or a setting cannot be used.
        DataError: A file of a bundle was altered, or a recording is damaged.
        ModelError: A network is damaged.
    """
    settings, progress = settings or UpdateSettings(), progress or Silent()
    policy = policy_of(old)
    networks = [_network(each) for each in (old, new)]
    before, after = (
        open_subject(each.folder, each.evidence, network, settings.data_dir)
        for each, network in zip((old, new), networks, strict=True)
    )
    incomparable = why_incomparable(old.evidence, new.evidence)
    decisions, decisions_why = _decisions(before, after, incomparable, settings, progress)
    twins, twins_why = _twins(old, before, after, settings, progress)
    network = network_change(*networks)
    figures = _figures(network, decisions, twins)
    comparison = compare_evidence(old, new, policy, figures, settings.seed)
    comparison = _shortened(comparison, _other_policy(policy, new))
    outside = () if policy is None else tuple(_failures(comparison))
    verdict = NO_PLAN if policy is None else OUTSIDE if outside else INSIDE
    return UpdateDifference(
        UPDATE_SCHEMA,
        UPDATE_VERSION,
        comparison,
        network,
        decisions,
        decisions_why,
        twins,
        twins_why,
        verdict,
        outside,
    )


def _network(bundle: Bundle) -> IntegerNetwork:
    path = bundle.path_of(NETWORK)
    if path is None:
        raise ConfigurationError(
            "the bundle holds no network", where=str(bundle.folder / NETWORK), hint="build again"
        )
    network = IntegerNetwork.load(path)
    if network.sha256 != bundle.evidence.identity.network_sha256:
        raise DataError(
            "the network is not the one that the evidence is about",
            where=str(path),
            hint="build again; what is compared must be what was certified",
        )
    return network


def _decisions(
    before: Subject,
    after: Subject,
    incomparable: tuple[str, ...],
    settings: UpdateSettings,
    progress: Progress,
) -> tuple[DecisionsChange | None, str]:
    if incomparable:
        return None, "; ".join(incomparable)
    try:
        found = decisions_change(before, after, settings.data_dir, progress, settings.seed)
    except DataError as error:
        if settings.data_dir is not None:
            raise
        return None, f"{error.what}: {error.hint}" if error.hint else error.what
    return found, ""


def _twins(
    old: Bundle, before: Subject, after: Subject, settings: UpdateSettings, progress: Progress
) -> tuple[tuple[TwinSet, ...], str]:
    path = old.path_of(HELD)
    why = _why_no_twins(before, after)
    if settings.windows == 0:
        why = "no window was asked for"
    if path is None:
        why = f"the old bundle holds no raw windows ({HELD})"
    if why or path is None:
        return (), why
    try:
        held = load_held(path)
        if (held.adc, held.front_end) != (before.adc, before.front_end):
            return (), "the old bundle's raw windows are of another front end"
        last = len(held) - 1
        chosen = np.unique(np.linspace(0, last, min(settings.windows, len(held))).round())
        held = held.select(chosen.astype(np.int64))
        texts = settings.perturbations or bundle_config(old.folder).perturbations[:1]
        limit = settings.time_limit
        deadline = time.monotonic() + limit if limit else float("inf")
        sets = [
            _twin_set(text, before, after, held, settings.seed, deadline, progress)
            for text in texts
        ]
    except EdgepruneError as error:
        return (), error.what
    return tuple(sets), ""


def _why_no_twins(before: Subject, after: Subject) -> str:
    if (before.adc, before.front_end) != (after.adc, after.front_end):
        return "the front ends differ: the networks read other windows"
    shapes = [
        ([each.shape for each in one.network.input_tensors], one.network.output_tensor.shape)
        for one in (before, after)
    ]
    return "" if shapes[0] == shapes[1] else "the networks' inputs or classes differ"


def _twin_set(
    text: str,
    before: Subject,
    after: Subject,
    held: HeldWindows,
    seed: int,
    deadline: float,
    progress: Progress,
) -> TwinSet:
    perturbation = parse_perturbation(text)
    if before.network == after.network:
        n = len(held)
        return TwinSet(perturbation.text, n, n, n, 0, 0, n, 0.0, 0.0)
    first, second = (
        integer_twin(name, each.network) for name, each in (("old", before), ("new", after))
    )
    runs: list[TwinRun] = []
    tried = 0
    with progress.task(f"twins under {text}", len(held), "window") as advance:
        for start in range(0, len(held), _AT_A_TIME):
            if time.monotonic() >= deadline:
                break
            part = held.select(np.arange(start, min(start + _AT_A_TIME, len(held))))
            runs.extend(compare_over(first, second, part, perturbation, seed=seed))
            tried += len(part)
            advance(len(part))
    found = tuple(runs)
    return TwinSet(
        perturbation.text,
        len(held),
        tried,
        count(found, verified.Outcome.PROVED),
        count(found, verified.Outcome.FALSIFIED),
        count(found, verified.Outcome.UNKNOWN),
        sum(int(run.implied.sum()) for run in found),
        max((float(run.loss_bound.max()) for run in found), default=None),
        max((float(run.loss_found.max()) for run in found), default=None),
    )


def _figures(
    network: NetworkChange, decisions: DecisionsChange | None, twins: tuple[TwinSet, ...]
) -> Mapping[str, Quantity]:
    """Return the figures of the change itself that were found."""
    moved = Quantity(network.operations_moved, "1", Where.HOST)
    found = {"update.network.operations_moved": moved}
    if network.weights:
        share = network.weights_changed / network.weights
        found["update.network.weights_changed_share"] = Quantity(
            share, "1", Where.HOST, n=network.weights, n_of="weights"
        )
    if decisions is not None:
        for name in ("changed_share", "worse_share", "better_share"):
            found[f"update.decisions.{name}"] = getattr(decisions, name)
    if twins:
        windows = min(each.windows for each in twins)
        # A window that was not tried is proved alike by nobody.
        for name, proved in (("proved_alike", "proved_alike"), ("follows", "implied")):
            shares = [getattr(each, proved) / each.windows for each in twins]
            found[f"update.twins.{name}_share"] = Quantity(
                min(shares), "1", Where.HOST, n=windows, n_of="windows"
            )
        if all(each.tried == each.windows for each in twins):
            different = sum(each.different for each in twins)
            found["update.twins.different"] = Quantity(
                different, "1", Where.HOST, n=windows, n_of="windows"
            )
    return found


def _other_policy(policy: Path | None, new: Bundle) -> str:
    """Say that the update brings another plan, if it does."""
    own = policy_of(new)
    if policy is None:
        return "the new bundle's policy was not asked: the old one has none" if own else ""
    if own is None or own.read_bytes() != policy.read_bytes():
        return "the plan itself differs in the new bundle; the old bundle's decides"
    return ""


def _shortened(comparison: BundleComparison, note: str) -> BundleComparison:
    """Keep the figures that are looked at first or gated."""
    gated = {figure.name for gate in comparison.gates for figure in gate.figures}
    figures = tuple(row for row in comparison.figures if row.name in gated or is_headline(row.name))
    notes = (*comparison.notes, note) if note else comparison.notes
    return replace(comparison, figures=figures, notes=notes)


def _failures(comparison: BundleComparison) -> Iterator[str]:
    # Limits of the new bundle's own figures say nothing where the test is another.
    for reason in comparison.incomparable:
        yield f"not comparable: {reason}"
    for gate in comparison.gates:
        if gate.outcome is not Outcome.PASS:
            yield f"{gate.name}: {gate.outcome.value}{_why(gate)}"


def _why(gate: GateResult) -> str:
    if gate.why:
        return f" ({gate.why})"
    reasons = dict.fromkeys(
        each.why for each in gate.figures if each.why and each.outcome is not Outcome.PASS
    )
    return f" ({'; '.join(reasons)})" if reasons else ""
