"""Two bundles: what cannot be compared is refused by name, and changed files are noticed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from edgeprune.errors import ConfigurationError, DataError
from edgeprune.evaluation import withhold
from edgeprune.evidence import (
    AttackEvidence,
    CertificateEvidence,
    ConfigEntry,
    Evidence,
    NetworkCertificates,
    Quantity,
    Where,
)
from edgeprune.pipeline.comparable import refused_sections, why_incomparable
from edgeprune.pipeline.compare import changes_of, compare_bundles, open_bundle, policy_of
from tests import certified_beats
from tests.pipeline.bundles import INT8, beats, evidence_of, rewrite, windows, write_bundle


@cache
def evidence() -> Evidence:
    held = beats()
    network = certified_beats.network(held)
    return evidence_of(network, windows(held, network))


def of_test_part(**changes: Any) -> Evidence:
    data = evidence().data
    assert data is not None
    return replace(evidence(), data=replace(data, splits=(replace(data.splits[0], **changes),)))


def of_identity(**changes: Any) -> Evidence:
    return replace(evidence(), identity=replace(evidence().identity, **changes))


def of_data(**changes: Any) -> Evidence:
    data = evidence().data
    assert data is not None
    return replace(evidence(), data=replace(data, **changes))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: of_identity(dataset="mitdb"), "other data set: synthetic-ecg and mitdb"),
        (lambda: of_identity(synthetic=False), "other kind of data: synthetic and recorded"),
        (lambda: of_identity(seed=2), "generated from seed 1 and 2"),
        (
            lambda: replace(evidence(), config=(ConfigEntry("protocol", "personalised"),)),
            "other protocol: 'the data card' and 'personalised'",
        ),
        (
            lambda: replace(evidence(), config=(ConfigEntry("fold", "208"),)),
            "other fold: 'the data card' and '208'",
        ),
        (lambda: replace(evidence(), data=None), "says nothing about its data"),
        (lambda: of_data(splits=()), "no test part"),
        (lambda: of_data(lead="another lead"), "other lead"),
        (
            lambda: of_data(classes=tuple(reversed(evidence().data.classes))),  # type: ignore[union-attr]
            "other classes: N S V and V S N",
        ),
        (
            lambda: of_test_part(patients=("patient r0", "patient r9")),
            "only in the old patient r1, patient r2, patient r3; only in the new patient r9",
        ),
        (lambda: of_test_part(records=("r0", "r1", "r2", "r4")), "only in the new r4"),
        (lambda: of_test_part(windows=61), "other test windows: 60 and 61"),
    ],
)
def test_what_is_not_the_same_test_is_not_compared(
    other: Callable[[], Evidence], words: str
) -> None:
    assert why_incomparable(evidence(), evidence()) == ()
    for reasons in (
        why_incomparable(evidence(), other()),
        why_incomparable(other(), evidence()),
    ):
        assert reasons
    assert any(words in reason for reason in why_incomparable(evidence(), other()))


def test_a_section_of_other_settings_is_refused() -> None:
    certificates = CertificateEvidence("firmware", "any change", None, "5 windows", ())
    attacks = AttackEvidence("any change", "5 windows", "3 steps", ())
    full = replace(evidence(), certificates=certificates, attacks=attacks)
    assert refused_sections(full, full) == {}
    other = replace(
        full,
        identity=replace(full.identity, target="cortex-m4"),
        certificates=replace(certificates, seconds=99.0, runtime="any"),
        attacks=replace(attacks, windows="others"),
    )
    assert refused_sections(full, other) == {
        "certificates": "other arithmetic, other processor time that a proof may take",
        "attacks": "other windows tried",
        "device": "other target: cortex-m7 and cortex-m4",
        "monitor": "other target: cortex-m7 and cortex-m4",
    }


def test_a_figure_of_another_unit_or_place_or_against_its_own_counts_is_refused() -> None:
    old = evidence()
    performance = old.performance[0]
    accuracy = performance.scores.accuracy
    for changed, words in (
        ({"unit": "%"}, "other unit: 1 and %"),
        ({"where": Where.SILICON}, "measured elsewhere: host and silicon"),
        ({"value": 0.999}, "contradicts the counts of its recordings"),
    ):
        scores = replace(performance.scores, accuracy=replace(accuracy, **changed))  # type: ignore[arg-type]
        new = replace(old, performance=(replace(performance, scores=scores),))
        changes = changes_of(old, new, None, 0)
        row = changes[f"performance.{{{INT8}}}.scores.accuracy"]
        assert words in row.refused
        assert row.change is None
        assert changes[f"performance.{{{INT8}}}.scores.macro_f1"].change == 0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    held = beats()
    network = certified_beats.network(held)
    folder = tmp_path_factory.mktemp("compare") / "bundle"
    return write_bundle(folder, network, windows(held, network), held)


def test_a_bundle_against_itself(bundle: Path) -> None:
    one = open_bundle(bundle)
    found = compare_bundles(one, one)
    assert not found.incomparable
    defined = [row for row in found.figures if row.new and row.new.value is not None]
    assert {row.change for row in defined} == {0}
    assert len(defined) > 20
    assert any("SYNTHETIC" in note for note in found.notes)
    assert found.gates == ()


def test_withheld_recordings_are_compared_without_a_pair(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    rewrite(tmp_path / "bundle", withhold(evidence()))
    one = open_bundle(tmp_path / "bundle")
    found = compare_bundles(one, one)
    assert not found.incomparable
    assert any("no interval is paired" in note for note in found.notes)
    assert {row.interval for row in found.figures} == {None}


@pytest.mark.parametrize("name", ["evidence.json", "policy.toml"])
def test_an_altered_file_is_noticed(bundle: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    with (tmp_path / "bundle" / name).open("a") as stream:
        stream.write("\n")
    with pytest.raises(DataError, match="not the one that was built"):
        policy_of(open_bundle(tmp_path / "bundle"))


def test_a_file_that_is_not_compared_is_named_where_it_was_altered(
    bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    (tmp_path / "bundle" / "replays" / "turned.npz").unlink()
    (tmp_path / "bundle" / "added.txt").write_text("")
    found = compare_bundles(open_bundle(bundle), open_bundle(tmp_path / "bundle"))
    (note,) = (note for note in found.notes if "not as it was built" in note)
    assert note.startswith("the new result")
    assert "missing: replays/turned.npz" in note
    assert "added: added.txt" in note


def test_what_is_no_bundle(tmp_path: Path, bundle: Path) -> None:
    with pytest.raises(ConfigurationError, match="no result directory"):
        open_bundle(tmp_path)
    shutil.copytree(bundle, tmp_path / "two")
    other = of_identity(network_sha256="0" * 64)
    proved = NetworkCertificates(INT8, "1" * 64, "", "", Quantity(1.0, "1", Where.HOST), ())
    certificates = CertificateEvidence("firmware", "", None, "", (proved,))
    rewrite(tmp_path / "two", replace(other, certificates=certificates))
    with pytest.raises(DataError, match="tells of 2 integer networks"):
        open_bundle(tmp_path / "two")
