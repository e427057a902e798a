"""Requirements: judged on the figure that their source names, and never passed untested."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeprune.config import CertifiedShare, Requirements, RobustnessSettings
from edgeprune.errors import ConfigurationError
from edgeprune.evidence import Outcome, Where
from edgeprune.pipeline.requirements import check_classes, figure_at, judge_all
from tests.evidence.example import example_evidence, minimal_evidence

# Sources that hold rows or counts, from which the value is made.
COUNTED = ("parity", "certificates.files", "attacks.proofs", "monitor")
DEMANDS = Requirements(
    accuracy=0.5,
    macro_f1=0.1,
    macro_f1_loss=0.5,
    sensitivity={"V": 0.01},
    precision={"V": 0.01},
    f1={"V": 0.01},
    flash_bytes=1 << 30,
    ram_bytes=1 << 30,
    instructions=1 << 30,
    certified_share=CertifiedShare("linf:20uV", 0.0),
    attack_success={"linf:20uV": 1.0, "l2:0.2mV": 1.0},
    sensitivity_under={"electrode-motion:12dB": {"V": 0.01}},
)
IMPOSSIBLE = Requirements(
    accuracy=1.0,
    sensitivity={"V": 1.0},
    flash_bytes=1,
    ram_bytes=1,
    instructions=1,
    attack_success={"linf:20uV": 0.0},
    sensitivity_under={"electrode-motion:0dB": {"V": 1.0}},
)


def test_easy_demands_pass_and_each_source_holds_the_value() -> None:
    evidence = example_evidence()
    judged = judge_all(DEMANDS, evidence)
    for requirement in judged:
        assert requirement.outcome is Outcome.PASS, requirement.name
        if requirement.source not in COUNTED:
            assert figure_at(evidence, requirement.source) == requirement.value
    assert {row.name for row in judged} > {"accuracy", "sensitivity.V", "certified_share"}


def test_impossible_demands_fail() -> None:
    judged = {row.name: row.outcome for row in judge_all(IMPOSSIBLE, example_evidence())}
    assert "sensitivity_under.electrode-motion:0dB.V" in judged
    for name in set(judged) & {
        *("accuracy", "sensitivity.V", "flash_bytes", "ram_bytes", "instructions"),
        *("attack_success.linf:20uV", "sensitivity_under.electrode-motion:0dB.V"),
    }:
        assert judged[name] is Outcome.FAIL


def test_a_rejected_certificate_fails_any_build() -> None:
    evidence = example_evidence()
    assert evidence.certificates is not None
    first, *others = evidence.certificates.files
    rejected = replace(first, accepted=first.checked - 1)
    certificates = replace(evidence.certificates, files=(rejected, *others))
    for found, outcome in ((evidence.certificates, Outcome.PASS), (certificates, Outcome.FAIL)):
        rows = judge_all(Requirements(), replace(evidence, certificates=found))
        assert {row.name: row.outcome for row in rows}["certificates.rejected"] is outcome


def test_what_was_not_tested_never_passes() -> None:
    judged = judge_all(DEMANDS, minimal_evidence())
    assert judged
    assert {row.outcome for row in judged} == {Outcome.NOT_TESTED}


def test_firmware_that_nothing_ran_is_not_tested() -> None:
    """As a command of Arm Linux on a machine without QEMU's user mode."""
    evidence = example_evidence()
    assert evidence.device is not None
    assert evidence.device.firmware is not None
    rows = tuple(row for row in evidence.parity if row.where is Where.HOST)
    assert 0 < len(rows) < len(evidence.parity)
    judged = {row.name: row.outcome for row in judge_all(DEMANDS, replace(evidence, parity=rows))}
    assert judged["parity.device"] is Outcome.NOT_TESTED
    assert judged["parity.mismatches"] is Outcome.PASS
    assert "parity.device" not in {row.name for row in judge_all(DEMANDS, evidence)}


def test_removing_a_result_turns_its_requirement_into_not_tested() -> None:
    evidence = replace(example_evidence(), certificates=None)
    judged = {row.name: row.outcome for row in judge_all(DEMANDS, evidence)}
    assert judged["certified_share"] is Outcome.NOT_TESTED
    assert judged["accuracy"] is Outcome.PASS


def test_what_is_trained_for_gates_the_build() -> None:
    evidence = example_evidence()
    assert evidence.certificates is not None
    flashed = evidence.certificates.networks[-1]
    share = flashed.perturbations[0].proved_and_right_share.value
    assert share is not None
    text = flashed.perturbations[0].text
    for limit, outcome in ((share, Outcome.PASS), (share + 1e-6, Outcome.FAIL)):
        rows = judge_all(Requirements(), evidence, RobustnessSettings(text, limit))
        assert {row.name: row.outcome for row in rows}["robustness.share"] is outcome
    rows = judge_all(Requirements(), evidence, RobustnessSettings("linf:3uV", 0.1))
    assert {row.name: row.outcome for row in rows}["robustness.share"] is Outcome.NOT_TESTED
    rows = judge_all(Requirements(), evidence, RobustnessSettings(text))
    assert "robustness.share" not in {row.name for row in rows}


def test_a_share_is_that_of_the_flashed_network() -> None:
    evidence = example_evidence()
    assert evidence.certificates is not None
    rows = {row.name: row for row in judge_all(DEMANDS, evidence)}
    stage, _, place = rows["certified_share"].source.split(".")[2:5]
    assert evidence.certificates.networks[int(stage)].stage == "int8 as flashed"
    flashed = evidence.certificates.networks[int(stage)]
    assert flashed.perturbations[int(place)].text == "linf:20uV"


def test_what_attacks_and_disturbances_did_not_try_is_not_tested() -> None:
    demands = Requirements(
        attack_success={"linf:3uV": 1.0}, sensitivity_under={"muscle-noise:3dB": {"V": 0.0}}
    )
    judged = {row.name: row.outcome for row in judge_all(demands, example_evidence())}
    assert judged["attack_success.linf:3uV"] is Outcome.NOT_TESTED
    assert judged["sensitivity_under.muscle-noise:3dB.V"] is Outcome.NOT_TESTED


def test_an_attack_within_what_was_proved_fails_any_build() -> None:
    evidence = example_evidence()
    assert evidence.attacks is not None
    assert evidence.attacks.proofs is not None
    wrong = replace(evidence.attacks, proofs=replace(evidence.attacks.proofs, contradictions=1))
    for attacks, outcome in ((evidence.attacks, Outcome.PASS), (wrong, Outcome.FAIL)):
        rows = judge_all(Requirements(), replace(evidence, attacks=attacks))
        assert {row.name: row.outcome for row in rows}["attacks.contradictions"] is outcome


def test_another_reason_on_the_device_fails_any_build() -> None:
    evidence = example_evidence()
    assert evidence.monitor is not None
    for mismatches, outcome in ((0, Outcome.PASS), (1, Outcome.FAIL)):
        monitor = replace(evidence.monitor, compared=256, mismatches=mismatches)
        rows = judge_all(Requirements(), replace(evidence, monitor=monitor))
        assert {row.name: row.outcome for row in rows}["monitor.mismatches"] is outcome


def test_a_limit_on_a_class_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no class 'W'"):
        check_classes(Requirements(sensitivity={"W": 0.5}), ("N", "V"))
    with pytest.raises(ConfigurationError, match="no class 'W'"):
        check_classes(Requirements(sensitivity_under={"hum:1uV": {"W": 0.5}}), ("N", "V"))
