"""The data stage's raw recordings: windows of any part but training start at the converter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeprune.config import load_config
from edgeprune.errors import DataError
from edgeprune.pipeline.build import open_context
from edgeprune.pipeline.learn import data_stage, windows_of
from edgeprune.pipeline.recordings import held_of
from edgeprune.progress import Silent
from tests.pipeline.small import SETTINGS, small_card


def test_windows_are_held_in_their_order(tmp_path: Path) -> None:
    config = load_config(None, {**SETTINGS, "dataset": str(small_card(tmp_path))})
    context = open_context(config, tmp_path / "result", Silent())
    data = data_stage(context)
    for part in ("validation", "test"):
        windows = windows_of(data, part)
        shuffled = windows.select(np.random.default_rng(2).permutation(len(windows))[:30])
        held = held_of(context, data, shuffled)
        signal, rhythm = held.inputs()
        np.testing.assert_array_equal(signal, shuffled.signal)
        np.testing.assert_array_equal(rhythm, shuffled.rhythm)
        np.testing.assert_array_equal(held.gain, shuffled.gain)
    with pytest.raises(DataError, match="not kept"):
        held_of(context, data, windows_of(data, "train"))
