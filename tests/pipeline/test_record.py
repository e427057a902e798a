"""What a report says of itself, by the kind of target."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edgeprune.config import BuildConfig
from edgeprune.data import load_card
from edgeprune.pipeline.record import _left_out, _limits
from edgeprune.targets import load_target

NOTHING: Any = SimpleNamespace(curves=())


@pytest.mark.parametrize("name", ["synthetic-ecg", "synthetic-eeg"])
def test_a_linux_claims_no_figures_that_nothing_measured(name: str) -> None:
    card = load_card(name)
    linux: Any = SimpleNamespace(
        target=load_target("cortex-a7"), card=card, config=BuildConfig(target="cortex-a7")
    )
    micro: Any = SimpleNamespace(
        target=load_target("cortex-m7"), card=card, config=BuildConfig(target="cortex-m7")
    )
    of_linux, of_micro = _limits(linux, NOTHING), _limits(micro, NOTHING)
    assert any("Instructions are exact" in text for text in of_micro)
    assert not any("exact" in text or "come from a model" in text for text in of_linux)
    assert any("Nothing here was timed" in text for text in of_linux)
    # What is said of certificates and attacks holds on both.
    assert of_linux[1:] == of_micro[2:]
    compared = [text for text in _left_out(linux) if "onnxruntime" in text]
    assert len(compared) == 1
    assert "bench --out RESULT --device ssh://user@board" in compared[0]
    assert not any("onnxruntime" in text for text in _left_out(micro))
