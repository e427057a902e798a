"""cppcheck's MISRA addon finds what MISRA.md explains, no more and no less."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.firmware import generate
from edgeprune.monitor import SampleLimits
from edgeprune.resources import resource_folder
from edgeprune.targets import Adc, load_target
from tests.classifiers.eegnets import quantized_eegnet
from tests.firmware.conftest import labels
from tests.firmware.networks import behind_front_end, r1, residual
from tests.monitor.watched import watched

FLAGS = ("--addon=misra", "--std=c99", "--platform=unix32", "--enable=style", "-UEDGEPRUNE_TRACE")
_ROW = re.compile(r"^\| (\d+\.\d+) \| (advisory|required) \| ([^|]+) \| ([^|]+) \|$", re.M)
# Findings of cppcheck itself that say what rule 10.1 says.
_SAME_AS_A_RULE = {"shiftTooManyBitsSigned": "10.1"}


def explained() -> list[tuple[str, str, str, str]]:
    return _ROW.findall((resource_folder("firmware_export") / "MISRA.md").read_text())


def test_every_deviation_has_one_reason() -> None:
    rules = [row[0] for row in explained()]
    assert rules == sorted(set(rules), key=lambda rule: [int(part) for part in rule.split(".")])
    assert all(len(row[3].split()) > 4 for row in explained())


@pytest.mark.system
@pytest.mark.skipif(shutil.which("cppcheck") is None, reason="cppcheck is absent")
def test_cppcheck_reports_what_is_explained(tmp_path: Path) -> None:
    found = set()
    front_end = BeatFrontEnd.for_adc(Adc(360.0, 5.0, 11))
    raw = watched(seconds=60).monitor
    signal = replace(raw, raw_before=None, samples=SampleLimits(96, -128, 127, 9, 16, 0, 1))
    for network, source, hop, monitor in (
        (residual(), None, None, None),
        (behind_front_end(), front_end, None, raw),
        (behind_front_end(seed=4), None, None, signal),
        (r1(), None, 32, None),
        (quantized_eegnet()[1], None, None, None),
    ):
        folder = tmp_path / network.sha256
        target = load_target("cortex-m4")
        sources = generate(
            network, source, target, labels(network), folder, hop=hop, monitor=monitor
        )
        assert (folder / "MISRA.md").read_text().startswith("# MISRA C:2012")
        command = [
            "cppcheck",
            *FLAGS,
            "--quiet",
            "--template={file}:{line} {id}",
            "-I.",
            "-Iruntime",
        ]
        done = subprocess.run(
            [*command, *sources.c_files], cwd=folder, capture_output=True, text=True, check=True
        )
        for place, name in re.findall(r"^(\S+) (\S+)$", done.stderr, re.M):
            rule = _SAME_AS_A_RULE.get(name) or name.removeprefix("misra-c2012-")
            assert re.fullmatch(r"\d+\.\d+", rule), f"{place}: {name}"
            found.add(rule)
    assert found == {row[0] for row in explained()}
