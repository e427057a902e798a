"""A target, a disk, a machine or a moment that does not suffice: what is finished is kept."""

from __future__ import annotations

import importlib.util
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeprune.pipeline.build import GOALS
from edgeprune.resources import resource_folder
from tests.cli.conftest import Edgeprune, Small

KEPT = "kept from an earlier run"


@pytest.fixture
def out(built: Small, tmp_path: Path) -> Path:
    """Return a result directory with the finished stages of the small build."""
    return built.copy(tmp_path)


def _forget(out: Path, *stages: str) -> None:
    for stage in stages:
        shutil.rmtree(out.with_name("result.work") / stage)


def test_a_target_that_is_too_small_is_refused_before_compiling(
    edgeprune: Edgeprune,
    built: Small,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compiled(*_: object, **__: object) -> None:
        raise AssertionError("it was compiled")

    text = (resource_folder("targets") / "cortex-m4.toml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("flash = "))
    board = tmp_path / "board.toml"
    board.write_text(text.replace(line, "flash = { origin = 0, bytes = 0x2000 }"))
    monkeypatch.setattr("edgeprune.pipeline.deploy.compile_image", compiled)
    result = edgeprune("build", *built.flags, "--out", out, "--target", board)
    result.failed(1, "EP501", "board has 8192", "in all", "arena, peak in", "--max-flash")
    rows = [line for line in result.err.splitlines() if line.startswith("    ")]
    assert len({len(row) for row in rows}) == 1, "the table is aligned"
    assert result.verdict.startswith("FAIL build: EP501 the firmware takes")
    again = edgeprune("quantize", *built.flags, "--out", out)
    assert again.out.count(KEPT) == 4


@contextmanager
def _small_files(limit: int) -> Iterator[None]:
    """Let no file grow beyond `limit` bytes; Python ignores the signal that comes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("stage", ["data", "train", "quantize", "export"])
def test_a_full_disk_keeps_the_finished_stages(
    edgeprune: Edgeprune, built: Small, out: Path, stage: str
) -> None:
    order = ["data", "train", "prune", "quantize", "export"]
    _forget(out, *order[order.index(stage) :])
    with _small_files(8_000):
        result = edgeprune("export", *built.flags, "--out", out)
    result.failed(3, "EP603", "the disk is full", "free some space", "result.work")
    assert result.out.count(KEPT) == order.index(stage)
    assert edgeprune("build", *built.flags, "--out", out).out.count(KEPT) >= order.index(stage)
    assert (out / "network.safetensors").read_bytes() == (
        built.out / "network.safetensors"
    ).read_bytes()


def test_a_full_disk_at_the_end_leaves_no_half_result(
    edgeprune: Edgeprune, built: Small, out: Path
) -> None:
    with _small_files(40_000):
        result = edgeprune("build", *built.flags, "--out", out)
    result.failed(3, "EP603", "the disk is full")
    assert not out.exists()
    assert edgeprune("build", *built.flags, "--out", out).out.count(KEPT) == len(GOALS["build"])


def test_no_compiler_is_said_before_any_work(
    edgeprune: Edgeprune, built: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "ziglang" else find_spec(name, *rest),
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "result"
    result = edgeprune("build", *built.flags, "--out", out)
    result.failed(3, "EP602", "ziglang", "pip install ziglang")
    result = edgeprune("export", *built.flags, "--out", out, "--toolchain", "gnu")
    result.failed(3, "EP602", "arm-none-eabi-gcc", "apt-get install gcc-arm-none-eabi")
    result = edgeprune("bench", *built.flags, "--out", out, "--emulator", "qemu")
    result.failed(3, "EP602")
    assert list(tmp_path.iterdir()) == []
    assert edgeprune("quantize", *built.flags, "--out", built.out).code == 0


def test_no_emulator_is_said_before_any_work(
    edgeprune: Edgeprune, built: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    flags = (*built.flags, "--out", tmp_path / "result")
    edgeprune("bench", *flags, "--emulator", "qemu").failed(3, "EP602", "qemu-system-arm")
    edgeprune("bench", *flags, "--target", "cortex-m55").failed(2, "EP101", "--emulator qemu")
    assert list(tmp_path.iterdir()) == []


def test_a_bug_asks_to_be_reported(
    edgeprune: Edgeprune, built: Small, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("not foreseen")

    with monkeypatch.context() as patch:
        patch.setattr("edgeprune.pipeline.build.quantize_stage", fails)
        result = edgeprune("build", *built.flags, "--out", out)
        as_json = edgeprune("build", *built.flags, "--out", out, "--json")
    assert result.code == 4
    assert "Traceback" in result.err
    assert result.verdict.startswith("ERROR build: EP900 RuntimeError: not foreseen")
    assert "please report it" in result.verdict
    assert as_json.json["error"]["code"] == "EP900"
    assert edgeprune("build", *built.flags, "--out", out).out.count(KEPT) == len(GOALS["build"])


def test_ctrl_c_keeps_what_is_finished(edgeprune: Edgeprune, built: Small, out: Path) -> None:
    _forget(out, "train")
    command = [sys.executable, "-m", "edgeprune", "train", *built.flags, "--out", str(out)]
    process = subprocess.Popen(
        [*command, "--set", "training.epochs=5000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    partial = out.with_name("result.work") / "train.partial"
    deadline = time.monotonic() + 60
    while not list(partial.glob("checkpoints/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, complaints = process.communicate(timeout=60)
    assert process.returncode == 130, complaints
    assert printed.splitlines()[-1] == "INTERRUPTED train: finished stages are kept"
    assert "Traceback" not in printed + complaints
    assert KEPT in edgeprune("train", *built.flags, "--out", out).out
