"""make study-build: from a fresh clone to certified firmware on real recordings, in figures."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgeprune.config import load_config
from edgeprune.devices import run_image
from edgeprune.evidence import read_evidence, read_manifest
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.build import open_context
from edgeprune.pipeline.deploy import firmware_stage
from edgeprune.pipeline.learn import data_stage, quantize_stage
from edgeprune.pipeline.products import load_windows, stratified
from edgeprune.progress import Silent
from edgeprune.targets import load_target
from edgeprune.verification.runtimes import compare_layers
from tests.studies.study import (
    CHECKOUT,
    KEPT,
    Figure,
    outcome_of_tests,
    run_command,
    run_study,
    summary_of_tests,
)

SEED = 1
RUNTIME_WINDOWS = 10_000
DEVICE_WINDOWS = 1_000
CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")
BOARDS = ("cortex-m7", "cortex-m55")
# (figure, class, score, floor, mark); the marks are where Farag 2023 (PMC9919183) stands.
CLASS_SCORES = (
    ("V sensitivity", "V", "sensitivity", 0.92, 0.96),
    ("V precision", "V", "precision", 0.82, 0.93),
    ("S F1", "S", "f1", 0.25, 0.65),
    ("N sensitivity", "N", "sensitivity", 0.94, 0.98),
)


class BuildStudy:
    """The sections of the study.

    Args:
        data: Folder that holds the real recordings (`mitdb` in it).
    """

    def __init__(self, data: Path) -> None:
        self._recordings = (data / "mitdb").resolve()
        self._work = KEPT / "build" / "work"
        self._work.mkdir(parents=True, exist_ok=True)
        self._out = self._work / "mit-bih"

    def clone(self) -> Iterator[Figure]:
        """Do what a newcomer does: clone, the two commands, nothing else."""
        with tempfile.TemporaryDirectory(prefix="study-") as name:
            folder = Path(name) / "edgeprune"
            run_command(["git", "clone", "--quiet", str(CHECKOUT), str(folder)], Path(name))
            environment = {
                key: value
                for key, value in os.environ.items()
                if not key.startswith(("EDGEPRUNE", "VIRTUAL_ENV", "PYTHONPATH", "MAKE", "MFLAGS"))
            }
            seconds, _ = run_command(["make", ".venv/.installed"], folder, environment)
            yield Figure("clone", "installation", round(seconds), unit="s")
            seconds, output = run_command(["make", "demo"], folder, environment)
            passed = output.splitlines()[-1].startswith("PASS build")
            yield Figure("clone", "make demo ends in PASS", float(passed), 1)
            yield Figure("clone", "make demo, installed", round(seconds), 300, None, True, "s")
            command = [".venv/bin/edgeprune", "build", "--target", "cortex-m7", "--out", "again"]
            run_command(command, folder, environment)
            yield _same_bytes("clone", "demo", folder / "result", folder / "again")
            seconds, output = run_command(["make", "test"], folder, environment, check=False)
            passed = re.search(r"\d+ passed", output) and not re.search(r"\d+ failed", output)
            yield Figure(
                "clone", "make test green", float(bool(passed)), 1, note=summary_of_tests(output)
            )
            yield Figure("clone", "make test, installed", round(seconds), 900, None, True, "s")

    def mit_bih(self) -> Iterator[Figure]:
        """Build for real recordings from nothing, and score what is flashed."""
        if not self._recordings.is_dir():
            raise SystemExit(f"the recordings are not in {self._recordings}: pass --data")
        seconds = self._build(self._out)
        yield Figure("mit-bih", "build from nothing", round(seconds), 1800, None, True, "s")
        evidence = read_evidence(self._out / "evidence.json")
        flashed = evidence.performance[-1].scores
        by_name = {row.name: row for row in flashed.classes}
        for title, name, score, floor, mark in CLASS_SCORES:
            quantity = getattr(by_name[name], score)
            low, high = quantity.interval.low, quantity.interval.high
            note = f"95 % interval {low:.3f} to {high:.3f}, clustered by patient"
            yield Figure("mit-bih", title, quantity.value, floor, mark, note=note)
        yield Figure("mit-bih", "accuracy", flashed.accuracy.value, 0.93, 0.98)
        for part in evidence.performance[-1].without:
            rows = {row.name: row for row in part.scores.classes}
            names = "+".join(part.records)
            yield Figure("mit-bih", f"S F1 without {names}", rows["S"].f1.value)
            yield Figure("mit-bih", f"accuracy without {names}", part.scores.accuracy.value)
        loss = -next(
            row.macro_f1_change.value
            for row in evidence.comparisons
            if (row.before, row.after) == ("float", "int8 as flashed")
        )
        yield Figure("mit-bih", "macro-F1 lost from float to int8", loss, 0.005, None, True)
        device = evidence.device
        yield Figure("mit-bih", "flash", device.firmware.flash_bytes, 65536, None, True, "byte")
        yield Figure("mit-bih", "RAM", device.firmware.ram_bytes, 20480, None, True, "byte")
        counted = device.instructions.maximum
        yield Figure("mit-bih", "instructions a beat", counted, 2_000_000, None, True)
        for record in evidence.performance[-1].records:
            yield Figure("mit-bih", f"accuracy of record {record.record}", record.accuracy.value)

    def same_bytes(self) -> Iterator[Figure]:
        """Build the same again, elsewhere."""
        again = self._work / "again"
        self._build(again)
        yield _same_bytes("same bytes", "mit-bih", self._out, again)
        shutil.rmtree(again)

    def _build(self, out: Path) -> float:
        for folder in (out, out.with_name(f"{out.name}.work")):
            shutil.rmtree(folder, ignore_errors=True)
        command = [sys.executable, "-m", "edgeprune", *self._flags(), "--out", str(out)]
        return run_command(command, CHECKOUT)[0]

    def _flags(self) -> list[str]:
        recordings = str(self._recordings)
        return ["build", "--target", "cortex-m7", "--dataset", "mit-bih", "--data-dir", recordings]

    def parity(self) -> Iterator[Figure]:
        """Count every difference between the specification and whatever else runs the network."""
        network = IntegerNetwork.load(self._out / "network.safetensors")
        test = load_windows(self._out.with_name("mit-bih.work") / "data" / "test.npz")
        some = test.select(stratified(test, RUNTIME_WINDOWS + 200, SEED))
        for name in ("tflite-runtime BUILTIN_REF", "tflite-micro"):
            rows = compare_layers(network, (some.signal, some.rhythm), name)
            values = sum(row.values for row in rows)
            note = f"{len(some):,} windows, {len(rows)} layers, {values:,} values"
            yield _mismatches(name, sum(row.mismatches for row in rows), len(some), note)
        evidence = read_evidence(self._out / "evidence.json")
        row = next(row for row in evidence.parity if row.implementation == "generated C")
        note = f"{row.windows:,} windows, {row.compared}, {row.values:,} values"
        yield _mismatches("generated C on the host", row.mismatches, row.windows, note)
        few = test.select(stratified(test, DEVICE_WINDOWS + 100, SEED))
        expected = network.run(few.signal, few.rhythm)
        boards = BOARDS if shutil.which("qemu-system-arm") else ()
        runs = [(core, "unicorn") for core in CORES] + [(core, "qemu") for core in boards]
        for core, backend in runs:
            elf = self._image(core)
            run = run_image(
                elf, load_target(core), few.signal, few.rhythm, expected.shape[1], backend=backend
            )
            wrong = int(np.count_nonzero(run.logits != expected))
            yield _mismatches(
                f"{core}, {backend}", wrong, len(few), f"{len(few):,} windows, logits"
            )

    def _image(self, core: str) -> Path:
        """Return the image of the same network for another core."""
        flags = {"dataset": "mit-bih", "data_dir": str(self._recordings), "target": core}
        flags["firmware.emulator"] = "qemu" if core == "cortex-m55" else "unicorn"
        out = self._work / core
        context = open_context(load_config(None, flags), out, Silent())
        given = self._out / "qdq.onnx"
        config = load_config(None, flags | {"model": str(given)})
        onnx_context = open_context(config, out, Silent())
        data = data_stage(context)
        quantized = quantize_stage(onnx_context, data, None)
        return firmware_stage(context, data, quantized).file("firmware.elf")

    def random_networks(self) -> Iterator[Figure]:
        """Run the tests that draw networks over all operators and shapes."""
        files = ["tests/network/test_parity.py", "tests/firmware/test_parity.py"]
        yield outcome_of_tests(
            "random networks", "specification, runtimes, generated C agree", files
        )

    def bad_input(self) -> Iterator[Figure]:
        """Run the tests that give every kind of bad input, and fill a real small disk."""
        yield outcome_of_tests("bad input", "errors are clear and lose nothing", ["tests/cli"])
        yield from _small_disk()

    def killed(self) -> Iterator[Figure]:
        """Run the tests that kill the build in the middle of each stage."""
        yield outcome_of_tests(
            "kill -9", "resumes to the same bytes", ["tests/pipeline", "-k", "killed"]
        )


def _mismatches(name: str, count: int, windows: int, note: str) -> Figure:
    minimum = RUNTIME_WINDOWS if "cortex" not in name else DEVICE_WINDOWS
    found = count if windows >= minimum else None
    return Figure("mismatches", name, found, 0, None, True, note=note)


def _same_bytes(section: str, name: str, first: Path, second: Path) -> Figure:
    hashes: list[dict[str, str]] = [
        {file.path: file.sha256 for file in read_manifest(folder).files}
        for folder in (first, second)
    ]
    files = set(hashes[0]) | set(hashes[1])
    different = sorted(path for path in files if hashes[0].get(path) != hashes[1].get(path))
    note = f"{len(files)} files" + (f"; different: {', '.join(different)}" if different else "")
    return Figure(section, f"files that differ, {name}", len(different), 0, None, True, note=note)


def _small_disk() -> Iterator[Figure]:
    """Build onto a file system of 1 MiB, which only root can mount."""
    with tempfile.TemporaryDirectory(prefix="study-") as name:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", name]
        if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
            yield Figure("bad input", "a disk of 1 MiB", None, note="not root: see tests/cli")
            return
        try:
            command = [sys.executable, "-m", "edgeprune", "build", "--json", "--out", f"{name}/out"]
            done = subprocess.run(
                command, cwd=CHECKOUT, capture_output=True, text=True, check=False
            )
        finally:
            subprocess.run(["umount", "-l", name], check=False)
        code: Any = json.loads(done.stdout).get("error", {}).get("code")
        clear = done.returncode == 3 and code == "EP603" and "Traceback" not in done.stderr
        yield Figure("bad input", "a disk of 1 MiB", float(clear), 1, note=f"{code}, exit 3")


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=CHECKOUT.parent / "shared" / "data")
    study = BuildStudy(parser.parse_args().data)
    sections = {
        "mit-bih": study.mit_bih,
        "parity": study.parity,
        "same-bytes": study.same_bytes,
        "random-networks": study.random_networks,
        "bad-input": study.bad_input,
        "killed": study.killed,
        "clone": study.clone,
    }
    raise SystemExit(run_study("build", SEED, sections))


if __name__ == "__main__":
    main()
