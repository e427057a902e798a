"""`edgeprune verify` and the verbs below it: what is proved, checked, and compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeprune.network import IntegerNetwork, write_qdq
from tests.cli.conftest import Edgeprune, Small


def test_verify_tells_all_four_outcomes_of_every_set(edgeprune: Edgeprune, built: Small) -> None:
    flags = (*built.flags, "--out", built.out)
    document = edgeprune("verify", *flags, "--json").json
    networks = document["certificates"]["networks"]
    assert [network["stage"] for network in networks] == [
        "float",
        "pruned float",
        "int8 as flashed",
    ]
    flashed = networks[-1]
    assert [row["text"] for row in flashed["perturbations"]] == [
        "linf:5uV",
        "linf:10uV",
        "gain:10%",
    ]
    for row in flashed["perturbations"]:
        counts = row["outcomes"]
        kinds = ("proved", "falsified", "unknown", "timeout")
        assert sum(counts[kind] for kind in kinds) == counts["n"]
        assert counts["timeout"] == 0, "no time was limited"
        assert row["proved_and_right_share"]["value"] <= row["attack_limit"]["value"]
        assert sum(each["windows"] for each in row["methods"]) == counts["n"]
        for part in ("classes", "records"):
            assert sum(each["proved"] for each in row[part]) == counts["proved"]
    shown = edgeprune("verify", *flags).out
    for words in ("linf:10uV", "falsified", "timeout", "limit set by attacks", "pruned float"):
        assert words in shown
    assert shown.rstrip().splitlines()[-1].startswith("PASS verify: proved and right: ")
    assert "SYNTHETIC data" in shown


def test_other_sets_are_asked_for_by_flags(
    edgeprune: Edgeprune, built: Small, tmp_path: Path
) -> None:
    pairs = zip(built.flags[::2], built.flags[1::2], strict=True)
    kept = [each for pair in pairs if not pair[1].startswith("verification.") for each in pair]
    flags = (*kept, "--out", built.copy(tmp_path), "--windows", 6, "--time-limit", 0.2)
    flags = (*flags, "--workers", 2, "--runtime", "any")
    flags = (*flags, "--perturbation", "linf:1lsb", "--perturbation", "offset:100uV")
    document = edgeprune("verify", *flags, "--json").json
    certificates = document["certificates"]
    assert certificates["runtime"] == "any"
    assert certificates["seconds"] == 0.2
    rows = certificates["networks"][-1]["perturbations"]
    assert [row["text"] for row in rows] == ["linf:1lsb", "offset:100uV"]
    assert all(row["methods"][0]["milliseconds"]["median"] > 0 for row in rows)


def test_a_required_share_gates_verify_too(
    edgeprune: Edgeprune, built: Small, tmp_path: Path
) -> None:
    required = 'requirements.certified_share={perturbation = "linf:5uV", share = 1.0}'
    flags = (*built.flags, "--out", built.copy(tmp_path), "--set", required)
    result = edgeprune("verify", *flags)
    assert result.code == 1
    assert "proved and right under linf:5uV" in result.out
    row = edgeprune("verify", *flags, "--json").json["requirements"][0]
    assert (row["name"], row["outcome"]) == ("certified_share", "fail")


def _file(built: Small) -> Path:
    return built.out / "certificates" / "linf-5uV.npz"


def test_check_accepts_what_was_proved(edgeprune: Edgeprune, built: Small) -> None:
    document = edgeprune("verify", "check", _file(built), "--json").json
    assert document["verdict"] == "PASS"
    assert document["accepted"] == document["checked"] == 8
    windows = built.out / "certificates" / "windows.npz"
    sampled = edgeprune("verify", "check", _file(built), "--sample", 3, "--windows", windows)
    assert sampled.code == 0
    assert "3 of 3 certificates accepted, linf:5uV" in sampled.verdict


def test_check_rejects_what_is_about_another_network(
    edgeprune: Edgeprune, built: Small, tmp_path: Path
) -> None:
    network = IntegerNetwork.load(built.out / "network.safetensors")
    other = tmp_path / "other.safetensors"
    network.single_layer(network.operations[0].name).save(other)
    result = edgeprune("verify", "check", _file(built), "--network", other)
    assert result.code == 1
    assert result.verdict.startswith("FAIL verify check: the file is refused")


def test_check_rejects_a_changed_window(edgeprune: Edgeprune, built: Small, tmp_path: Path) -> None:
    with np.load(_file(built), allow_pickle=False) as content:
        columns = {name: content[name].copy() for name in content.files}
    columns["decision"] = (columns["decision"] + 1) % 3
    changed = tmp_path / "changed.npz"
    np.savez(changed, **columns)
    network = built.out / "network.safetensors"
    document = edgeprune("verify", "check", changed, "--network", network, "--json").json
    assert document["exit_code"] == 1
    assert document["problem"] or document["rejected"]


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["absent.npz"], "EP201", "absent.npz"),
        (["{file}", "--sample", "0"], "EP101", "--sample"),
        (["{file}", "--network", "absent.safetensors"], "EP201", "does not exist"),
        (["{file}", "--windows", "absent.npz"], "EP201", "does not exist"),
        (["{network}", "--network", "{network}"], "EP301", "no file of certificates"),
    ],
)
def test_what_check_cannot_use(
    edgeprune: Edgeprune, built: Small, flags: list[str], code: str, words: str
) -> None:
    places = {"file": _file(built), "network": built.out / "network.safetensors"}
    result = edgeprune("verify", "check", *(flag.format(**places) for flag in flags))
    assert result.code == 2
    assert f"error {code}" in result.err
    assert words in result.err
    assert "Traceback" not in result.err


def test_a_network_and_its_export_are_twins(
    edgeprune: Edgeprune, built: Small, tmp_path: Path
) -> None:
    network = built.out / "network.safetensors"
    same = tmp_path / "same.onnx"
    same.write_bytes(write_qdq(IntegerNetwork.load(network)))
    flags = ("--windows", 4, "--perturbation", "linf:5uV")
    document = edgeprune("verify", "twins", network, same, *flags, "--json").json
    (row,) = document["twins"]
    assert row["windows"] == 4
    assert row["decided_differently"] == 0
    assert row["largest_margin_loss_found"] == 0 <= row["largest_margin_loss_bound"]


def test_a_float_network_has_an_int8_twin(edgeprune: Edgeprune, built: Small) -> None:
    network = built.out / "network.safetensors"
    flags = ("--windows", 4, "--perturbation", "linf:5uV", "--perturbation", "linf:10uV")
    result = edgeprune(
        "verify",
        "twins",
        built.out / "float.onnx",
        network,
        *flags,
        "--held",
        built.out / "certificates" / "held.npz",
    )
    assert result.code in (0, 1)
    assert "margin loss at most" in result.out
    assert "linf:10uV" in result.verdict


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["absent.safetensors", "{network}", "--held", "{held}"], "absent.safetensors"),
        (["{network}", "{network}", "--held", "absent.npz"], "absent.npz"),
        (["{network}", "{network}", "--held", "{network}"], "no windows"),
        (["{network}", "{network}", "--windows", "0"], "--windows"),
        (["{network}", "{network}", "--runtime", "anny"], "did you mean 'any'"),
        (["{network}", "{network}", "--perturbation", "linf"], "no size"),
        (["{held}", "{network}", "--held", "{held}"], "held.npz"),
    ],
)
def test_what_twins_cannot_use(
    edgeprune: Edgeprune, built: Small, flags: list[str], words: str
) -> None:
    places = {
        "network": built.out / "network.safetensors",
        "held": built.out / "certificates" / "held.npz",
    }
    result = edgeprune("verify", "twins", *(flag.format(**places) for flag in flags))
    assert result.code == 2, result.out + result.err
    assert words in result.err
    assert "Traceback" not in result.err


def test_verify_below_has_help_and_names_what_is_mistyped(edgeprune: Edgeprune) -> None:
    assert "independent" in edgeprune("verify", "check", "--help").out
    result = edgeprune("verify", "chek")
    assert result.code == 2
    assert "did you mean 'check'?" in result.err


def test_the_result_holds_what_others_need_to_check(built: Small) -> None:
    manifest = json.loads((built.out / "manifest.json").read_text())
    paths = {row["path"] for row in manifest["files"]}
    for name in ("linf-5uV.npz", "linf-10uV.npz", "gain-10pct.npz", "held.npz", "windows.npz"):
        assert f"certificates/{name}" in paths
    evidence = json.loads((built.out / "evidence.json").read_text())
    assert {row["path"] for row in evidence["certificates"]["files"]} <= paths
