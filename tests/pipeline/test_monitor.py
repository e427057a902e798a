"""The monitor's stage: fitted, tried on clean and disturbed windows, asked on the device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeprune.config import load_config
from edgeprune.evidence import Where
from edgeprune.evidence.monitor import MonitorEvidence
from edgeprune.monitor import fit_monitor
from edgeprune.pipeline.build import open_context
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.learn import NETWORK, data_stage, windows_of
from edgeprune.pipeline.monitor import MONITOR_EVIDENCE, monitor_of, monitor_stage
from edgeprune.pipeline.products import load_record
from edgeprune.pipeline.store import Stage
from edgeprune.progress import Silent
from tests.firmware.networks import behind_front_end
from tests.pipeline.small import SETTINGS, small_card


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Context, Stage, Stage]:
    folder = tmp_path_factory.mktemp("monitor")
    settings = {
        **SETTINGS,
        "dataset": str(small_card(folder)),
        "target": "cortex-m4",
        "monitor.enabled": True,
        "monitor.coverage": 0.9,
        "disturbances.cases": ("mains-hum:50uV", "mains-hum:2000uV", "drop-out:400ms"),
        "disturbances.windows": 40,
    }
    context = open_context(load_config(None, settings), folder / "result", Silent())
    data = data_stage(context)

    def produce(place: Path) -> None:
        behind_front_end().save(place / NETWORK)

    quantized = context.store.run("quantize", produce, reads=[data])
    return context, data, monitor_stage(context, data, quantized)


def test_the_monitor_is_the_fitted_one(made: tuple[Context, Stage, Stage]) -> None:
    context, data, stage = made
    parts = windows_of(data, "train"), windows_of(data, "validation")
    fitted = fit_monitor(
        *(context.config.monitor, behind_front_end(), *parts, context.front_end, context.adc)
    )
    assert monitor_of(stage) == fitted
    assert monitor_of(None) is None


def test_the_device_gives_the_same_reasons_and_is_weighed(
    made: tuple[Context, Stage, Stage],
) -> None:
    evidence = load_record(made[2].file(MONITOR_EVIDENCE), MonitorEvidence)
    assert evidence.compared > 60
    assert evidence.mismatches == 0
    for figure, where in (
        (evidence.flash_bytes, Where.IMAGE),
        (evidence.instructions, Where.EMULATOR),
    ):
        assert figure is not None
        assert figure.where is where
        assert figure.value is not None
        assert 500 < figure.value < 8000


def test_each_set_says_what_was_refused(made: tuple[Context, Stage, Stage]) -> None:
    _, data, stage = made
    evidence = load_record(stage.file(MONITOR_EVIDENCE), MonitorEvidence)
    clean, hum, held = evidence.sets
    assert clean.n == len(windows_of(data, "test"))
    assert hum.name.startswith("mains-hum:2000uV: ")  # the severest of its kind
    assert held.name.startswith("drop-out:400ms: ")
    reasons = {each.reason: each.windows for each in hum.reasons}
    assert reasons["unusual"] > 0.9 * hum.n
    assert {each.reason: each.windows for each in held.reasons}["flat"] > 0
    assert clean.reasons[0].windows == 0
    assert clean.curve[0].asked == 1.0
    np.testing.assert_allclose(clean.curve[0].error.value, clean.error_of_all.value)
    assert evidence.limits.asked_coverage == 0.9
    assert evidence.limits.fitted_coverage >= 0.9
