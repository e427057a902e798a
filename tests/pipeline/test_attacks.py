"""Attacks held against proofs; results as bytes; the same result however tasks are run."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from edgeprune.attacks import AttackSettings, Ball
from edgeprune.data.held_front_end import HeldBeats
from edgeprune.errors import ContradictionError, EdgepruneError
from edgeprune.executor import Executor
from edgeprune.pipeline.attack import check_attacks
from edgeprune.pipeline.attacked import Attacked, attack_all, decode_result, encode_result
from edgeprune.pipeline.contradictions import check_proofs, members
from edgeprune.pipeline.products import save_windows
from edgeprune.pipeline.store import Stage
from edgeprune.pipeline.turned import Turned
from edgeprune.progress import Silent
from edgeprune.verification.certificates import OUTCOMES, SCHEMA, VERSION
from edgeprune.verification.perturbations import parse_perturbation
from tests.certified_beats import beats, network, windows

COUNT = 4


@pytest.fixture(scope="module")
def held() -> HeldBeats:
    return beats(COUNT)


def _verified(folder: Path, held: HeldBeats, outcomes: dict[str, list[str]]) -> Stage:
    """Write what the verify stage leaves, with outcomes of our own."""
    files = folder / "certificates"
    files.mkdir(parents=True)
    save_windows(files / "windows.npz", windows(held, np.zeros(COUNT, np.int64)))
    for number, (text, row) in enumerate(outcomes.items()):
        header = json.dumps({"schema": SCHEMA, "version": VERSION, "perturbation": text})
        np.savez(
            files / f"{number}.npz",
            header=np.frombuffer(header.encode(), np.uint8),
            outcome=np.array([OUTCOMES.index(each) for each in row], np.int8),
        )
    return Stage("verify", folder, "", reused=False)


def _turned(held: HeldBeats, window: int, counts: int) -> Turned:
    """Return one window moved by so many counts, as an attack would leave it."""
    raw = held.raw[[window]].copy()
    raw[0, 5] += counts
    return Turned(np.array([window]), raw, np.array([1]), ("pgd",))


def test_an_attack_within_a_proof_names_window_and_set(held: HeldBeats, tmp_path: Path) -> None:
    outcomes = {
        "linf:10uV": ["proved", "unknown", "falsified", "proved"],
        "linf:20uV": ["proved", "unknown", "unknown", "timeout"],
    }
    stage = _verified(tmp_path, held, outcomes)
    own = windows(held, np.zeros(COUNT, np.int64))
    # 3 counts of 5 uV: beyond the first set, within the second, which holds for window 0 alone.
    with pytest.raises(ContradictionError) as caught:
        check_proofs(stage, own, held, _turned(held, 0, 3))
    assert "record 100, beat at sample 1000, set linf:20uV" in caught.value.where
    assert "'pgd'" in caught.value.what
    for window, counts, within in ((3, 3, 1), (1, 2, 2), (0, 5, 0)):
        found = check_proofs(stage, own, held, _turned(held, window, counts))
        assert (found.compared, found.proved, found.contradictions) == (within, 3, 0)


def test_windows_that_were_not_verified_meet_no_proof(held: HeldBeats, tmp_path: Path) -> None:
    stage = _verified(tmp_path, held, {"linf:20uV": ["proved"] * COUNT})
    own = windows(held, np.zeros(COUNT, np.int64))
    elsewhere = type(own)(
        **{each.name: getattr(own, each.name) for each in fields(own)} | {"beat": own.beat + 1}
    )
    found = check_proofs(stage, elsewhere, held, _turned(held, 0, 1))
    assert (found.compared, found.proved) == (0, 0)
    none = Turned(np.zeros(0, np.int64), held.raw[:0], np.zeros(0, np.int64), ())
    assert check_proofs(stage, own, held, none).proved == COUNT


@pytest.mark.parametrize("text", ["linf:20uV", "l2:100uV", "gain:5%", "rr:8ms", "linf:3lsb"])
def test_changes_are_members_of_sets_of_every_kind(held: HeldBeats, text: str) -> None:
    perturbation = parse_perturbation(text)
    assert members(perturbation, held, held.raw).all()
    far = held.raw.copy()
    far[:, 140:150] = np.clip(far[:, 140:150] + 400, -1024, 1023)
    assert not members(perturbation, held, far).any()


def test_results_are_the_same_again_and_after_a_store(held: HeldBeats, tmp_path: Path) -> None:
    flashed = network(held)
    labels = flashed.run(*held.inputs()).argmax(axis=1)
    attacked = Attacked({"int8": flashed}, held, labels, AttackSettings(steps=2, seed=3, rounds=1))
    balls = [Ball.parse("linf:100uV"), Ball.parse("l2:1mV")]
    names = ("fgsm",)
    first = attack_all(attacked, names, balls, Executor(store=tmp_path), Silent())["int8"]
    kept = attack_all(attacked, names, balls, Executor(store=tmp_path), Silent())["int8"]
    again = attack_all(attacked, names, balls, Executor(), Silent())["int8"]
    assert [result.ball for result in first] == ["linf:100uV", "l2:1000uV"]
    for one, *others in zip(first, kept, again, strict=True):
        assert decode_result(encode_result(one)).attack == one.attack
        for other in others:
            assert encode_result(other) == encode_result(one)
        decided = flashed.run(*held.inputs(one.raw)).argmax(axis=1)
        assert np.array_equal(decided != labels, one.success)


@pytest.mark.parametrize(
    ("names", "balls", "words"),
    [
        (("pgdd",), ("linf:20uV",), "did you mean"),
        (("pgd",), ("linf:2lsb",), "linf:100uV"),
        (("pgd",), ("l2",), "l2:100uV"),
        (("apgd-ce",), ("l0:3",), "these do"),
        (("pgd",), ("l3:20uV",), "norm"),
    ],
)
def test_what_cannot_be_attacked_is_refused(
    names: tuple[str, ...], balls: tuple[str, ...], words: str
) -> None:
    from edgeprune.config import AttackPlan, BuildConfig

    with pytest.raises(EdgepruneError) as caught:
        check_attacks(BuildConfig(attacks=AttackPlan(names=names, balls=balls)))
    assert words in str(caught.value)
