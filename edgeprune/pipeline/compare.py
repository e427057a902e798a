"""Two bundles: their figures side by side, what is not comparable, and what a policy says."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeprune.errors import ConfigurationError, DataError
from edgeprune.evaluation import Bootstrap
from edgeprune.evaluation.paired_changes import PairedChange, paired_changes
from edgeprune.evidence import MANIFEST_NAME, Evidence, Quantity, read_evidence
from edgeprune.evidence.comparison import (
    COMPARISON_SCHEMA,
    COMPARISON_VERSION,
    BundleComparison,
    ComparedBundle,
    FigureChange,
)
from edgeprune.evidence.figures import Figure, figures_of, find
from edgeprune.evidence.manifest import read_manifest, verify_manifest
from edgeprune.evidence.policy import POLICY_FILE, Policy, read_policy
from edgeprune.files import sha256_file
from edgeprune.pipeline.comparable import (
    notes_on,
    refused_sections,
    why_figures_differ,
    why_incomparable,
)
from edgeprune.pipeline.gates import judge_policy, value_of

EVIDENCE = "evidence.json"
_DATA = "data"
_CODE = "code"
_SECTIONS = (
    "quantization",
    "performance",
    "beats",
    "seizures",
    "probabilities",
    "device",
    "certificates",
    "attacks",
    "disturbances",
    "monitor",
)
_HIGHER = re.compile(
    r"(accuracy|f1|sensitivity|precision|predictivity|auroc|auprc|proved\w*_share|attack_limit"
    r"|right_share|right_under_attack|coverage|refused_of_wrong)$"
)
_LOWER = re.compile(
    r"(_bytes|false_positive_rate|false_alarms_per_\w+|calibration_error\w*|brier"
    r"|negative_log_likelihood|success|macs|parameters|error\w*)$|(instructions|cycles|"
    r"microseconds|microjoules)\.\w+$"
)
_FLASHED = r"\{int8 as flashed[^{}]*\}"
_NAMED = r"\{[^{}]*\}"
_HEADLINE = re.compile(
    "|".join(
        (
            r"quantization\.parameters",
            rf"performance\.{_FLASHED}\.scores\.(accuracy|macro_f1|classes\..*)",
            rf"beats\.{_FLASHED}\.gross\.\w+",
            rf"seizures\.{_FLASHED}\.events\.\w+",
            rf"probabilities\.{_FLASHED}\.(macro_auroc|calibration_error|brier)",
            r"device\.firmware\.(flash|ram)_bytes",
            r"device\.(instructions\.maximum|cycles\.(cycles|microjoules)\.expected)",
            rf"certificates\.networks\.{_FLASHED}\.perturbations\.{_NAMED}\.proved_and_right_share",
            rf"attacks\.networks\.{_FLASHED}\.balls\.{_NAMED}\.worst\.success",
            rf"disturbances\.curves\.{_NAMED}\.points\.{_NAMED}\.scores\.macro_f1",
        )
    )
)


@dataclass(frozen=True)
class Bundle:
    """A result directory of which the evidence is read.

    Attributes:
        folder: Where it is.
        evidence: What was found out.
        files: Hash of each file by its path, from the manifest.
        data_sha256: Hash over what the data stage made, windows included; empty where no stage says
            that it read it.
        code: Hash of edgeprune's own code behind each stage, by the stage's name.
        damage: Files that are altered, missing or added, in words.
    """

    folder: Path
    evidence: Evidence
    files: Mapping[str, str]
    data_sha256: str = ""
    code: Mapping[str, str] = field(default_factory=dict)
    damage: tuple[str, ...] = ()

    def path_of(self, name: str) -> Path | None:
        """Return a file of the bundle; None where it has none of that name.

        Raises:
            DataError: The file is not the one that the manifest lists.
        """
        path = self.folder / name
        if name not in self.files and not path.is_file():
            return None
        if not path.is_file() or path.is_symlink() or self.files.get(name) != sha256_file(path):
            raise DataError(
                "the file is not the one that was built",
                where=str(path),
                hint="`edgeprune verify-bundle` names every altered file; build again",
            )
        return path


def open_bundle(folder: Path) -> Bundle:
    """Read the evidence of a result directory.

    Raises:
        ConfigurationError: It is no result directory.
        DataError: Its manifest or evidence is damaged, altered, or of another schema.
    """
    if not (folder / MANIFEST_NAME).is_file():
        raise ConfigurationError(
            "this is no result directory",
            where=str(folder),
            hint="name the folder that `edgeprune build --out` wrote",
        )
    manifest = read_manifest(folder)
    data = {each.sha256 for stage in manifest.stages for each in stage.inputs if each.name == _DATA}
    bundle = Bundle(
        folder,
        read_evidence(folder / EVIDENCE),
        {each.path: each.sha256 for each in manifest.files},
        data.pop() if len(data) == 1 else "",
        {
            stage.name: each.sha256
            for stage in manifest.stages
            for each in stage.inputs
            if each.name == _CODE
        },
        tuple(str(verify_manifest(folder, manifest)).splitlines()),
    )
    bundle.path_of(EVIDENCE)
    told = set(_networks(bundle.evidence))
    if len(told) > 1:
        raise DataError(
            f"the evidence tells of {len(told)} integer networks",
            where=f"{folder / EVIDENCE}: {', '.join(sorted(each[:12] for each in told))}",
            hint="certificates and attacks of one network say nothing of another: build again",
        )
    return bundle


def _networks(evidence: Evidence) -> Iterator[str]:
    """Yield the hash of every integer network that an evidence has figures of."""
    yield evidence.identity.network_sha256
    for section in (evidence.certificates, evidence.attacks):
        for network in section.networks if section is not None else ():
            if network.network_sha256 is not None:
                yield network.network_sha256


def policy_of(bundle: Bundle) -> Path | None:
    """Return the policy that a bundle carries; None where it has none.

    Raises:
        DataError: It was altered.
    """
    return bundle.path_of(POLICY_FILE)


def compare_bundles(
    old: Bundle, new: Bundle, policy: Path | None = None, *, seed: int = 0
) -> BundleComparison:
    """Compare two bundles and judge a policy's gates that need no run of the networks.

    Args:
        old: The earlier bundle.
        new: The later bundle.
        policy: The policy's file; None where nothing is judged.
        seed: Of the draws behind paired intervals.

    Raises:
        ConfigurationError: The policy cannot be used.
        DataError: A count in a bundle is impossible.
    """
    return compare_evidence(old, new, policy, None, seed)


def compare_evidence(
    old: Bundle,
    new: Bundle,
    policy: Path | None,
    update: Mapping[str, Quantity] | None,
    seed: int,
) -> BundleComparison:
    """Compare two bundles, with figures of the change itself where somebody found them."""
    rules = read_policy(policy) if policy is not None else None
    incomparable = why_incomparable(old.evidence, new.evidence)
    changes = {} if incomparable else changes_of(old.evidence, new.evidence, rules, seed)
    gates = (
        judge_policy(rules, old.evidence, new.evidence, changes, update, "; ".join(incomparable))
        if rules is not None
        else ()
    )
    return BundleComparison(
        COMPARISON_SCHEMA,
        COMPARISON_VERSION,
        _describe(old),
        _describe(new),
        incomparable,
        (*notes_on(old.evidence, new.evidence), *_on_stages(old, new, incomparable)),
        tuple(changes.values()),
        None if rules is None else rules.title or POLICY_FILE,
        sha256_file(policy) if policy is not None else None,
        gates,
    )


def _on_stages(old: Bundle, new: Bundle, incomparable: Sequence[str]) -> Iterator[str]:
    """Say what the manifests tell: files that differ from them, and what the stages read."""
    for side, bundle in (("old", old), ("new", new)):
        if bundle.damage:
            yield f"the {side} result is not as it was built: {'; '.join(bundle.damage)}"
    other = [name for name, code in new.code.items() if old.code.get(name, code) != code]
    if other:
        yield f"edgeprune's own code differs behind the stages {', '.join(other)}"
    if incomparable or not (old.data_sha256 and new.data_sha256):
        return
    if old.data_sha256 == new.data_sha256:
        yield "both were built from the same windows, byte for byte"
    else:
        yield (
            "the windows of the two builds are other files (card, converter, front end, recordings "
            "or edgeprune): that the test is the same rests on recordings, patients and counts"
        )


def is_headline(name: str) -> bool:
    """Say whether a figure is one that a reader looks at first."""
    return _HEADLINE.fullmatch(name) is not None


def changes_of(
    old: Evidence, new: Evidence, policy: Policy | None, seed: int
) -> dict[str, FigureChange]:
    """Return every figure of two comparable builds by its name, those of the policy's gates too.

    Raises:
        DataError: A count of a recording is impossible.
    """
    earlier, later = ({each.name: each for each in _figures(one, policy)} for one in (old, new))
    refused = refused_sections(old, new)
    paired = paired_changes(old, new, Bootstrap(seed))
    return {
        name: _change(name, earlier.get(name), later.get(name), refused, paired.get(name))
        for name in dict.fromkeys((*earlier, *later))
    }


def _figures(evidence: Evidence, policy: Policy | None) -> Iterator[Figure]:
    yield from figures_of(evidence, _SECTIONS)
    for gate in policy.gates if policy is not None else ():
        if not gate.is_of_update:
            yield from find(evidence, gate.path)


def _change(
    name: str,
    before: Figure | None,
    after: Figure | None,
    refused: Mapping[str, str],
    paired: PairedChange | None,
) -> FigureChange:
    old, new = (each.quantity if each is not None else None for each in (before, after))
    why = next(
        (words for place, words in refused.items() if name.startswith(f"{place}.")),
        "",
    )
    if not why and old is not None and new is not None:
        why = why_figures_differ(old, new)
    if not why and paired is not None and not _agree(old, new, paired):
        why = "the figure contradicts the counts of its recordings"
    change = None if why else _difference(old, new)
    return FigureChange(
        name,
        old,
        new,
        before.source if before is not None else "",
        after.source if after is not None else "",
        change,
        paired.interval if paired is not None and change is not None else None,
        _better(name, change),
        why,
    )


def _difference(old: Quantity | None, new: Quantity | None) -> float | None:
    before, after = value_of(old), value_of(new)
    if before is None or after is None:
        return None
    change = after - before
    return change if math.isfinite(change) else None


def _agree(old: Quantity | None, new: Quantity | None, paired: PairedChange) -> bool:
    """Say whether two figures are what the counts behind them come to."""
    return all(
        math.isnan(counted)
        if (value := value_of(quantity)) is None
        else math.isclose(counted, value, rel_tol=1e-9, abs_tol=1e-9)
        for quantity, counted in ((old, paired.old), (new, paired.new))
    )


def _better(name: str, change: float | None) -> str:
    higher, lower = _HIGHER.search(name), _LOWER.search(name)
    if change is None or (higher is None) == (lower is None):
        return ""
    if change == 0:
        return "same"
    return "better" if (change > 0) == (higher is not None) else "worse"


def _describe(bundle: Bundle) -> ComparedBundle:
    identity = bundle.evidence.identity
    return ComparedBundle(
        str(bundle.folder),
        identity.edgeprune,
        identity.dataset,
        identity.target,
        identity.network_sha256,
        bundle.files[EVIDENCE],
        bundle.evidence.verdict,
    )
