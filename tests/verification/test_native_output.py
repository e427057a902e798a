"""Native information lines are held back; everything else on standard error comes through."""

from __future__ import annotations

import os

import pytest

from edgeprune.verification.native_output import without_native_information


def test_only_information_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    with without_native_information():
        os.write(2, b"INFO: Created a delegate.\nWARNING: no room\n")
        os.write(2, b"ERROR: no more\n")
    os.write(2, b"INFO: after\n")
    assert capfd.readouterr().err == "WARNING: no room\nERROR: no more\nINFO: after\n"


def test_what_was_written_before_an_error_comes_out(capfd: pytest.CaptureFixture[str]) -> None:
    def breaks() -> None:
        with without_native_information():
            os.write(2, b"ERROR: why it broke\n")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        breaks()
    assert capfd.readouterr().err == "ERROR: why it broke\n"


def test_a_closed_standard_error_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_: int) -> int:
        raise OSError("closed")

    monkeypatch.setattr("edgeprune.verification.native_output.os.dup", refuses)
    with without_native_information() as nothing:
        assert nothing is None
