"""`edgeprune init --data` on tables with one window a row, up to the first stage of a build."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgeprune.config import load_config
from edgeprune.data import DatasetCard, load_card
from edgeprune.pipeline.build import open_context
from edgeprune.pipeline.learn import data_stage, windows_of
from edgeprune.progress import Silent
from tests.cli.conftest import Edgeprune

LENGTH = 187
RATE = ("--rate", "125")


def windows(count: int) -> npt.NDArray[np.float64]:
    """Return beats normalised to 0 to 1 and filled up with zeros, as public tables have them."""
    random = np.random.default_rng(count)
    found = np.zeros((count, LENGTH))
    for window in found:
        length = random.integers(80, 150)
        window[:length] = random.random(length)
        window[random.integers(length)] = 1.0
    return found


def unnamed(path: Path, count: int) -> None:
    """Write 187 samples and a class, sorted by class, without names."""
    labels = np.sort(np.array([0, 2, 1, 2])[np.arange(count) % 4])[:, None]
    np.savetxt(path, np.hstack([windows(count), labels]), delimiter=",")


def built(folder: Path) -> DatasetCard:
    """Return the card that was written, after the data stage of a build by it."""
    config = load_config(folder / "edgeprune.toml", {"target": "host"})
    context = open_context(config, folder / "out", Silent())
    stage = data_stage(context)
    for part in ("train", "validation", "test"):
        found = windows_of(stage, part)
        assert found.signal.shape[1:] == (LENGTH, 1)
        assert np.abs(found.signal).max() > 40
        assert set(found.label.tolist()) == {0, 1, 2}
    return context.card


def test_the_commonest_public_form(edgeprune: Edgeprune, tmp_path: Path) -> None:
    """One file of 187 samples and a class, no names, no patients, sorted by class."""
    data = tmp_path / "data"
    data.mkdir()
    unnamed(data / "mitbih_train.csv", 120)
    edgeprune("init", tmp_path, "--data", data).failed(2, "EP101", "--rate")
    edgeprune("init", tmp_path, "--data", data, *RATE).failed(2, "EP101", "--unit", "rms")
    flags = (*RATE, "--unit", "count")
    edgeprune("init", tmp_path, "--data", data, *flags).failed(2, "EP101", "they are not whole")
    result = edgeprune("init", tmp_path, "--data", data, *RATE, "--unit", "rms")
    assert result.code == 0, result.out
    assert "NOBODY KNOWS WHOSE THE RECORDS ARE" in result.out
    card = built(tmp_path)
    assert not card.patients_known
    assert card.reader.label == "188"
    assert card.class_names == ("0", "1", "2")
    assert len(card.split.records) == 20
    assert card.signal.unit == "rms"
    expected = windows(120)
    spread = np.sqrt(np.mean((expected - np.median(expected)) ** 2))
    assert card.reader.rms == pytest.approx(spread, rel=1e-2)
    assert card.window is not None
    assert card.window.seconds == LENGTH / 125
    flags = (*RATE, "--unit", "rms", "--patient", "record", "--force")
    edgeprune("init", tmp_path, "--data", data, *flags).failed(2, "EP101", "--patient record")


def test_patients_make_records(edgeprune: Edgeprune, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    names = ",".join(["subject", *(f"s{k}" for k in range(LENGTH)), "class"])
    rows = [
        ",".join(
            [f"P {number % 5}", *(f"{2000 * value:.0f}" for value in window), "NSV"[number % 3]]
        )
        for number, window in enumerate(windows(60))
    ]
    for number in range(2):
        (data / f"part{number}.csv").write_text("\n".join([names, *rows[number::2]]))
    result = edgeprune("init", tmp_path, "--data", data, *RATE, "--unit", "uV")
    assert result.code == 0, result.out
    assert "NOBODY" not in result.out
    card = built(tmp_path)
    assert card.patients_known
    assert {card.patient(name) for name in card.split.records} == {f"P {k}" for k in range(5)}
    assert card.signal.unit == "uV"
    (data / "part1.csv").write_text("\n".join([names, *rows[1::2]]).replace(",0,", ",zero,", 1))
    result = edgeprune("init", tmp_path, "--data", data, *RATE, "--unit", "uV", "--force")
    assert "line 2: 'zero' is not a number" in (tmp_path / "mine.toml").read_text()
    assert result.code == 0, result.out


def test_a_row_of_many_channels_is_a_sample(edgeprune: Edgeprune, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    names = ",".join([*(f"x{k}" for k in range(40)), "label"])
    random = np.random.default_rng(1)
    for number in range(3):
        values = random.integers(-500, 500, (256, 40))
        lines = [",".join([*map(str, row), "ab"[k // 128]]) for k, row in enumerate(values)]
        (data / f"r{number}.csv").write_text("\n".join([names, *lines]))
    flags = ("--rate", "64", "--unit", "uV", "--row", "sample", "--patient", "record")
    assert edgeprune("init", tmp_path, "--data", data, *flags).code == 0
    card = load_card(tmp_path / "mine.toml")
    assert len(card.signal.channels) == 8
    assert card.window is not None
    assert not card.window.cut_out
    flags = ("--rate", "64", "--unit", "uV", "--patient", "record", "--force")
    assert edgeprune("init", tmp_path, "--data", data, *flags).code == 0
    card = load_card(tmp_path / "mine.toml")
    assert card.window is not None
    assert card.window.cut_out
    edgeprune("init", tmp_path, "--data", data, "--row", "line", "--force").failed(
        2, "EP101", "--row", "sample, window"
    )
