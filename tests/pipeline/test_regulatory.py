"""Regulatory sections: every id exists, every requirement appears, nothing untested passes."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edgeprune.config import (
    PROFILES,
    BuildConfig,
    CertifiedShare,
    ModificationSettings,
    PccpSettings,
    ProductSettings,
    Requirements,
    RiskSettings,
    RobustnessSettings,
)
from edgeprune.errors import ConfigurationError
from edgeprune.evidence import (
    Evidence,
    EvidenceLink,
    Outcome,
    RiskOrigin,
    evidence_bytes,
    parse_evidence,
    read_clauses,
)
from edgeprune.evidence.policy import DEFAULT_POLICY
from edgeprune.evidence.store import SCHEMA_FILE
from edgeprune.pipeline.regulatory import with_regulatory
from edgeprune.pipeline.regulatory.findings import NO_EVIDENCE, Findings
from edgeprune.pipeline.regulatory.hazards import (
    TO_BE_ESTIMATED,
    TO_BE_JUDGED,
    read_hazards,
    risk_table,
)
from edgeprune.pipeline.regulatory.traces import trace
from edgeprune.pipeline.requirements import judge_all
from edgeprune.report.sections import SECTIONS
from tests.evidence.example import example_evidence, minimal_evidence

CONFIG = BuildConfig(
    profile="fda",
    product=ProductSettings(name="Ward seven", intended_use="to name beats"),
    requirements=Requirements(
        accuracy=0.9,
        macro_f1=0.1,
        macro_f1_loss=0.5,
        sensitivity={"V": 0.5, "S": 0.1},
        precision={"V": 0.1},
        f1={"S": 0.99},
        flash_bytes=1 << 20,
        ram_bytes=1 << 20,
        instructions=1 << 30,
        certified_share=CertifiedShare("linf:1mV", 0.5),
        attack_success={"linf:999uV": 0.5},
        sensitivity_under={"electrode-motion:12dB": {"V": 0.1}},
    ),
    robustness=RobustnessSettings(perturbation="linf:20uV", share=0.3),
    risks=(
        RiskSettings(
            "the strap rubs",
            control="padding",
            evidence=(
                "monitor.limits",
                "monitor.nothing",
                "performance.99",
                "performance.{int8 as flashed}.scores.classes.{V}.sensitivity",
            ),
            requirements=("sensitivity.V", "sensitivity.none"),
        ),
    ),
    pccp=PccpSettings(
        str(DEFAULT_POLICY), (ModificationSettings("re-training", description="more patients"),)
    ),
)
HAZARDS = read_hazards("beats", synthetic=False)
ASKED = {
    "accuracy",
    "macro_f1",
    "macro_f1_loss",
    "sensitivity.V",
    "sensitivity.S",
    "precision.V",
    "f1.S",
    "flash_bytes",
    "ram_bytes",
    "instructions",
    "certified_share",
    "attack_success.linf:999uV",
    "sensitivity_under.electrode-motion:12dB.V",
    "robustness.share",
}


@pytest.fixture(scope="module")
def bare() -> Evidence:
    """Return an evidence as a build would have judged it, without regulatory sections."""
    evidence = example_evidence()
    judged = judge_all(CONFIG.requirements, evidence, CONFIG.robustness)
    return replace(evidence, requirements=judged)


@pytest.fixture(scope="module")
def full(bare: Evidence) -> Evidence:
    """Return the same with them."""
    return with_regulatory(bare, CONFIG, segments=False)


def _links(value: Any) -> Iterator[EvidenceLink]:
    if isinstance(value, EvidenceLink):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _links(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _links(getattr(value, field.name))


def _at(document: Any, path: str) -> Any:
    """Follow a path in plain JSON, knowing nothing of edgeprune."""
    for step in path.split("."):
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def _check_links(evidence: Evidence) -> int:
    document = json.loads(evidence_bytes(evidence))
    found = list(_links(evidence))
    for link in found:
        assert _at(document, link.id) not in (None, [], ""), link.id
        assert link.what, link.id
    return len(found)


def test_every_id_that_is_named_exists_in_the_file(full: Evidence) -> None:
    assert _check_links(full) > 200


@pytest.mark.parametrize("segments", [False, True])
def test_an_evidence_with_next_to_nothing_names_nothing_that_it_lacks(segments: bool) -> None:
    evidence = with_regulatory(minimal_evidence(), BuildConfig(), segments=segments)
    _check_links(evidence)
    controls = [control for risk in evidence.risks for control in risk.controls]
    assert {control.note for control in controls} == {"", NO_EVIDENCE}
    assert all(bool(control.evidence) != bool(control.note) for control in controls)


def test_the_file_fits_its_schema_and_reads_back(full: Evidence) -> None:
    content = evidence_bytes(full)
    schema = json.loads(SCHEMA_FILE.read_bytes())
    Draft202012Validator(schema).validate(json.loads(content))
    assert parse_evidence(content) == full


def test_the_same_build_gives_the_same_bytes(bare: Evidence, full: Evidence) -> None:
    assert evidence_bytes(with_regulatory(bare, CONFIG, segments=False)) == evidence_bytes(full)


def test_every_requirement_is_traced(bare: Evidence, full: Evidence) -> None:
    rows = {row.requirement: row for row in full.traceability}
    assert rows.keys() >= ASKED
    assert rows.keys() == {requirement.name for requirement in bare.requirements}
    for name, row in rows.items():
        assert (row.origin == "configuration") == (name in ASKED)
    for requirement in bare.requirements:
        assert rows[requirement.name].result is requirement.outcome, requirement.name
    assert rows["f1.S"].result is Outcome.FAIL
    assert rows["certified_share"].result is Outcome.NOT_TESTED
    assert rows["attack_success.linf:999uV"].result is Outcome.NOT_TESTED


# What a requirement rests on, and nothing else here is told of it.
RESTS_ON = {
    "performance": ("accuracy", "macro_f1", "sensitivity.*", "precision.*", "f1.*"),
    "comparisons": ("macro_f1_loss",),
    "device": ("flash_bytes", "ram_bytes", "instructions", "target.*"),
    "disturbances": ("sensitivity_under.*",),
    "certificates": ("robustness.share", "certificates.rejected"),
    "attacks": ("attacks.contradictions",),
    "monitor": ("monitor.mismatches",),
    "parity": ("parity.*",),
}


@pytest.mark.parametrize("section", RESTS_ON)
def test_a_result_that_is_taken_away_is_not_tested_and_never_passes(
    bare: Evidence, full: Evidence, section: str
) -> None:
    """The requirements still say "pass": the matrix must not believe them."""
    emptied = replace(bare, **{section: () if isinstance(getattr(bare, section), tuple) else None})
    before = {row.requirement: row.result for row in full.traceability}
    rows = with_regulatory(emptied, CONFIG, segments=False).traceability
    assert {row.requirement for row in rows} >= before.keys()
    hit = {
        row.requirement
        for row in rows
        if any(fnmatchcase(row.requirement, pattern) for pattern in RESTS_ON[section])
    }
    assert hit
    for row in rows:
        if row.requirement in hit:
            assert row.result is Outcome.NOT_TESTED, row.requirement
            assert not any(link.id.startswith(section) for link in row.evidence)
        else:
            assert row.result is before[row.requirement], row.requirement


def _without_something(value: Any, random: Random) -> Any:
    """Return a record without one optional part or one item of a list, drawn at any depth."""
    if isinstance(value, tuple):
        position = random.randrange(len(value))
        item = value[position]
        deeper = (is_dataclass(item) or isinstance(item, tuple)) and random.random() < 0.7
        kept = (_without_something(item, random),) if deeper and item else ()
        return (*value[:position], *kept, *value[position + 1 :])
    parts = [
        field
        for field in fields(value)
        if (inner := getattr(value, field.name)) not in (None, ())
        and (field.default is None or is_dataclass(inner) or isinstance(inner, tuple))
    ]
    if not parts:
        return value
    field = random.choice(parts)
    inner = getattr(value, field.name)
    if field.default is None and (random.random() < 0.3 or not is_dataclass(inner)):
        return replace(value, **{field.name: None})
    return replace(value, **{field.name: _without_something(inner, random)})


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_removed_nothing_fails_and_nothing_passes_by_it(
    bare: Evidence, seed: int
) -> None:
    random = Random(seed)
    judged = {requirement.name: requirement.outcome for requirement in bare.requirements}
    for _ in range(10):
        evidence = bare
        for _ in range(3):
            evidence = _without_something(evidence, random)
        made = trace(evidence, CONFIG.requirements, CONFIG.robustness, HAZARDS, CONFIG.risks)
        assert {row.requirement for row in made} >= ASKED
        for row in made:
            if row.result is Outcome.PASS:
                assert judged[row.requirement] is Outcome.PASS, row.requirement
        risks = risk_table(Findings(evidence), HAZARDS, CONFIG.risks)
        for link in _links((made, risks)):
            value: Any = evidence
            for step in link.id.split("."):
                value = value[int(step)] if isinstance(value, tuple) else getattr(value, step)
            assert value not in (None, ()), link.id


def test_a_requirement_that_is_struck_from_the_evidence_still_appears(bare: Evidence) -> None:
    rows = with_regulatory(replace(bare, requirements=()), CONFIG, segments=False).traceability
    results = {row.requirement: row.result for row in rows}
    assert results.keys() >= ASKED
    assert {results[name] for name in ASKED} == {Outcome.NOT_TESTED}


def test_a_figure_that_was_changed_is_judged_anew(bare: Evidence) -> None:
    *others, flashed = bare.performance
    worse = replace(flashed.scores, accuracy=replace(flashed.scores.accuracy, value=0.2))
    changed = replace(bare, performance=(*others, replace(flashed, scores=worse)))
    rows = with_regulatory(changed, CONFIG, segments=False).traceability
    assert next(row for row in rows if row.requirement == "accuracy").result is Outcome.FAIL
    gone = replace(flashed.scores, accuracy=replace(flashed.scores.accuracy, value=None))
    changed = replace(bare, performance=(*others, replace(flashed, scores=gone)))
    rows = with_regulatory(changed, CONFIG, segments=False).traceability
    assert next(row for row in rows if row.requirement == "accuracy").result is Outcome.NOT_TESTED


def test_risks_are_left_to_the_manufacturer_and_the_teams_rows_follow(full: Evidence) -> None:
    *prefilled, own = full.risks
    assert len(prefilled) >= 14
    for risk in prefilled:
        assert (risk.origin, risk.residual) == (RiskOrigin.PREFILLED, TO_BE_JUDGED)
        assert (risk.severity, risk.probability) == (TO_BE_ESTIMATED, TO_BE_ESTIMATED)
    assert (own.id, own.origin, own.hazard) == ("T01", RiskOrigin.TEAM, "the strap rubs")
    assert [link.id for link in own.controls[0].evidence] == [
        "monitor.limits",
        "performance.2.scores.classes.2.sensitivity",
    ]
    assert own.unknown_evidence == (
        "monitor.nothing",
        "performance.99",
        "requirement sensitivity.none",
    )
    named = {name for row in full.traceability for name in row.risks}
    assert named <= {risk.id for risk in full.risks}
    traced = {row.requirement: row.risks for row in full.traceability}
    assert "T01" in traced["sensitivity.V"]
    assert "T01" not in traced["sensitivity.S"]


def test_hazards_are_those_of_the_kind_of_windows(bare: Evidence) -> None:
    def hazards(segments: bool, synthetic: bool) -> str:
        identity = replace(bare.identity, synthetic=synthetic)
        made = with_regulatory(replace(bare, identity=identity), BuildConfig(), segments=segments)
        ids = [risk.id for risk in made.risks]
        assert len(set(ids)) == len(ids)
        return " ".join(risk.hazard for risk in made.risks)

    assert "arrhythmic" in hazards(False, False)
    assert "seizure" not in hazards(False, False)
    assert "seizure" in hazards(True, False)
    assert "arrhythmic" not in hazards(True, False)
    assert "generated" in hazards(True, True)
    assert "generated" not in hazards(True, False)


def test_of_classes_without_a_usual_one_each_can_be_missed(bare: Evidence) -> None:
    def missed(evidence: Evidence, segments: bool) -> list[str]:
        made = with_regulatory(evidence, BuildConfig(), segments=segments)
        return [link.what.split()[3].strip(",") for link in made.risks[0].controls[0].evidence]

    assert missed(bare, False) == ["S", "V", "F", "Q"]
    assert bare.data is not None
    window = replace(bare.data.window, rhythm_features=0)
    imagery = replace(bare, seizures=(), data=replace(bare.data, window=window))
    assert missed(imagery, True) == ["N", "S", "V", "F", "Q"]


def test_missing_fields_of_the_product_are_listed_as_missing(full: Evidence) -> None:
    assert full.product is not None
    keys = {f"product.{field.name}" for field in fields(ProductSettings)}
    assert {field.key for field in full.product.fields} == keys
    given = {"product.name", "product.intended_use"}
    assert set(full.product.missing) == keys - given
    assert {field.key for field in full.product.fields if field.value is not None} == given
    labelling = {row.topic: row for row in full.product.labelling}
    assert not labelling["Intended use"].missing
    assert labelling["Users"].missing


def test_no_figure_is_copied_into_words(full: Evidence) -> None:
    """Model card, labelling and risks point at figures; the team's own words are its own."""
    assert full.product is not None
    words = [row.text for row in (*full.product.model_card, *full.product.labelling)]
    words += [control.text for risk in full.risks[:-1] for control in risk.controls]
    for text in words:
        assert not any(character.isdigit() for character in text), text


def test_soup_is_what_is_installed(full: Evidence) -> None:
    kinds = dict.fromkeys(item.kind.value for item in full.soup)
    assert list(kinds) == ["C toolchain", "interpreter", "Python distribution"]
    wheels = [item for item in full.soup if item.kind.value == "Python distribution"]
    titles = [item.title for item in wheels]
    assert titles == sorted(titles)
    assert {"torch", "numpy", "onnx"} <= set(titles)
    for item in wheels:
        assert item.version == importlib.metadata.version(item.title)
        assert all((item.manufacturer, item.licence, item.purpose))
    assert {item.anomaly_list for item in full.soup} == {"not evaluated"}


def test_what_is_linked_into_the_device_is_told(bare: Evidence) -> None:
    def inside(**traits: bool) -> list[str]:
        made = with_regulatory(bare, BuildConfig(), segments=False, **traits)
        return [item.title for item in made.soup if item.in_device]

    assert inside() == []
    assert len(inside(linked_runtime=True)) == 1
    assert inside(linux=True) == ["musl"]


def test_faults_are_those_of_the_generated_code(bare: Evidence) -> None:
    """Every name that the behaviours mention is one of the interface's own."""
    folder = Path(__file__).parents[2] / "firmware_export/templates"
    interface = (folder / "edgeprune_model.h.j2").read_text()
    for monitored in (True, False):
        evidence = bare if monitored else replace(bare, monitor=None)
        made = with_regulatory(evidence, BuildConfig(), segments=False)
        assert made.fail_safe is not None
        text = " ".join(
            f"{row.detection} {row.behaviour} {row.left_to_the_application}"
            for row in made.fail_safe.behaviours
        )
        assert made.monitoring is not None
        text += " " + " ".join(item.source for item in made.monitoring.logged)
        words = {word.strip(".,;()") for word in text.split()}
        names = {word for word in words if word.lower().startswith("edgeprune_")}
        assert len(names) > 5
        for name in names:
            assert name in interface, name
        assert ("EDGEPRUNE_NO_DECISION" in text) == monitored
        assert ("no input monitor" in text) == (not monitored)


def test_a_plan_of_changes_is_the_teams_and_its_gates_the_policys(full: Evidence) -> None:
    assert full.pccp is not None
    assert full.pccp.supplied
    (modification,) = full.pccp.modifications
    assert (modification.description.text, modification.description.missing) == (
        "more patients",
        False,
    )
    assert modification.rationale.missing
    assert {item.missing for item in modification.protocol} == {True}
    gates = {gate.name: gate for gate in full.pccp.gates}
    assert gates["flash"].evidence[0].id == "device.firmware.flash_bytes"
    assert gates["condition: parity"].evidence[0].id == "parity"
    whats = [link.what for link in gates["sensitivity of each class"].evidence]
    assert "sensitivity, V, int8 as flashed" in whats
    assert len(whats) > 1


def test_without_a_plan_it_is_said(bare: Evidence) -> None:
    plan = with_regulatory(bare, BuildConfig(), segments=False).pccp
    assert plan is not None
    assert not plan.supplied
    assert plan.summary == "no predetermined change control plan was supplied"
    assert not plan.gates


def test_a_policy_that_is_absent_is_an_error(bare: Evidence, tmp_path: Path) -> None:
    config = BuildConfig(pccp=PccpSettings(str(tmp_path / "policy.toml")))
    with pytest.raises(ConfigurationError, match="does not exist"):
        with_regulatory(bare, config, segments=False)


def test_clauses_say_whether_they_were_checked(full: Evidence) -> None:
    registry = read_clauses()
    assert len(full.clauses) == len(registry.clauses)
    assert len({clause.id for clause in full.clauses}) == len(full.clauses)
    for clause in full.clauses:
        assert clause.checked == bool(clause.source)
        assert clause.checked != bool(clause.reason)
        if clause.checked:
            assert "read 20" in clause.source
    assert {True, False} == {clause.checked for clause in full.clauses}


def test_profiles_are_those_of_the_configuration(full: Evidence) -> None:
    assert full.profile == "fda"
    assert tuple(sorted(profile.name for profile in full.profiles)) == PROFILES
    sections = {name for profile in full.profiles for name in profile.sections}
    assert sections <= {section.name for section in SECTIONS}
    for clause in full.clauses:
        assert clause.profiles
        assert set(clause.profiles) <= set(PROFILES)
        assert set(clause.sections) <= sections
    documents = {
        name: {clause.document for clause in full.clauses if name in clause.profiles}
        for name in PROFILES
    }
    assert any("AI Act" in document for document in documents["eu"])
    assert not any("AI Act" in document for document in documents["fda"])
    assert any("524B" in document for document in documents["fda"])
    assert not any("524B" in document for document in documents["eu"])
