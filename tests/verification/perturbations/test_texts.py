"""Perturbations as they are written: read, written again, described, refused."""

from __future__ import annotations

import numpy as np
import pytest

from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.perturbations import PERTURBATIONS, parse_perturbation
from tests.verification.perturbations.texts import RAW


@pytest.mark.parametrize(
    "text", [*RAW, "linf:2lsb", "l2:5lsb", "l0:3lsb", "rr:2lsb", "linf:2lsb+rr:1lsb"]
)
def test_a_text_is_read_and_written_again(text: str) -> None:
    perturbation = parse_perturbation(text)
    assert parse_perturbation(perturbation.text) == perturbation
    assert perturbation.of_inputs == ("lsb" in text)


def test_other_spellings_are_the_same() -> None:
    assert parse_perturbation("linf: 20 µV") == parse_perturbation("linf:20uV")
    assert parse_perturbation("gain:10% + linf:5uV") == parse_perturbation("gain:10%+linf:5uV")


def test_sizes_are_physical() -> None:
    words = parse_perturbation("wander:500uV@0.5Hz+linf:5uV").describe()
    for part in ("500uV", "0.5Hz", "5uV", "any phase"):
        assert part in words
    for name in PERTURBATIONS:
        assert name in " ".join(RAW)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("linf", "no size"),
        ("linf:", "no size"),
        ("linf:20", "no unit"),
        ("linf:abc", "no amount"),
        ("linf:-3uV", "negative"),
        ("wander:500uV", "no frequency"),
        ("gain:10%+gain:5%+band:50ms", "cannot be added"),
        ("linf:5uV+gain:10%", "cannot be added"),
        ("rr:8ms+linf:5uV", "cannot be added"),
        ("rr:8ms+rr:4ms", "cannot be added"),
        ("linf:20uV+linf:2lsb", "cannot be added"),
        ("l0:2.5", "whole number"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        parse_perturbation(text)


def test_unknown_names_and_units_get_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="wandr") as error:
        parse_perturbation("wandr:500uV@0.5Hz")
    assert error.value.nearest == "wander"
    with pytest.raises(UnknownNameError, match="no perturbation ''"):
        parse_perturbation("")
    with pytest.raises(UnknownNameError) as error:
        parse_perturbation("linf:20uVv")
    assert error.value.nearest == "uV"


def test_physical_sets_need_a_converter() -> None:
    held = HeldInputs((np.zeros((2, 8, 1), np.int8),))
    with pytest.raises(ConfigurationError, match="raw samples"):
        parse_perturbation("linf:20uV").input_sets(held)
