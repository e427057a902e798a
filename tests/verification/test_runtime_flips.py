"""Proofs for any runtime on runtimes, real ones and wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

from edgeprune.network import IntegerNetwork
from edgeprune.network.tensor import Int8Array
from edgeprune.verification.outcomes import Outcome, Runtime
from edgeprune.verification.runtime_flips import (
    OTHER_RUNTIMES,
    attacked_members,
    flips,
    layer_spread,
)
from edgeprune.verification.runtimes import RUNTIMES, Layers, RunLayers
from edgeprune.verification.runtimes import Runtime as Implementation
from edgeprune.verification.verify import VerifySettings
from tests.verification import provers
from tests.verification.perturbed_networks import lsb_case, raw_case
from tests.verification.tiny_networks import TinyCase


class Negated(Implementation):
    """Turns all logits round: every decision changes but that of equal logits."""

    def open(self, network: IntegerNetwork) -> RunLayers:
        def run(inputs: list[Int8Array]) -> Layers:
            return {network.output: (-1 - network.run(*inputs)).astype(np.int8)}

        return run


def installed() -> list[str]:
    names = []
    for name in OTHER_RUNTIMES:
        module = name.split()[0].replace("-", "_")
        try:
            __import__(module)
        except ImportError:
            continue
        names.append(name)
    return names


def test_members_are_members_and_equally_many_of_each_window() -> None:
    for case in (lsb_case(1), raw_case(2, "linf:5uV"), raw_case(3, "gain:60%")):
        assert case.perturbation is not None
        assert case.held is not None
        random = np.random.default_rng(0)
        members = attacked_members(case.network, case.held, case.perturbation, 25, random)
        assert len(members) == 26
        assert np.bincount(members.window).tolist() == [13, 13]
        known = {row.tobytes() for row in _rows(case.members)}
        if case.complete:
            assert {row.tobytes() for row in _rows(members.inputs)} <= known


def _rows(inputs: tuple[Int8Array, ...]) -> np.ndarray:
    return np.concatenate([values.reshape(len(values), -1) for values in inputs], axis=1)


def test_wrong_runtimes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUNTIMES._entries, "negated", Negated())
    case = _decided()
    assert case.held is not None
    assert case.perturbation is not None
    random = np.random.default_rng(0)
    members = attacked_members(case.network, case.held, case.perturbation, 10, random)
    (row,) = flips(case.network, members, case.decisions, ["negated"])
    assert (row.members, row.windows) == (10, 2)
    assert row.flips == 10
    assert row.differing == 10


def _decided() -> TinyCase:
    """Return a case of which every member's logits differ."""
    for seed in range(60):
        case = lsb_case(seed)
        ordered = np.sort(case.logits, axis=1)
        if case.holds.all() and (ordered[:, 0] < ordered[:, -1]).all():
            return case
    raise AssertionError


@pytest.mark.skipif(not installed(), reason="no other runtime is installed")
def test_no_runtime_flips_what_is_proved_of_any() -> None:
    settings = VerifySettings(runtime=Runtime.ANY, seconds=0.1)
    proved = 0
    for seed in range(16):
        case = lsb_case(seed)
        assert case.held is not None
        assert case.perturbation is not None
        held = provers.verified(case, settings).mask(Outcome.PROVED)
        if not held.any():
            continue
        proved += int(held.sum())
        part = case.held.select(np.flatnonzero(held))
        random = np.random.default_rng(seed)
        members = attacked_members(case.network, part, case.perturbation, 64, random)
        for row in flips(case.network, members, case.decisions[held], installed()):
            assert row.flips == 0, row
    assert proved > 4


@pytest.mark.skipif(not installed(), reason="no other runtime is installed")
def test_layers_of_other_runtimes_are_at_most_an_lsb_off() -> None:
    differing = 0
    for seed in range(12):
        case = lsb_case(seed)
        rows = layer_spread(case.network, case.members, installed())
        assert {row.kind for row in rows} == {o.kind for o in case.network.operations}
        for row in rows:
            assert row.largest_difference <= 1, row
            differing += row.mismatches
    assert differing > 0
