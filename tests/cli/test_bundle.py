"""sign, verify-bundle and reproduce as a user meets them, on a bundle of a few files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgeprune.config import BuildConfig, DisturbancePlan
from edgeprune.config_text import render_config
from edgeprune.evidence import write_evidence
from edgeprune.pipeline import bundle_check
from tests.cli.conftest import Edgeprune
from tests.devices.results import seal
from tests.evidence.example import minimal_evidence


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bundle_check, "_links", lambda *_: ())
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    folder = tmp_path / "result"
    folder.mkdir()
    evidence = minimal_evidence()
    write_evidence(
        folder / "evidence.json", replace(evidence, identity=replace(evidence.identity, date=None))
    )
    (folder / "edgeprune.toml").write_text(render_config(BuildConfig()))
    seal(folder)
    return folder


def test_a_team_makes_a_key_signs_and_others_verify(
    edgeprune: Edgeprune, result: Path, tmp_path: Path
) -> None:
    key, public = tmp_path / "team.pem", tmp_path / "team.pub.pem"
    made = edgeprune("sign", "--new-key", key, "--json").json
    edgeprune("sign", "--new-key", key).failed(2, "EP101", "never overwritten", str(key))
    edgeprune("sign", result).failed(2, "EP101", "--new-key team.pem")
    assert edgeprune("sign", result, "--key", key, "--json").json["signers"] == [made["key_id"]]
    passed = edgeprune("verify-bundle", result, "--key", public)
    assert passed.code == 0
    assert passed.out.splitlines()[-1].startswith("PASS verify-bundle: 2 files are whole")
    unnamed = edgeprune("verify-bundle", result)
    assert unnamed.code == 1
    assert "was not named with --key" in unnamed.out
    (result / "edgeprune.toml").write_text("seed = 2\n")
    failed = edgeprune("verify-bundle", result, "--key", public, "--json")
    assert failed.code == 1
    assert failed.json["verdict"] == "FAIL"
    (finding,) = failed.json["bundle"]["findings"]
    assert (finding["kind"], finding["path"]) == ("altered", "edgeprune.toml")
    edgeprune("sign", result, "--key", key).failed(2, "EP201", "is not signed", "edgeprune.toml")


def test_a_passphrase_is_taken_from_the_environment_or_asked_for(
    edgeprune: Edgeprune, result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "team.pem"
    edgeprune("sign", "--new-key", key, "--passphrase").failed(
        2, "EP101", "EDGEPRUNE_KEY_PASSPHRASE"
    )
    assert not key.exists()
    monkeypatch.setenv("EDGEPRUNE_KEY_PASSPHRASE", "right")
    assert edgeprune("sign", "--new-key", key, "--passphrase").code == 0
    assert b"ENCRYPTED" in key.read_bytes()
    assert edgeprune("sign", result, "--key", key).code == 0
    monkeypatch.setenv("EDGEPRUNE_KEY_PASSPHRASE", "wrong")
    edgeprune("sign", result, "--key", key).failed(2, "EP101", "passphrase is wrong")


def test_a_wrong_file_for_a_key_is_said_to_be_one(
    edgeprune: Edgeprune, result: Path, tmp_path: Path
) -> None:
    edgeprune("sign", "--new-key", tmp_path / "a.pem")
    edgeprune("verify-bundle", result, "--key", tmp_path / "a.pem").failed(
        2, "EP101", "private key"
    )
    edgeprune("sign", result, "--key", tmp_path / "a.pub.pem").failed(2, "EP101", "public key")
    edgeprune("verify-bundle", tmp_path).failed(2, "EP101", "no result directory")
    both = ("verify-bundle", result, "--key", tmp_path / "a.pub.pem", "--unsigned")
    edgeprune(*both).failed(2, "EP101", "--unsigned")


@pytest.mark.parametrize(
    ("config", "flag"),
    [
        (BuildConfig(dataset="mit-bih", data_dir="mit-bih"), "--data-dir"),
        (BuildConfig(disturbances=DisturbancePlan(noise_dir="recorded-noise")), "--noise-dir"),
        (BuildConfig(model="their.code:factory"), "--model"),
        (BuildConfig(weights="inputs/weights/w.safetensors"), "inputs/weights"),
    ],
)
def test_reproduce_asks_for_what_the_bundle_does_not_hold(
    edgeprune: Edgeprune, result: Path, config: BuildConfig, flag: str
) -> None:
    (result / "edgeprune.toml").write_text(render_config(config))
    seal(result)
    edgeprune("reproduce", result).failed(2, "EP101", flag)
    assert not result.with_name("result.again").exists()


def test_reproduce_builds_nowhere_else_than_in_a_new_folder(
    edgeprune: Edgeprune, result: Path, tmp_path: Path
) -> None:
    for out in (result, tmp_path):
        edgeprune("reproduce", result, "--out", out).failed(2, "EP101", "not there yet")
    (result / "manifest.json").write_text(json.dumps({"schema": "edgeprune-manifest"}))
    edgeprune("reproduce", result).failed(2, "EP201", "version 2 only", "edgeprune build --config")
