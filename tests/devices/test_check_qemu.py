"""`check` against a whole board in QEMU: as it starts it itself, and over bad lines."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from edgeprune.config import BuildConfig
from edgeprune.devices.qemu_device import COMMAND
from edgeprune.devices.serial_link import SerialLink
from edgeprune.errors import PortError
from edgeprune.pipeline.check import CheckSettings, check_device
from tests import certified_beats
from tests.devices.results import turned_over, write_result
from tests.studies.robustness_device import UARTS, check_over_bad_lines

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which(COMMAND) is None, reason=f"{COMMAND} is absent"),
]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    held = certified_beats.beats(12)
    network = certified_beats.network(held)
    windows = certified_beats.windows(held, network.run(*held.inputs()).argmax(axis=1))
    folder = tmp_path_factory.mktemp("check") / "result"
    replays = {"counterexamples": turned_over(windows, 3)}
    return write_result(folder, BuildConfig(target="cortex-m7"), network, held, windows, replays)


def test_a_board_that_check_starts(result: Path) -> None:
    settings = CheckSettings("qemu", windows=12, attacked=2, queries=3, ball="linf:2mV")
    found = check_device(result, settings)
    assert found.passed
    assert found.info is not None
    assert found.stack_bytes is not None
    assert 0 < found.stack_bytes[0] <= found.stack_bytes[1]
    assert [part.windows for part in found.parts] == [12, 3]
    assert found.line is not None
    assert found.line.resends == 0


def test_every_window_is_answered_over_bad_lines(result: Path) -> None:
    lines = check_over_bad_lines(result, windows=4, queries=0)
    assert [line.uart for line in lines] == list(UARTS)
    for line in lines:
        assert (line.windows, line.wrong) == (7, 0)
        assert line.check.passed
        assert line.resends > 10
        assert min(line.happened.dropped, line.happened.flipped, line.happened.delayed) > 10


def test_a_board_that_ends(result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = []
    whole = SerialLink.ticks

    # An answer is whole, and kept, once the board has told its ticks too.
    def ticks(link: SerialLink) -> Any:
        answered.append(whole(link))
        if len(answered) == 7:
            link._stream._board.kill()  # type: ignore[attr-defined]
            link._stream._board.wait()  # type: ignore[attr-defined]
        return answered[-1]

    settings = CheckSettings("qemu", windows=12, queries=0)
    monkeypatch.setattr(SerialLink, "ticks", ticks)
    with pytest.raises(PortError, match="QEMU ended after 7 of 12 test windows"):
        check_device(result, settings)
    found = check_device(result, settings)
    assert found.passed
    assert (found.kept, found.asked) == (7, 8)
