"""Recorded noise: what electrodes pick up beside the heart, as counts without a calibration.

Where no recording is at hand a synthetic noise of the same kind is made; everything made from it
says so. Either is scaled by a signal-to-noise ratio and never by its own counts.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.data.cards import DatasetCard, FilesCard, list_cards, load_card
from edgeprune.data.recordings import Int16Array
from edgeprune.data.wfdb_header import read_header
from edgeprune.data.wfdb_reader import check_sample_files, check_sums, read_samples
from edgeprune.errors import ConfigurationError, DataError, UnknownNameError
from edgeprune.resources import resource_folder
from edgeprune.typed_toml import parse_table, read_toml

FloatArray = npt.NDArray[np.float64]

SYNTHETIC = "synthetic"
NOISES = ("electrode-motion", "baseline-wander", "muscle-noise")
_CARD = "nstdb"
_SYNTHETIC_SECONDS = 600
_SYNTHETIC_CHANNELS = 2
# Mean height of synthetic noise in counts; it is scaled by a ratio, so only rounding sees it.
_SYNTHETIC_COUNTS = 1000.0


@dataclass(frozen=True)
class NoiseCard:
    """A data set of noise: TOML files in the folder `noise` of the data cards.

    Attributes:
        name: The name that `datasets fetch` takes.
        title: One line.
        origin: Where the data set is described.
        licence: The owner's licence.
        citation: What to cite.
        text: What a reader should know.
        rate_hz: Samples a second.
        records: Kind of noise to record.
        mixed: Records that the publisher mixed with an ECG, to signal-to-noise ratio in dB.
        files: What to fetch.
        path: The file the card was read from.
    """

    name: str
    title: str
    origin: str
    licence: str
    citation: str
    text: str
    rate_hz: int
    records: Mapping[str, str]
    files: FilesCard
    mixed: Mapping[str, float] = field(default_factory=dict)
    path: str = ""

    @property
    def record_files(self) -> tuple[str, ...]:
        """Names of the files that the records consist of."""
        return tuple(
            f"{record}.{extension}"
            for record in (*self.records.values(), *self.mixed)
            for extension in self.files.extensions
        )


@dataclass(frozen=True, eq=False)
class Noise:
    """Noise of one kind.

    Attributes:
        kind: One of `NOISES`.
        source: The data set and record it comes from, or "synthetic".
        rate_hz: Samples a second.
        samples: Counts of no particular size, int16 [n, channels].
    """

    kind: str
    source: str
    rate_hz: float
    samples: Int16Array


def list_noise_cards() -> tuple[str, ...]:
    """Return the names of the noise cards that edgeprune carries."""
    return tuple(sorted(path.stem for path in (resource_folder("datasets") / "noise").glob("*")))


def load_noise_card(name: str = _CARD) -> NoiseCard:
    """Return a noise card by its name.

    Raises:
        UnknownNameError: No card has that name.
    """
    if name not in list_noise_cards():
        raise UnknownNameError("noise data set", name, list_noise_cards())
    path = resource_folder("datasets") / "noise" / f"{name}.toml"
    return parse_table(NoiseCard, {**read_toml(path), "path": str(path)}, path=path)


def load_published(name: str) -> DatasetCard | NoiseCard:
    """Return whatever card of that name has files to fetch: a data set's or a noise card.

    Raises:
        UnknownNameError: No card has that name.
        ConfigurationError: See `load_card`.
    """
    if name in list_noise_cards():
        return load_noise_card(name)
    if not name.endswith(".toml") and name not in list_cards():
        known = (*list_cards(), *list_noise_cards())
        raise UnknownNameError("data set", name, known, where="a path ends in .toml")
    return load_card(name)


def noise_source(kind: str, directory: Path | None) -> str:
    """Return where `read_noise` takes a kind of noise from, without reading it."""
    card = load_noise_card()
    if directory is None or kind not in card.records:
        return SYNTHETIC
    return f"{card.title}, record {card.records[kind]}"


def read_noise(kind: str, directory: Path | None, rate_hz: float) -> Noise:
    """Return noise of one kind at a sampling rate.

    Args:
        kind: One of `NOISES`.
        directory: Folder of the recorded noise; None: synthetic noise is made, always the same.
        rate_hz: Samples a second wanted; recorded noise is resampled by a polyphase filter.

    Raises:
        UnknownNameError: There is no such kind.
        ConfigurationError: The folder does not exist.
        DataError: A file is absent, damaged or not the publisher's.
    """
    if kind not in NOISES:
        raise UnknownNameError("noise", kind, NOISES)
    if directory is None:
        return Noise(kind, SYNTHETIC, rate_hz, _synthetic(kind, rate_hz))
    if not directory.is_dir():
        raise ConfigurationError(
            "the folder of recorded noise does not exist",
            where=str(directory),
            hint=f"edgeprune datasets fetch {_CARD} DIR, or leave it out for synthetic noise",
        )
    return Noise(kind, noise_source(kind, directory), rate_hz, _recorded(kind, directory, rate_hz))


def read_mixed(record: str, directory: Path, channel: int = 0) -> Int16Array:
    """Return one signal of a record that the publisher mixed with noise, in counts around 0 uV.

    The samples of these records count from the middle of the converter's range (their header's
    `zero`), not from the baseline of 1024 counts that it also states.

    Args:
        record: A record of the card's `mixed`, e.g. "118e06".
        directory: Folder of the data set.
        channel: Which signal.

    Raises:
        DataError: A file is absent, damaged or not the publisher's.
    """
    counts: Int16Array = _read(record, directory, (channel,), calibrated=True)[:, 0]
    return counts


@lru_cache(maxsize=4)
def _recorded(kind: str, directory: Path, rate_hz: float) -> Int16Array:
    card = load_noise_card()
    samples = _read(card.records[kind], directory, None, calibrated=False)
    if rate_hz == card.rate_hz:
        return samples
    from scipy.signal import resample_poly

    ratio = Fraction(rate_hz / card.rate_hz).limit_denominator(10_000)
    other = resample_poly(
        samples.astype(np.float64), ratio.numerator, ratio.denominator, padtype="line"
    )
    return _whole(other)


def _read(
    record: str, directory: Path, channels: tuple[int, ...] | None, *, calibrated: bool
) -> Int16Array:
    card = load_noise_card()
    path = directory / f"{record}.hea"
    header = read_header(path, record, calibrated=calibrated)
    check_sample_files(header, directory, record)
    if header.rate_hz != card.rate_hz:
        raise DataError(
            f"the header states {header.rate_hz:g} samples a second, the card {card.rate_hz}",
            where=f"record {record}, {path.name}",
            hint=f"fetch {path.name} again from its publisher",
        )
    chosen = range(len(header.signals)) if channels is None else channels
    counts = [
        read_samples(directory, record, channel, header) - header.signals[channel].zero
        for channel in chosen
    ]
    check_sums(card, directory, record)
    return _whole(np.stack(counts, axis=1))


@lru_cache(maxsize=4)
def _synthetic(kind: str, rate_hz: float) -> Int16Array:
    """Return noise that has the band of the recorded kind, and its bursts, by rule.

    Baseline wander: below 0.7 Hz, falling with the frequency. Muscle noise: 10 to 150 Hz, its
    strength swelling and ebbing over seconds. Electrode motion: steps of the electrode's potential
    that decay within a second, and noise of 1 to 10 Hz around them.
    """
    generator = np.random.default_rng(zlib.crc32(kind.encode()))
    count = round(_SYNTHETIC_SECONDS * rate_hz)
    channels = [_MAKERS[kind](generator, count, rate_hz) for _ in range(_SYNTHETIC_CHANNELS)]
    noise = np.stack(channels, axis=1)
    noise *= _SYNTHETIC_COUNTS / noise.std(axis=0)
    return _whole(noise)


def _whole(counts: npt.NDArray[np.generic]) -> Int16Array:
    """Return counts as int16, which nobody may change: they are shared."""
    limits = np.iinfo(np.int16)
    whole: Int16Array = np.clip(np.rint(counts), limits.min, limits.max).astype(np.int16)
    whole.flags.writeable = False
    return whole


def _band(
    generator: np.random.Generator,
    count: int,
    rate_hz: float,
    edges: tuple[float, float],
    slope: float = 0.0,
) -> FloatArray:
    """Return unit noise between two frequencies, its amplitude falling with frequency^slope."""
    frequencies = np.fft.rfftfreq(count, 1 / rate_hz)
    inside = (frequencies >= edges[0]) & (frequencies <= edges[1])
    spectrum = np.zeros(len(frequencies), np.complex128)
    drawn = generator.normal(size=(2, int(inside.sum())))
    spectrum[inside] = (drawn[0] + 1j * drawn[1]) * frequencies[inside] ** -slope
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / noise.std())


def _wander(generator: np.random.Generator, count: int, rate_hz: float) -> FloatArray:
    return _band(generator, count, rate_hz, (0.05, 0.7), slope=1.0)


def _muscle(generator: np.random.Generator, count: int, rate_hz: float) -> FloatArray:
    strength = np.exp(0.5 * _band(generator, count, rate_hz, (0.02, 0.5)))
    fast = _band(generator, count, rate_hz, (10.0, min(150.0, 0.45 * rate_hz)))
    return np.asarray(strength * fast)


def _motion(generator: np.random.Generator, count: int, rate_hz: float) -> FloatArray:
    steps = np.zeros(count)
    places = generator.integers(0, count, max(1, round(count / rate_hz)))
    np.add.at(steps, places, generator.normal(size=len(places)))
    times = np.arange(round(3 * rate_hz)) / rate_hz
    padded = count + len(times)
    decay = np.fft.rfft(np.exp(-times / 0.4), padded)
    decayed = np.fft.irfft(np.fft.rfft(steps, padded) * decay, padded)[:count]
    strength = np.exp(0.5 * _band(generator, count, rate_hz, (0.02, 0.3)))
    around = 0.7 * strength * _band(generator, count, rate_hz, (1.0, 10.0))
    return np.asarray(decayed / decayed.std() + around)


_MAKERS = {"electrode-motion": _motion, "baseline-wander": _wander, "muscle-noise": _muscle}
