"""`edgeprune bench --device ssh://`: our command, and the runtimes of the board's own Python."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from edgeprune.config import BuildConfig
from edgeprune.firmware import compile_image, generate
from edgeprune.network import IntegerNetwork, write_qdq, write_tflite
from tests import certified_beats
from tests.cli.conftest import Edgeprune
from tests.devices.results import seal, write_result
from tests.firmware.conftest import labels
from tests.firmware.linux import fake_ssh, native, native_toml

WINDOWS = 20


@pytest.fixture(scope="module")
def network() -> IntegerNetwork:
    return certified_beats.network(certified_beats.beats(WINDOWS))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, network: IntegerNetwork) -> Path:
    folder = tmp_path_factory.mktemp("ssh")
    held = certified_beats.beats(WINDOWS)
    windows = certified_beats.windows(held, network.run(*held.inputs()).argmax(axis=1))
    config = BuildConfig(target="inputs/native.toml")
    written = write_result(folder / "result", config, network, held, windows, {})
    (written / "inputs").mkdir()
    native_toml(written / "inputs")
    sources = generate(network, None, native(), labels(network), folder / "c")
    compile_image(sources, native(), written / "firmware.elf")
    (written / "model.tflite").write_bytes(write_tflite(network))
    (written / "model.onnx").write_bytes(write_qdq(network))
    seal(written)
    return written


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let ssh reach this machine, and return its folder for temporary files."""
    fake_ssh(tmp_path / "bin")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


def test_the_runtimes_of_the_board(edgeprune: Edgeprune, result: Path, board: Path) -> None:
    pytest.importorskip("tflite_runtime")
    flags = ("bench", "--out", result, "--device", "ssh://pi@zero", "--windows", WINDOWS)
    document = edgeprune(*flags, "--board-python", sys.executable, "--json").json
    assert document["verdict"] == "PASS"
    rows = {row["implementation"]: row for row in document["check"]["runtimes"]}
    names = ["onnxruntime", "tflite-runtime", "tflite-runtime", "ai-edge-litert", "ai-edge-litert"]
    assert [name.split()[0] for name in rows] == names
    for name, row in rows.items():
        assert row["windows"] == (0 if row["absent"] else WINDOWS), row
        if "BUILTIN_REF" in name and not row["absent"]:
            # The reference kernels are the specification, to the bit.
            assert (row["equal"], row["largest_difference_lsb"]) == (WINDOWS, 0)
            assert row["other_decisions"] == 0
        assert row["largest_difference_lsb"] <= 2
    assert not list(board.glob("tmp.*"))


# A Python of a board, without the second that an import takes.
PYTHONS = {
    "import json; print(json.dumps({'numpy': '1.26.4', 'onnxruntime': None}))": "has no onnxrun",
    'print(\'{"onnxruntime": "1.2"}\')': "there has no numpy",
    "print('Welcome to your board')": "it answers 'Welcome to your board'",
    "import sys; sys.exit('Illegal instruction')": "Illegal instruction",
    "import sys, json\n"
    "if len(sys.argv) > 2: sys.exit('libgomp.so.1: cannot open')\n"
    "print(json.dumps({'numpy': '1', 'onnxruntime': '1.23.2'}))": (
        "onnxruntime 1.23.2: the board refused the command: libgomp.so.1: cannot open"
    ),
}


@pytest.mark.parametrize("script", PYTHONS)
def test_what_is_not_installed_is_said_and_gates_nothing(
    edgeprune: Edgeprune, result: Path, board: Path, script: str, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(script)
    python = tmp_path / "board python"
    python.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -SI {tmp_path}/script.py x "$@"\n')
    python.chmod(0o755)
    flags = ("bench", "--out", result, "--device", "ssh://pi@zero", "--windows", 3)
    shown = edgeprune(*flags, "--board-python", python)
    assert shown.code == 0
    assert "on the board, not compared: " in shown.out
    assert PYTHONS[script] in shown.out
    assert "--board-python" in shown.out
    assert shown.verdict.endswith("every logit as specified")
    assert not list(board.glob("tmp.*"))


def test_a_model_that_was_altered_is_not_compared(
    edgeprune: Edgeprune, result: Path, board: Path
) -> None:
    model = result / "model.tflite"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + b"x")
    flags = ("bench", "--out", result, "--device", "ssh://pi@zero", "--windows", 3)
    try:
        edgeprune(*flags).failed(2, "EP201", "model.tflite", "build again")
    finally:
        model.write_bytes(whole)
    assert not list(board.glob("tmp.*"))
