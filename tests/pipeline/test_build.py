"""The whole chain, small: what it makes, the same bytes again, and what it keeps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import numpy as np
import onnx
import pytest
from jsonschema import Draft202012Validator

import edgeprune
from edgeprune.config import BuildConfig, EvaluationSettings, load_config
from edgeprune.errors import ConfigurationError
from edgeprune.evidence import (
    Outcome,
    Where,
    evidence_bytes,
    read_evidence,
    read_manifest,
    verify_manifest,
)
from edgeprune.evidence.keys import new_key
from edgeprune.files import sha256_file
from edgeprune.network import IntegerNetwork, read_qdq
from edgeprune.pipeline import bundle_check
from edgeprune.pipeline.build import BuildResult
from edgeprune.pipeline.bundle_check import Kind, check_bundle, read_keys, sign_bundle
from edgeprune.pipeline.learn import windows_of
from edgeprune.pipeline.record import collect
from edgeprune.pipeline.reproduce import reproduce
from tests.pipeline.small import SETTINGS, small_card, small_flags
from tests.studies.evidence_tampering import (
    FORGERIES,
    Bundle,
    is_named,
    write_to_suit,
)

PACKAGE = Path(edgeprune.__file__).parent


def _build(folder: Path, name: str = "result", **overrides: object) -> BuildResult:
    flags = {**SETTINGS, "dataset": str(small_card(folder)), **overrides}
    return edgeprune.build(load_config(None, flags), folder / name)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return _build(tmp_path_factory.mktemp("build"))


def _hashes(folder: Path) -> dict[str, str]:
    return {file.path: file.sha256 for file in read_manifest(folder).files}


def test_a_build_ends_in_evidence_with_a_verdict(built: BuildResult) -> None:
    evidence = read_evidence(built.out / "evidence.json")
    assert evidence == built.evidence
    assert evidence.verdict is Outcome.PASS
    assert evidence.identity.synthetic
    assert "ynthetic" in (built.out / "report.html").read_text(encoding="utf-8")
    gates = [row for row in evidence.parity if row.gate]
    assert {row.implementation for row in gates} >= {
        "generated C",
        "firmware image",
        "tflite-runtime BUILTIN_REF",
    }
    assert sum(row.mismatches for row in gates) == 0


def test_what_turns_decisions_is_shown_to_the_device_and_held_against_the_proofs(
    built: BuildResult,
) -> None:
    assert built.evidence is not None
    attacks, disturbances = built.evidence.attacks, built.evidence.disturbances
    assert attacks is not None
    assert disturbances is not None
    assert [network.stage for network in attacks.networks] == [
        *("float", "pruned float", "int8 as flashed")
    ]
    near, far = attacks.networks[-1].balls
    assert near.worst.counts.turned <= far.worst.counts.turned > 0
    assert attacks.proofs is not None
    assert attacks.proofs.contradictions == 0
    network = IntegerNetwork.load(built.out / "network.safetensors")
    for name, compared in (("turned", "that attacks turned"), ("disturbed", "disturbed windows")):
        with np.load(built.out / "replays" / f"{name}.npz") as content:
            inputs, logits = (content["0"], content["1"]), content["logits"]
        assert np.array_equal(network.run(*inputs), logits)
        (row,) = (row for row in built.evidence.parity if row.compared.endswith(compared))
        assert (row.windows, row.mismatches, row.gate) == (len(logits), 0, True)
    assert {curve.name for curve in disturbances.curves} == {"mains-hum", "qrs-jitter"}
    window = attacks.worst[0]
    change = np.subtract(window.raw_after, window.raw_before)
    assert abs(np.abs(change).max() - window.size) < 1e-6
    assert window.before == window.reference != window.after


def test_the_manifest_names_whatever_is_altered(built: BuildResult) -> None:
    assert not verify_manifest(built.out)
    path = built.out / "model.tflite"
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert verify_manifest(built.out).altered == ("model.tflite",)
    finally:
        path.write_bytes(content)


def test_all_files_hold_the_one_network(built: BuildResult) -> None:
    network = IntegerNetwork.load(built.out / "network.safetensors")
    assert built.evidence is not None
    assert network.sha256 == built.evidence.identity.network_sha256
    assert read_qdq(onnx.load(str(built.out / "model.onnx"))) == network
    for library in ("firmware", "package/src"):
        assert network.sha256 in (built.out / library / "edgeprune_model.h").read_text()
    beat = (built.out / "package/examples/classify_beat/beat.h").read_text()
    assert beat.startswith("/* SYNTHETIC beat")
    test = windows_of(built.stages["data"], "test")
    logits = np.load(built.stages["bench"].file("logits.npy"))
    assert np.array_equal(network.run(test.signal, test.rhythm), logits)


def test_modelled_cycles_are_called_a_model(built: BuildResult) -> None:
    assert built.evidence is not None
    device = built.evidence.device
    assert device is not None
    assert device.instructions is not None
    assert device.cycles is not None
    cycles = device.cycles.cycles
    assert {cycles.where, device.cycles.microseconds.where} == {Where.CYCLE_MODEL}
    assert device.instructions.minimum / 2 <= cycles.minimum <= cycles.expected <= cycles.maximum
    modelled = [layer.cycles.expected for layer in device.layers if layer.cycles]
    # What lies between the layers belongs to none of them.
    assert 0.9 * cycles.expected < sum(modelled) <= cycles.expected
    page = (built.out / "report.html").read_text()
    assert "Cycles a window" in page
    assert page.count(", not measured)") == 2


def test_a_bundle_is_reproduced_to_the_byte_elsewhere(built: BuildResult, tmp_path: Path) -> None:
    bundle = tmp_path / "given" / "away"
    shutil.copytree(built.out, bundle)
    found = reproduce(bundle, tmp_path / "another-name")
    assert found.passed, found.differences
    assert found.files == len(_hashes(built.out)) + 1
    assert not found.kept
    for path in (*_hashes(built.out), "manifest.json"):
        again = (tmp_path / "another-name" / path).read_bytes()
        assert again == (built.out / path).read_bytes(), path
        assert os.fsencode(str(built.out.parent)) not in again, path


def test_what_is_not_the_same_is_named_with_its_reason(
    built: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept(config: BuildConfig, out: Path, **_: object) -> BuildResult:
        assert Path(config.dataset) == bundle / "inputs" / "dataset" / "small-synthetic.toml"
        shutil.copytree(built.out, out)
        return built

    monkeypatch.setattr("edgeprune.pipeline.build.build", kept)
    bundle, out = tmp_path / "bundle", tmp_path / "again"
    shutil.copytree(built.out, bundle)
    text = (bundle / "evidence.json").read_text()
    (bundle / "evidence.json").write_text(text.replace('"python": "3', '"python": "2', 1))
    text = (bundle / "manifest.json").read_text()
    sha = read_manifest(bundle).stages[-1].inputs[0].sha256
    (bundle / "manifest.json").write_text(text.replace(sha, "0" * 64))
    (bundle / "model.onnx").unlink()
    found = reproduce(bundle, out)
    assert {each.path: each.what for each in found.differences} == {
        **dict.fromkeys(("evidence.json", "manifest.json"), "differs"),
        "model.onnx": "is not in the bundle",
    }
    assert "altered after it was made" in found.differences[0].why
    assert [cause.partition(".")[0] for cause in found.causes] == ["Python 2"]
    with pytest.raises(ConfigurationError, match="not there yet"):
        reproduce(bundle, out)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    with pytest.raises(ConfigurationError, match="1970-01-01"):
        reproduce(bundle, tmp_path / "third")


def test_provenance_is_what_its_schema_says_and_tells_what_was_read(built: BuildResult) -> None:
    statement = json.loads((built.out / "provenance.intoto.json").read_bytes())
    schema = json.loads((PACKAGE / "evidence" / "provenance-1.schema.json").read_bytes())
    Draft202012Validator(schema).validate(statement)
    hashes = _hashes(built.out)
    del hashes["provenance.intoto.json"]
    subjects = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    assert subjects == hashes
    read = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    card = sha256_file(Path(built.context.config.dataset))
    assert [each["digest"]["sha256"] for each in read[:2] if "digest" in each] == [card, card]
    assert f"pkg:pypi/torch@{quote(version('torch'), safe='')}" in {
        each.get("uri") for each in read
    }
    assert statement["predicate"]["runDetails"]["metadata"] == {}


def test_edits_with_all_else_written_to_suit_are_named_without_a_key(
    built: BuildResult, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(built.out, copy)
    forgeries = {kind.name: kind.change for kind in FORGERIES}
    turned = forgeries["the outcomes of requirements turned, with the report"]
    named = [
        change(Bundle(copy, tmp_path, tmp_path, tmp_path))
        for change in (turned, forgeries["the report edited"])
    ]
    write_to_suit(copy)
    assert not verify_manifest(copy)
    found = check_bundle(copy, unsigned=True)
    assert {each.kind for each in found.findings} == {Kind.CONTRADICTION}
    assert all(is_named(found, each) for each in named)


def test_a_fresh_bundle_fits_together_and_nobody_has_signed_it(built: BuildResult) -> None:
    found = check_bundle(built.out)
    assert [each.kind for each in found.findings] == [Kind.UNSIGNED]
    assert not found.notes
    assert len(found.compared) > 15


def test_with_privacy_no_recording_is_told_of(built: BuildResult) -> None:
    config = replace(built.context.config, evaluation=EvaluationSettings(privacy=True))
    evidence = collect(replace(built.context, config=config), built.stages)
    assert built.evidence is not None
    assert built.evidence.attacks is not None
    assert built.evidence.attacks.worst
    assert evidence.attacks is not None
    assert not evidence.attacks.worst
    assert not evidence.attacks.networks[-1].balls[0].worst.records
    assert evidence.performance[-1].scores == built.evidence.performance[-1].scores
    assert evidence.requirements == built.evidence.requirements
    assert b"p17" not in evidence_bytes(replace(evidence, config=()))


def test_another_seed_gives_another_network(built: BuildResult, tmp_path: Path) -> None:
    other = _build(tmp_path, seed=2)
    assert _hashes(other.out)["network.safetensors"] != _hashes(built.out)["network.safetensors"]


def test_a_repeated_build_keeps_every_stage_every_byte_and_the_signature(
    built: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_check, "_links", lambda *_: ())
    new_key(tmp_path / "team.pem")
    sign_bundle(built.out, tmp_path / "team.pem", lambda: "")
    try:
        before = _hashes(built.out)
        again = edgeprune.build(built.context.config, built.out)
        assert all(stage.reused for stage in again.stages.values())
        assert _hashes(built.out) == before
        assert check_bundle(built.out, read_keys([tmp_path / "team.pub.pem"])).passed
    finally:
        (built.out / "signature.json").unlink(missing_ok=True)


def test_a_failed_requirement_fails_the_build(built: BuildResult, tmp_path: Path) -> None:
    overrides = {**SETTINGS, "dataset": built.context.config.dataset}
    overrides["requirements.accuracy"] = 1.0
    overrides["requirements.instructions"] = 10
    result = edgeprune.build(load_config(None, overrides), built.out.with_name("demanding"))
    assert not result.passed
    assert result.evidence is not None
    outcomes = {each.name: each.outcome for each in result.evidence.requirements}
    assert outcomes["instructions"] is Outcome.FAIL


def test_pruning_to_a_budget_counts_real_firmware(built: BuildResult) -> None:
    assert built.evidence is not None
    assert built.evidence.device is not None
    assert built.evidence.device.firmware is not None
    flash = built.evidence.device.firmware.flash_bytes
    overrides = {**SETTINGS, "dataset": built.context.config.dataset}
    budget = flash - 1500
    overrides["pruning.max_flash"] = budget
    result = edgeprune.build(
        load_config(None, overrides), built.out.with_name("budget"), until="bench"
    )
    device = json.loads(result.stages["bench"].file("device.json").read_text())
    assert device["firmware"]["flash_bytes"] <= budget


def test_killed_in_every_stage_it_resumes_to_the_same_bytes(
    built: BuildResult, tmp_path: Path
) -> None:
    out = tmp_path / "result"
    command = [sys.executable, "-m", "edgeprune", "build", "--quiet", "--out", str(out)]
    command += ["--dataset", built.context.config.dataset, *small_flags()]
    for stage in built.stages:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        partial = tmp_path / "result.work" / f"{stage}.partial"
        finished = tmp_path / "result.work" / stage
        while process.poll() is None and not partial.exists() and not finished.exists():
            time.sleep(0.002)
        assert process.poll() is None, stage
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not out.exists()
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert _hashes(out) == _hashes(built.out)
