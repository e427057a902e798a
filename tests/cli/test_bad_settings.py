"""What a person may mistype: flags, keys, values, names, places."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeprune.cli.typed import FLAG_OF
from tests.cli.conftest import Edgeprune, Small


def _config(folder: Path, text: str) -> Path:
    path = folder / "edgeprune.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build", "--otu", "x"], "did you mean '--out'?"),
        (["build", "--nonsense"], "see edgeprune build --help"),
        (["build", "--seed", "x"], "integer"),
        (["build", "--ratio"], "requires an argument"),
        (["bild"], "did you mean 'build'?"),
        (["targets", "shw"], "did you mean 'show'?"),
        (["targets", "show"], "missing argument 'name'"),
        (["datasets", "list", "extra"], "unexpected extra argument"),
    ],
)
def test_a_command_line_that_cannot_be_understood(
    edgeprune: Edgeprune, arguments: list[str], words: str
) -> None:
    edgeprune(*arguments).failed(2, "EP101", words, "command line of edgeprune")
    document = edgeprune(*arguments, "--json").json
    assert document["error"]["code"] == "EP101"
    assert document["exit_code"] == 2


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("seed = 1\n[pruning]\nration = 0.5\n", 3, "did you mean 'ratio'?"),
        ("[trainning]\nepochs = 1\n", 1, "did you mean 'training'?"),
        ("[training]\nepochs = 'many'\n", 2, "give a whole number"),
        ("seed = true\n", 1, "give a whole number"),
    ],
)
def test_a_configuration_names_file_and_line(
    edgeprune: Edgeprune, tmp_path: Path, text: str, line: int, words: str
) -> None:
    path = _config(tmp_path, text)
    result = edgeprune("build", "--config", path, "--out", tmp_path / "result")
    result.failed(2, "EP101", f"{path}:{line}", words)
    assert list(tmp_path.iterdir()) == [path]


def test_the_configuration_of_the_folder_is_read(
    edgeprune: Edgeprune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _config(tmp_path, "sede = 1\n")
    monkeypatch.chdir(tmp_path)
    edgeprune("train").failed(2, "EP101", "edgeprune.toml:1", "did you mean 'seed'?")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[training\n", "cannot be read as TOML"),
        ("[pruning]\nratio = 2.0\n", "outside 0.0 to 0.99"),
        ("[requirements]\naccuracy = 92\n", "0.92"),
        ("[requirements]\nsensitivity = { X = 0.9 }\n", "has no class 'X'"),
        ("[verification]\nseconds = -1.0\n", "outside 0.0 to"),
        ("[requirements]\ncertified_share = { perturbation = 'linf', share = 0.5 }\n", "no size"),
        ("[requirements]\ncertified_share = { perturbation = 'linf:1uV', share = 5 }\n", "0.92"),
        ("[requirements]\nattack_success = { 'linf:20uV' = 30 }\n", "0.92"),
        ("[requirements]\nattack_success = { 'l1:20lsb' = 0.3 }\n", "l1:100uV"),
        ("[requirements]\nsensitivity_under = { mains-hum = { V = 0.8 } }\n", "no severity"),
        ("[requirements]\nsensitivity_under = { 'x:1uV' = { W = 0.8 } }\n", "has no class 'W'"),
        ("[attacks]\nnames = ['apgd-ce']\nballs = ['l0:3']\n", "these do: "),
        ("[disturbances]\ncases = ['mains-hum:5dB']\n", "mains-hum:50uV"),
        ("[disturbances]\nnoise_dir = 'nowhere'\n", "edgeprune datasets fetch nstdb nowhere"),
    ],
)
def test_values_that_cannot_be(edgeprune: Edgeprune, tmp_path: Path, text: str, words: str) -> None:
    path = _config(tmp_path, text)
    result = edgeprune("build", "--config", path, "--out", tmp_path / "result")
    result.failed(2, "EP101", words)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("flags", "nearest"),
    [
        (["--target", "cortex-m8"], "cortex-m"),
        (["--dataset", "mitbih"], "mit-bih"),
        (["--model", "residual-eeg"], "residual-ecg"),
        (["--pruning", "chanel"], "channel"),
        (["--quantizer", "onnx-runtime"], "onnxruntime"),
        (["--toolchain", "zigg"], "zig"),
        (["--emulator", "unicorns"], "unicorn"),
        (["--layout", "cmakes"], "cmake"),
        (["--runtime", "firmwear"], "firmware"),
        (["--perturbation", "lniff:20uV"], "linf"),
        (["--attack", "pdg"], "pgd"),
        (["--ball", "lnif:20uV"], "linf"),
        (["--disturbance", "main-hum:50uV"], "mains-hum"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(
    edgeprune: Edgeprune, tmp_path: Path, flags: list[str], nearest: str
) -> None:
    result = edgeprune("build", *flags, "--out", tmp_path / "result")
    result.failed(2, "EP102", f"did you mean '{nearest}", "known: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--perturbation", "linf:20xV"], "linf:20xV"),
        (["--perturbation", "linf:twenty"], "linf:twenty"),
        (["--perturbation", "linf:-3uV"], "linf:-3uV"),
        (["--perturbation", "gain"], "no size"),
        (["--time-limit", "-3"], "verification.seconds"),
        (["--windows", "0"], "verification.windows"),
        (["--workers", "-1"], "verification.workers"),
    ],
)
def test_a_verification_that_cannot_be(
    edgeprune: Edgeprune, tmp_path: Path, flags: list[str], words: str
) -> None:
    result = edgeprune("verify", *flags, "--out", tmp_path / "result")
    assert result.code == 2
    assert "error EP10" in result.err
    assert words in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["targets", "show", "./board.toml"],
        ["datasets", "show", "./card.toml"],
        ["build", "--config", "./absent.toml"],
        ["build", "--target", "./board.toml"],
        ["build", "--dataset", "./card.toml"],
    ],
)
def test_files_that_are_not_there(edgeprune: Edgeprune, arguments: list[str]) -> None:
    edgeprune(*arguments).failed(2, "EP101", "does not exist", arguments[-1].removeprefix("./"))


@pytest.mark.parametrize("setting", ["pruning.steps", "=3", "no.such.key=3", "seed.x=1"])
def test_settings_that_are_none(edgeprune: Edgeprune, tmp_path: Path, setting: str) -> None:
    result = edgeprune("build", "--set", setting, "--out", tmp_path / "result")
    result.failed(2, "EP101")
    assert list(tmp_path.iterdir()) == []


def test_a_result_directory_that_is_a_file(edgeprune: Edgeprune, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    edgeprune("build", "--out", path).failed(2, "EP101", str(path), "choose another --out")
    edgeprune("build", "--out", path / "below").failed(2, "EP101", str(path))
    assert path.read_text() == "mine"


@pytest.mark.parametrize("out", [".", "..", "/"])
def test_a_result_directory_without_a_name(edgeprune: Edgeprune, out: str) -> None:
    edgeprune("build", "--out", out).failed(2, "EP101", "a name of its own")


def test_a_result_directory_with_files_of_others(edgeprune: Edgeprune, tmp_path: Path) -> None:
    path = tmp_path / "thesis" / "chapter.txt"
    path.parent.mkdir()
    path.write_text("mine")
    edgeprune("build", "--out", path.parent).failed(2, "EP101", "choose another --out")
    assert list(tmp_path.iterdir()) == [path.parent]
    assert path.read_text() == "mine"


def test_the_folder_of_stages_is_a_file(edgeprune: Edgeprune, small: Small, tmp_path: Path) -> None:
    (tmp_path / "result.work").write_text("mine")
    result = edgeprune("train", *small.flags, "--out", tmp_path / "result")
    result.failed(2, "EP101", "result.work")


def test_errors_are_one_json_object_for_a_program(edgeprune: Edgeprune, tmp_path: Path) -> None:
    result = edgeprune("build", "--target", "cortex-m8", "--out", tmp_path / "result", "--json")
    document = json.loads(result.out)
    assert document["error"] == {
        "code": "EP102",
        "what": "there is no target 'cortex-m8'",
        "where": document["error"]["where"],
        "what_to_do": document["error"]["what_to_do"],
    }
    assert (result.code, document["exit_code"], document["verdict"]) == (2, 2, "ERROR")
    assert result.err == ""


def test_qemu_for_a_board_is_refused_before_anything_runs(
    edgeprune: Edgeprune, tmp_path: Path
) -> None:
    out = tmp_path / "result"
    result = edgeprune("build", "--target", "nrf52840", "--emulator", "qemu", "--out", out)
    result.failed(2, "EP101", "no board with the memories of nrf52840", "--target cortex-m4")
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["sweep", "--ratio", "2"], "--ratio (sweep.ratios)"),
        (["build", "--ratio", "2"], "--ratio (pruning.ratio)"),
        (["cross-validate", "--epochs", "-1"], "--epochs (training.epochs)"),
        (["train", "--toolchain", "wood"], "--toolchain (firmware.toolchain)"),
        (["attack", "--windows", "0"], "--windows (attacks.windows)"),
        (["build", "--set", "pruning.ratio=2"], "where: pruning.ratio"),
        (["sweep", "--set", "sweep.ratios=[2]"], "where: sweep.ratios"),
    ],
)
def test_what_was_typed_is_named(
    edgeprune: Edgeprune, tmp_path: Path, arguments: list[str], where: str
) -> None:
    result = edgeprune(*arguments, "--out", tmp_path / "result")
    assert result.code == 2
    assert where in result.err


def test_every_flag_that_errors_name_is_one() -> None:
    from edgeprune.cli.reference import TABLES

    known = TABLES["verbs"]()
    assert {flag for flag in FLAG_OF.values() if f"`{flag}`" not in known} <= {"--seed"}
