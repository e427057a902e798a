"""Recorded noise as it was published, and synthetic noise of the same kinds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeprune.data import check, fetch, list_cards
from edgeprune.data.noise import (
    NOISES,
    SYNTHETIC,
    list_noise_cards,
    load_noise_card,
    load_published,
    noise_source,
    read_mixed,
    read_noise,
)
from edgeprune.data.wfdb_header import read_header
from edgeprune.errors import ConfigurationError, DataError, UnknownNameError
from edgeprune.progress import Silent
from tests.data.publisher import publisher

BANDS = {"electrode-motion": (0, 12), "baseline-wander": (0, 1), "muscle-noise": (9, 160)}


def test_noise_cards_are_no_data_sets() -> None:
    assert list_noise_cards() == ("nstdb",)
    assert not set(list_noise_cards()) & set(list_cards())
    card = load_noise_card()
    assert set(card.records) == set(NOISES)
    assert len(card.record_files) == 2 * (3 + 6)
    assert load_published("nstdb") == card
    assert load_published("mit-bih").name == "mit-bih"
    with pytest.raises(UnknownNameError, match="nstd") as caught:
        load_published("nstd")
    assert {"mit-bih", "nstdb"} <= set(caught.value.hint.replace(",", "").split())
    with pytest.raises(UnknownNameError, match="no noise data set 'nst'"):
        load_noise_card("nst")


def test_noise_is_fetched_like_any_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with publisher() as server:
        files = server.card().files
        card = replace(
            load_noise_card(), records={"muscle-noise": "1"}, mixed={"2": 6.0}, files=files
        )
        report = fetch(card, tmp_path, Silent())
        assert set(report.files) == {files.checksums, "1.hea", "1.dat", "2.hea", "2.dat"}
        assert check(card, tmp_path).ok
        (tmp_path / "2.dat").write_bytes(b"")
        assert check(card, tmp_path).damaged == ("2.dat",)


def test_the_folder_is_as_published(shared_data: Callable[[str], Path]) -> None:
    report = check(load_noise_card(), shared_data("nstdb"))
    assert report.ok
    assert len(report.files) == 19


@pytest.mark.parametrize("kind", NOISES)
def test_recorded_noise_is_what_wfdb_reads(kind: str, shared_data: Callable[[str], Path]) -> None:
    import wfdb

    folder = shared_data("nstdb")
    noise = read_noise(kind, folder, 360.0)
    record = load_noise_card().records[kind]
    expected = wfdb.rdrecord(str(folder / record), physical=False).d_signal
    np.testing.assert_array_equal(noise.samples, expected)
    assert f"record {record}" in noise.source
    assert noise.source == noise_source(kind, folder)


def test_noise_at_another_rate_is_the_same_noise(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("nstdb")
    own, slower = (read_noise("baseline-wander", folder, rate).samples for rate in (360.0, 180.0))
    assert len(slower) == len(own) // 2
    np.testing.assert_allclose(slower[100:5000], own[200:10000:2], atol=12)


def test_a_mixture_begins_clean(shared_data: Callable[[str], Path]) -> None:
    import wfdb

    clean = wfdb.rdrecord(str(shared_data("mitdb") / "118"), physical=False).d_signal
    for channel in (0, 1):
        mixed = read_mixed("118e06", shared_data("nstdb"), channel)
        first = slice(0, 300 * 360)
        np.testing.assert_array_equal(mixed[first], clean[first, channel] - 1024)
        assert (mixed[301 * 360 :] != clean[301 * 360 :, channel] - 1024).mean() > 0.9


def test_damaged_and_absent_noise_is_refused(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shared_data("nstdb")
    with pytest.raises(DataError, match="header is missing"):
        read_noise("muscle-noise", tmp_path, 360.0)
    for name in ("ma.hea", "ma.dat", "SHA256SUMS.txt"):
        shutil.copy(folder / name, tmp_path / name)
    (tmp_path / "ma.dat").write_bytes((folder / "ma.dat").read_bytes()[:-3])
    with pytest.raises(DataError, match="cut short"):
        read_noise("muscle-noise", tmp_path, 360.0)
    shutil.copy(folder / "em.dat", tmp_path / "ma.dat")
    with pytest.raises(DataError, match="do not match the checksum"):
        read_noise("muscle-noise", tmp_path, 360.0)
    with pytest.raises(ConfigurationError, match="does not exist"):
        read_noise("muscle-noise", tmp_path / "none", 360.0)


def test_only_noise_may_lack_a_calibration(tmp_path: Path) -> None:
    (tmp_path / "x.hea").write_text("x 1 360 10\nx.dat 16 0 12 0 1 10 0 noise1\n")
    with pytest.raises(DataError, match="never calibrated"):
        read_header(tmp_path / "x.hea", "x")
    header = read_header(tmp_path / "x.hea", "x", calibrated=False)
    assert np.isnan(header.signals[0].microvolt_per_count)


@pytest.mark.parametrize("kind", NOISES)
def test_synthetic_noise_says_so_and_keeps_to_its_band(kind: str) -> None:
    noise = read_noise(kind, None, 360.0)
    again = read_noise(kind, None, 360.0)
    assert noise.source == noise_source(kind, None) == SYNTHETIC
    np.testing.assert_array_equal(noise.samples, again.samples)
    assert noise.samples.dtype == np.int16
    assert noise.samples.shape == (600 * 360, 2)
    power = np.abs(np.fft.rfft(noise.samples[:, 0])) ** 2
    frequency = np.fft.rfftfreq(len(noise.samples), 1 / 360)
    low, high = BANDS[kind]
    assert power[(frequency >= low) & (frequency <= high)].sum() > 0.98 * power.sum()
    assert abs(np.corrcoef(noise.samples.T)[0, 1]) < 0.3


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(UnknownNameError, match="no noise 'hiss'"):
        read_noise("hiss", None, 360.0)
