"""`edgeprune check`: devices that are what they should be, and all the others."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeprune.config import BuildConfig
from edgeprune.devices import timing as timing_module
from edgeprune.firmware import compile_image, generate
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline import checked_result
from edgeprune.targets import load_target
from tests import certified_beats
from tests.cli.conftest import Edgeprune
from tests.devices.fake_device import fake_device
from tests.devices.results import seal, turned_over, write_result
from tests.firmware.conftest import labels

BEATS, REPLAYS = 30, 5
FLAGS = ("--attacked", "3", "--queries", "8", "--ball", "linf:2mV", "--seed", "1")


@pytest.fixture(scope="module")
def network() -> IntegerNetwork:
    return certified_beats.network(certified_beats.beats(BEATS))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, network: IntegerNetwork) -> Path:
    held = certified_beats.beats(BEATS)
    windows = certified_beats.windows(held, network.run(*held.inputs()).argmax(axis=1))
    folder = tmp_path_factory.mktemp("check") / "result"
    replays = {"counterexamples": turned_over(windows, REPLAYS)}
    return write_result(folder, BuildConfig(target="cortex-m7"), network, held, windows, replays)


def test_a_good_device_passes(edgeprune: Edgeprune, result: Path, network: IntegerNetwork) -> None:
    with fake_device(network) as device:
        document = edgeprune("check", result, "--device", device.address, *FLAGS, "--json").json
        found = document["check"]
        assert (document["verdict"], document["exit_code"]) == ("PASS", 0)
        assert found["info"]["network_sha256"] == network.sha256 == found["network_sha256"]
        assert found["constants_intact"] is True
        assert [(part["name"], part["windows"]) for part in found["parts"]] == [
            ("test windows", BEATS),
            ("counterexamples", REPLAYS),
        ]
        assert found["mismatches"] == 0
        attack = found["attack"]
        assert 3 < attack["queries"] <= 3 * (8 + 1)
        assert 0 < attack["successes"] <= attack["windows"] == 3
        assert found["asked"] == device.windows <= found["windows"]
        shown = edgeprune("check", result, "--device", device.address, *FLAGS)
        assert shown.code == 0
        # A run that came to its end leaves no answers: the device was asked again.
        assert device.windows == 2 * found["asked"]
    for words in ("counterexamples", "linf:2000uV", "requests answered", "remembers is held"):
        assert words in shown.out
    assert shown.verdict.startswith("PASS check: ")


def test_bench_compares_and_times_a_board(
    edgeprune: Edgeprune, result: Path, network: IntegerNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_device(network, ticks=5000) as device:
        flags = ("bench", "--out", result, "--device", device.address, "--windows", 9)
        document = edgeprune(*flags, "--json").json
        found = document["check"]
        assert (document["verdict"], found["mismatches"], found["attack"]) == ("PASS", 0, None)
        assert found["asked"] == device.windows == 9 + REPLAYS
        timing = found["timing"]
        assert timing["unit"] == "cycle"
        # A pseudo-terminal is no board: the figures are kept, but not said.
        assert timing["where"] != "silicon"
        assert "timing: not measured" in edgeprune(*flags).out
        monkeypatch.setattr(timing_module, "_PORT", re.compile(r"/dev/pts/\d+"))
        shown = edgeprune(*flags)
    assert (
        "timing (silicon): 5,028 to 5,041, mean 5,034 cycles a window over 14 windows" in shown.out
    )
    with fake_device(network) as device:
        out = edgeprune("bench", "--out", result, "--device", device.address).out
    assert "tells of no counter" in out
    edgeprune("train", "--device", "/dev/ttyACM0").failed(2, "EP101", "talks to no device")


def test_another_network_is_refused_before_anything_runs(
    edgeprune: Edgeprune, result: Path
) -> None:
    other = certified_beats.network(certified_beats.beats(BEATS), seed=3)
    with fake_device(other) as device:
        refused = edgeprune("check", result, "--device", device.address)
        refused.failed(1, "EP702", other.sha256[:12], "--image")
        assert device.windows == 0


def test_a_wrong_logit_fails(edgeprune: Edgeprune, result: Path, network: IntegerNetwork) -> None:
    with fake_device(network, "wrong", after=BEATS) as device:
        failed = edgeprune("check", result, "--device", device.address, "--queries", 0)
        assert failed.code == 1
        assert failed.verdict.startswith("FAIL check: ")
    # The windows that are replayed, each logit of them.
    assert f"differ in {REPLAYS * 3} logits" in failed.verdict


@pytest.mark.parametrize(
    ("fault", "exit_code", "error_code", "words"),
    [
        ("unplug", 3, "EP605", "the device was unplugged after 12 of 30 test windows"),
        # What gets no answer is the first piece of a window that was tried whole before.
        ("hang", 4, "EP601", "gave no answer to command 0x08 after 12 of 30 test windows"),
        ("garbage", 4, "EP601", "answers garbage to command 0x08 after 12 of 30 test windows"),
        ("reset", 4, "EP601", "was reset while it was in use after 12 of 30 test windows"),
    ],
)
def test_a_run_that_breaks_goes_on(
    edgeprune: Edgeprune,
    tmp_path: Path,
    result: Path,
    network: IntegerNetwork,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    exit_code: int,
    error_code: str,
    words: str,
) -> None:
    copy = tmp_path / "result"
    shutil.copytree(result, copy)
    flags = (*FLAGS, "--timeout", "0.05")
    with fake_device(network, fault, after=12) as device:
        broken = edgeprune("check", copy, "--device", device.address, *flags)
        broken.failed(exit_code, error_code, words, "run the same command again")
        (kept,) = (tmp_path / "result.work" / "check").iterdir()
        # A killed run can leave half a record.
        kept.write_bytes(kept.read_bytes() + b"half")
    monkeypatch.setattr("edgeprune.pipeline.check._log", lambda *_: kept)
    with fake_device(network) as device:
        found = edgeprune("check", copy, "--device", device.address, *flags, "--json").json["check"]
        assert (found["kept"], found["asked"]) == (12, device.windows)
        whole = edgeprune("check", copy, "--device", device.address, *flags, "--json").json["check"]
    assert not kept.exists()
    assert (whole["kept"], whole["asked"]) == (0, found["asked"] + 12)
    assert (whole["parts"], whole["attack"]) == (found["parts"], found["attack"])


def test_what_is_not_there(
    edgeprune: Edgeprune, tmp_path: Path, result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edgeprune("check", result, "--device", "/dev/ttyNONE").failed(3, "EP605", "/dev/ttyNONE")
    absent = edgeprune("check", result, "--device", "/dev/ttyNONE")
    assert re.search("plug the device in .*ports that are there: (none|/|COM)", absent.err)
    for address, *words in (
        ("socket://127.0.0.1:1", "opened: connection refused", "start what listens there"),
        ("socket://127.0.0.1", "names no host and port", "socket://host:port"),
        ("socket://host:port", "names no host and port", "socket://host:port"),
        ("foo://host", "protocol 'foo' not known", "/dev/ttyACM0"),
        ("", "no device is named", "--device", "/dev/ttyACM0"),
        ("/dev/null", "it is no serial port", "name one as"),
        (str(result / "edgeprune.toml"), "it is no serial port", "name one as"),
    ):
        edgeprune("check", result, "--device", address).failed(3, "EP605", *words)
    monkeypatch.setattr("edgeprune.devices.qemu_device.shutil.which", lambda _: None)
    edgeprune("check", result, "--device", "qemu").failed(3, "EP602", "apt-get install")
    edgeprune("check", tmp_path).failed(2, "EP101", "no result directory", "build --out")
    edgeprune("check", result).failed(2, "EP101", "holds no image")
    edgeprune("check", result, "--ball", "linf:3", "--device", "qemu").failed(2, "EP101", "linf:3")
    edgeprune("check", result, "--windows", 0).failed(2, "EP101", "0 windows")


def test_an_altered_result_is_refused(edgeprune: Edgeprune, tmp_path: Path, result: Path) -> None:
    copy = tmp_path / "result"
    shutil.copytree(result, copy)
    certified_beats.network(certified_beats.beats(BEATS), 9).save(copy / "network.safetensors")
    edgeprune("check", copy).failed(2, "EP201", "not the one that was built")
    seal(copy)
    replay = copy / "replays" / "counterexamples.npz"
    with fake_device(IntegerNetwork.load(copy / "network.safetensors")) as device:
        logits = edgeprune("check", copy, "--device", device.address)
        np.savez(replay, **{"0": np.zeros((2, 5, 1), np.int8)})
        shapes = edgeprune("check", copy, "--device", device.address)
    logits.failed(2, "EP201", "not those of the network", replay.name)
    shapes.failed(2, "EP201", "of another network", replay.name)


def test_the_emulator(
    edgeprune: Edgeprune, tmp_path: Path, result: Path, network: IntegerNetwork
) -> None:
    copy = tmp_path / "result"
    shutil.copytree(result, copy)
    target = load_target("cortex-m7")
    sources = generate(network, None, target, labels(network), tmp_path / "c", optimize="size")
    quick = dataclasses.replace(
        target, toolchain=dataclasses.replace(target.toolchain, optimization=("-O1",))
    )
    compile_image(sources, quick, copy / "firmware.elf")
    seal(copy)
    found = edgeprune("check", copy, *FLAGS, "--json").json["check"]
    assert (found["device"], found["info"], found["line"]) == ("emulator", None, None)
    assert found["mismatches"] == 0
    assert found["windows"] > BEATS + REPLAYS + 3


def test_the_files_are_called_as_the_stages_call_them() -> None:
    pipeline = Path(checked_result.__file__).parent
    for module, name in (("learn", "NETWORK"), ("deploy", "IMAGE")):
        line = f'{name} = "{getattr(checked_result, name)}"'
        assert line in (pipeline / f"{module}.py").read_text(encoding="utf-8").splitlines()
