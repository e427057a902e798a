"""Every verb once, as a person and as a program calls it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from edgeprune import __version__
from edgeprune.cli.doctor import Finding
from edgeprune.config import BuildConfig, load_config
from edgeprune.data import list_cards
from edgeprune.network import OPERATORS
from edgeprune.targets import list_targets
from tests.cli.conftest import Edgeprune, Small
from tests.firmware.linux import fake_qemu, native_toml

CHAIN = {
    "train": "training",
    "prune": "pruning",
    "quantize": "network",
    "export": "parity",
    "bench": "device",
    "verify": "certificates",
    "attack": "attacks",
    "disturb": "disturbances",
    "build": "requirements",
}


def test_version(edgeprune: Edgeprune) -> None:
    assert edgeprune("--version").out == f"edgeprune {__version__}\n"


@pytest.mark.parametrize("verb", ["", *CHAIN, "init", "doctor", "ops", "targets list"])
def test_help_is_printed_in_whole_lines(edgeprune: Edgeprune, verb: str) -> None:
    result = edgeprune(*verb.split(), "--help")
    assert result.code == 0
    assert result.out.startswith("Usage: edgeprune")
    assert "..." not in result.out.replace("[ARGS]...", "")


def test_init_writes_a_configuration_that_reads_back(edgeprune: Edgeprune, tmp_path: Path) -> None:
    result = edgeprune("init", tmp_path, "--target", "cortex-m4")
    assert result.code == 0
    path = tmp_path / "edgeprune.toml"
    assert load_config(path, {}) == BuildConfig(target="cortex-m4")
    edgeprune("init", tmp_path).failed(2, "EP101", str(path), "--force")
    assert load_config(path, {}).target == "cortex-m4"
    assert edgeprune("init", tmp_path, "--force").code == 0
    assert load_config(path, {}) == BuildConfig()


@pytest.mark.parametrize("flags", [["--target", "cortex-m8"], ["--dataset", "mit-hib"]])
def test_init_writes_nothing_for_an_unknown_name(
    edgeprune: Edgeprune, tmp_path: Path, flags: list[str]
) -> None:
    edgeprune("init", tmp_path, *flags).failed(2, "EP102", "did you mean")
    assert not (tmp_path / "edgeprune.toml").exists()


def test_doctor_finds_what_is_needed(edgeprune: Edgeprune) -> None:
    result = edgeprune("doctor", "--json")
    assert result.code == 0, result.out
    found = {row["name"]: row for row in result.json["findings"]}
    assert found["torch"]["found"]
    assert "qemu-system-arm" in found
    assert "torch" in edgeprune("doctor").out


def test_doctor_names_the_line_that_installs_what_is_missing(
    edgeprune: Edgeprune, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = Finding("torch", "needed", "", "the library", "python -m pip install 'torch==9'")
    monkeypatch.setattr("edgeprune.cli.doctor.examine", lambda: (absent,))
    result = edgeprune("doctor")
    result.failed(3, "EP602", "python -m pip install 'torch==9'")
    assert edgeprune("doctor", "--json").json["findings"][0]["name"] == "torch"


def test_targets(edgeprune: Edgeprune) -> None:
    listed = edgeprune("targets", "list", "--json").json["targets"]
    assert [target["name"] for target in listed] == list(list_targets())
    assert "1,024" in edgeprune("targets", "list").out
    assert "core: cortex-m7" in edgeprune("targets", "show", "cortex-m7").out
    shown = edgeprune("targets", "show", "host", "--json").json["target"]
    assert shown["memories"] is None


def test_data_sets(edgeprune: Edgeprune, tmp_path: Path) -> None:
    listed = edgeprune("datasets", "list", "--json").json["datasets"]
    assert [card["name"] for card in listed] == list(list_cards())
    assert "synthetic" in edgeprune("datasets", "list").out
    assert "Moody" in edgeprune("datasets", "show", "mit-bih").out
    assert edgeprune("datasets", "show", "mit-bih", "--json").json["dataset"]["name"] == "mit-bih"
    checked = edgeprune("datasets", "check", "mit-bih", tmp_path)
    assert checked.code != 0
    assert "Traceback" not in checked.err


def test_ops_are_those_of_the_network(edgeprune: Edgeprune) -> None:
    rows = edgeprune("ops", "--json").json["operators"]
    assert [row["operator"] for row in rows] == list(OPERATORS)
    assert "SMLAD" in edgeprune("ops", "--target", "cortex-m4").out
    assert "SMLAD" not in edgeprune("ops", "--target", "cortex-m3").out


@pytest.mark.parametrize("verb", CHAIN)
def test_each_verb_of_the_chain(edgeprune: Edgeprune, small: Small, verb: str) -> None:
    result = edgeprune(verb, *small.flags, "--out", small.out)
    assert result.code == 0, result.out + result.err
    assert result.verdict.startswith(f"PASS {verb}: ")
    assert "e+0" not in result.out
    assert not result.err, "native libraries are kept off the terminal"
    as_json = edgeprune(verb, *small.flags, "--out", small.out, "--json")
    document = as_json.json
    assert document["schema"] == "edgeprune.cli/1"
    assert (document["verb"], document["verdict"], document["exit_code"]) == (verb, "PASS", 0)
    assert document[CHAIN[verb]]
    assert "kept from an earlier run" in as_json.err
    quiet = edgeprune(verb, *small.flags, "--out", small.out, "--quiet")
    assert quiet.out == f"{quiet.verdict}\n"
    assert quiet.out == f"{result.verdict}\n"


def test_a_build_shows_what_was_found(edgeprune: Edgeprune, built: Small) -> None:
    result = edgeprune("build", *built.flags, "--out", built.out)
    for words in (
        "SYNTHETIC",
        "instructions a window (emulator",
        "proved",
        "1,048,576",
        "worst of all",
    ):
        assert words in result.out
    assert result.verdict.endswith(f"report: {built.out / 'report.html'}")


def test_a_closed_pipe_is_no_error(edgeprune: Edgeprune, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError

    dup2: list[object] = []
    monkeypatch.setattr("edgeprune.cli.console.os.dup2", lambda *ends: dup2.append(ends))
    monkeypatch.setattr("edgeprune.cli.bars.print", closed, raising=False)
    result = edgeprune("targets", "list")
    assert (result.code, result.err, len(dup2)) == (141, "", 1)


def test_a_command_that_nothing_runs_is_not_tested(
    edgeprune: Edgeprune, built: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = built.copy(tmp_path)
    flags = (*built.flags, "--set", "monitor.enabled=false", "--target", native_toml(tmp_path))
    refused = edgeprune("bench", *flags, "--out", out)
    refused.failed(3, "EP602", "not tested", "fake-qemu is not installed", "apt-get install")
    assert "not tested: the command for native" in refused.out
    fake_qemu(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    found = edgeprune("bench", *flags, "--out", out, "--json").json
    assert found["verdict"] == "PASS"
    rows = {(row["implementation"], row["compared"]): row for row in found["parity"]}
    for compared in ("logits", "front end and logits"):
        row = rows["command", compared]
        assert (row["mismatches"], row["place"]) == (0, "qemu-user, cortex-a53")
        assert row["values"] > 0
    assert found["device"]["instructions"] is None
    assert found["device"]["cycles"] is None
    assert found["device"]["memory"]["stack_measured"] is None
    made = sorted(path.name for path in (tmp_path / "result.work/firmware/linux").iterdir())
    assert {"libedgeprune.a", "README.md", "windows.bin", "windows.txt"} <= set(made)
    edgeprune("bench", *flags, "--toolchain", "gnu", "--out", out).failed(2, "EP101", "runs Linux")
    shutil.rmtree(tmp_path / "result.work")
