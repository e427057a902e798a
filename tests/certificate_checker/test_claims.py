"""Certificates from real proofs are accepted; false and changed ones are not."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from edgeprune import certificate_checker
from edgeprune.certificate_checker import check
from edgeprune.certificate_checker.__main__ import main
from edgeprune.data.held_front_end import HeldBeats
from edgeprune.data.windows import Windows
from edgeprune.errors import ModelError
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.products import save_windows
from edgeprune.verification.certificates import (
    CertificateFile,
    encode,
    read_certificates,
    write_certificates,
)
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.outcomes import (
    Leaf,
    Method,
    Outcome,
    Proof,
    Runtime,
    VerificationRun,
    WindowResult,
)
from edgeprune.verification.verify import VerifySettings, verify_windows
from tests import certified_beats
from tests.tampering import kinds, notice
from tests.verification.tiny_networks import TinyCase, tiny_case

# Sets and windows that together give every kind of evidence: lines, splits, pieces,
# counterexamples, and a window (5) that stays open.
CASES = {
    "linf:5uV": [0, 1, 3, 5, 23],
    "gain:10%": [0, 1, 3, 23],
    "hum:100uV@50Hz": [1, 3, 23],
}
TEXTS = tuple(CASES)


@dataclass(frozen=True)
class Files:
    """A run and where its files are."""

    run: VerificationRun
    certificates: Path
    network: Path
    windows: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, ...]:
    folder = tmp_path_factory.mktemp("certificates")
    every = certified_beats.beats(24)
    network = certified_beats.network(every)
    network.save(folder / "network.safetensors")
    found = []
    for number, (text, chosen) in enumerate(CASES.items()):
        held = every.select(np.array(chosen))
        windows = certified_beats.windows(held, network.predict(*held.inputs()))
        paths = folder / f"{number}.npz", folder / "network.safetensors", folder / f"w{number}.npz"
        save_windows(paths[2], windows)
        run = verify_windows(network, held, windows, text, VerifySettings(seconds=4.0))
        write_certificates(run, network, paths[0])
        found.append(Files(run, *paths))
    return tuple(found)


def test_what_is_proved_of_beats_is_accepted(runs: tuple[Files, ...]) -> None:
    methods = set()
    for files in runs:
        report = check(files.certificates, files.network, files.windows)
        assert report.accepted, [each for each in report.verdicts if not each.accepted]
        methods |= {(each.outcome, each.method) for each in report.verdicts}
    assert {("proved", "linear"), ("proved", "branching"), ("falsified", "attack")} <= methods


def test_every_tampering_is_noticed(runs: tuple[Files, ...], tmp_path: Path) -> None:
    found = {}
    for number, files in enumerate(runs):
        folder = tmp_path / str(number)
        for each in notice(files.certificates, files.network, files.windows, folder):
            assert each.rejected, (TEXTS[number], each.kind)
            assert each.reason
            found[each.kind] = each.reason
    # A slow machine may leave a proof by splits or pieces undone, and its tamperings with it.
    assert len(found) >= 35
    assert set(found) <= set(kinds())


def test_the_same_run_gives_the_same_bytes_and_a_report_can_read_them(
    runs: tuple[Files, ...], tmp_path: Path
) -> None:
    files = runs[0]
    network = IntegerNetwork.load(files.network)
    write_certificates(files.run, network, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == files.certificates.read_bytes()
    file = read_certificates(files.certificates)
    assert file.count == len(files.run.results)
    assert file.header["tally"]["proved"] == files.run.total.proved


def test_foreign_and_damaged_files_are_named(runs: tuple[Files, ...], tmp_path: Path) -> None:
    for content in (b"", b"nothing of ours", runs[0].certificates.read_bytes()[:300]):
        (tmp_path / "odd.npz").write_bytes(content)
        with pytest.raises(ModelError, match="no file of certificates"):
            read_certificates(tmp_path / "odd.npz")
        report = check(tmp_path / "odd.npz", runs[0].network)
        assert not report.accepted
        assert "odd.npz" in report.problem


def test_it_runs_alone(runs: tuple[Files, ...], capsys: pytest.CaptureFixture[str]) -> None:
    files = runs[2]
    assert main([str(files.certificates), str(files.network)]) == 0
    count = len(files.run.results)
    assert f"{count} of {count} certificates accepted" in capsys.readouterr().out


def test_it_imports_nothing_but_numpy_and_the_standard_library() -> None:
    folder = Path(certificate_checker.__file__).parent
    found = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found |= {*names, node.module or ""} if isinstance(node, ast.ImportFrom) else {*names}
    own = {name for name in found if f"{name}.".startswith("edgeprune.certificate_checker.")}
    foreign = {name.partition(".")[0] for name in found - own} - set(sys.stdlib_module_names)
    assert foreign == {"numpy"}


def tiny_windows(count: int, classes: int) -> Windows:
    zeros = np.zeros(count, np.int64)
    return Windows(
        signal=np.zeros((count, 1, 1), np.int8),
        rhythm=np.zeros((count, 1), np.int8),
        gain=zeros,
        label=zeros,
        record=zeros,
        beat=np.arange(count),
        record_names=("r",),
        patients=("p",),
        class_names=tuple("abcdef"[:classes]),
        synthetic=True,
    )


def moved(case: TinyCase, radius: int) -> tuple[HeldInputs, VerificationRun]:
    held = HeldInputs(case.centre)
    windows = tiny_windows(len(held), case.network.output_tensor.size)
    runtime = Runtime.ANY if case.seed % 3 == 0 else Runtime.FIRMWARE
    settings = VerifySettings(seconds=0.3, runtime=runtime)
    return held, verify_windows(case.network, held, windows, f"linf:{radius}lsb", settings)


def test_what_is_proved_of_small_networks_is_accepted(tmp_path: Path) -> None:
    for seed in range(16):
        case = tiny_case(seed, shared=False)
        case.network.save(tmp_path / "network.safetensors")
        _, run = moved(case, 1 + seed % 3)
        write_certificates(run, case.network, tmp_path / "c.npz")
        report = check(tmp_path / "c.npz", tmp_path / "network.safetensors")
        assert report.accepted, (seed, report.problem, report.verdicts)


def test_what_is_false_is_not_accepted_whatever_is_claimed(tmp_path: Path) -> None:
    """A prover that claims everything: only what a search does not contradict is accepted."""
    contradicted = 0
    for seed in range(24):
        case = tiny_case(seed, shared=False)
        case.network.save(tmp_path / "network.safetensors")
        held = HeldInputs(case.centre)
        decisions = case.network.predict(*case.centre)
        for method in (Method.INTERVAL, Method.LINEAR):
            leaf = Leaf(method, None, (), None, np.zeros(0))
            results = tuple(
                WindowResult(Outcome.PROVED, method, int(each), 0.0, 1.0, None, Proof((leaf,)))
                for each in decisions
            )
            windows = tiny_windows(len(held), case.network.output_tensor.size)
            run = VerificationRun(
                "linf:2lsb", case.network.sha256, Runtime.FIRMWARE, windows, results, held
            )
            write_certificates(run, case.network, tmp_path / "c.npz")
            report = check(tmp_path / "c.npz", tmp_path / "network.safetensors")
            random = np.random.default_rng(seed)
            for verdict in report.verdicts:
                own = case.centre[0][verdict.window].astype(np.int64)
                steps = random.integers(-2, 3, (300, *own.shape))
                steps[::2] = np.where(steps[::2] < 0, -2, 2)
                signal = np.clip(own + steps, -128, 127).astype(np.int8)
                rest = [np.repeat(v[verdict.window][None], 300, axis=0) for v in case.centre[1:]]
                flips = (case.network.predict(signal, *rest) != decisions[verdict.window]).any()
                assert not (verdict.accepted and flips), (seed, verdict)
                contradicted += bool(flips)
    assert contradicted > 12


def test_a_run_without_proofs_or_of_another_network_is_refused(
    runs: tuple[Files, ...], tmp_path: Path
) -> None:
    files = runs[0]
    network = IntegerNetwork.load(files.network)
    bare = tuple(replace(each, proof=None) for each in files.run.results)
    with pytest.raises(ModelError, match="no proof"):
        write_certificates(replace(files.run, results=bare), network, tmp_path / "c.npz")
    with pytest.raises(ModelError, match="another network"):
        write_certificates(replace(files.run, network_sha256="0"), network, tmp_path / "c.npz")


def test_beats_are_held_with_what_the_front_end_remembered(runs: tuple[Files, ...]) -> None:
    held = runs[0].run.held
    assert isinstance(held, HeldBeats)
    file = read_certificates(runs[0].certificates)
    assert (file.columns["raw"] == held.raw).all()
    assert (file.columns["template"] == held.template).all()


def test_no_multiplier_proves_what_is_false(runs: tuple[Files, ...], tmp_path: Path) -> None:
    """Multipliers are the forger's choice: however large, none may wrap around into a proof."""
    files = next(files for files in runs if files.run.mask(Outcome.FALSIFIED).any())
    window = int(np.flatnonzero(files.run.mask(Outcome.FALSIFIED))[0])
    random = np.random.default_rng(5)
    true = read_certificates(files.certificates)
    leaf, linear, steps = len(true.columns["leaf_window"]), 1, true.header["steps"]
    for bits in range(20, 63):
        columns = {name: values.copy() for name, values in true.columns.items()}
        columns["outcome"][window], columns["method"][window] = 0, 2
        keep = columns["counterexample_window"] != window
        for name in [each for each in columns if each.startswith("counterexample_")]:
            columns[name] = columns[name][keep]
        # Two leaves that part the set at an accumulator of the last hidden step.
        rows = {
            "leaf_window": [window, window],
            "leaf_method": [linear, linear],
            "leaf_piece": [-1, -1],
            "leaf_refined": [-1, -1],
            "split_leaf": [leaf, leaf + 1],
            "split_step": [len(steps)] * 2,
            "split_neuron": [0] * 2,
            "split_at": [0, 1],
            "split_upper": [0, 1],
            "multiplier": random.integers(2 ** (bits - 1), 2**bits, (2, 5)),
        }
        for name, values in rows.items():
            added = np.asarray(values, columns[name].dtype)
            if name == "multiplier":
                added = added[:, : columns[name].shape[1]]
            columns[name] = np.concatenate([columns[name], added])
        header = {**true.header, "tally": {**true.header["tally"]}}
        right = int(columns["decision"][window] == columns["label"][window])
        for key, change in (("falsified", -1), ("proved", 1), ("proved_and_right", right)):
            header["tally"][key] += change
        forged = tmp_path / f"{bits}.npz"
        forged.write_bytes(encode(CertificateFile(header, columns)))
        report = check(forged, files.network, chosen=(window,))
        assert not report.problem
        assert "only shown" in report.verdicts[0].reason
