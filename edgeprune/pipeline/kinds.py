"""What a configuration comes to for beats or segments: defaults that fit, and early refusals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

from edgeprune.config import BuildConfig
from edgeprune.data import DatasetCard
from edgeprune.disturbances import Surroundings, parse_family
from edgeprune.disturbances.disturbance import BEATS_ONLY
from edgeprune.errors import ConfigurationError
from edgeprune.targets import Adc, Target
from edgeprune.verification.perturbations import parse_perturbation
from edgeprune.verification.perturbations.quantity import Amount

# Where nothing is asked for: an EEG's microvolts are tenths of an ECG's.
_SETS = (
    *("linf:0.5uV", "linf:1uV", "linf:2uV", "linf:5uV", "gain:10%", "hum:5uV@50Hz"),
    *("blink:20uV", "pop:20uV"),
)
_BALLS = ("linf:1uV", "linf:2uV", "linf:5uV")
_SETS_OF_RMS = ("linf:0.005rms", "linf:0.01rms", "linf:0.02rms", "linf:0.05rms", "gain:10%")
_BALLS_OF_RMS = ("linf:0.01rms", "linf:0.02rms", "linf:0.05rms")
_CASES = (
    *("baseline-wander:12dB", "baseline-wander:0dB", "muscle-noise:12dB", "muscle-noise:0dB"),
    *("lead-off:200ms", "lead-off:1000ms"),
)
_CASES_IN_VOLTS = (
    *("mains-hum:5uV", "mains-hum:20uV", "mains-hum:50uV"),
    *("eye-blink:100uV", "eye-blink:300uV", "emg-burst:20uV", "emg-burst:80uV"),
    *("electrode-pop:100uV", "electrode-pop:400uV"),
)


def converter_of(target: Target, card: DatasetCard) -> Adc:
    """Return the device's converter; the data's own where they are known in no volts."""
    return card.adc if card.signal.unit == "rms" else target.adc or card.adc


def fitted_to_kind(config: BuildConfig, card: DatasetCard) -> BuildConfig:
    """Return the configuration for the kind of windows that a data set has.

    Of segments, defaults that are made for an ECG give way to others.

    Raises:
        ConfigurationError: Something is asked for that has no meaning for these windows.
    """
    if card.window is not None:
        in_volts = card.signal.unit == "uV"
        verification, attacks, disturbances = (
            config.verification,
            config.attacks,
            config.disturbances,
        )
        if config.leaves_open("verification.perturbations"):
            sets = _SETS if in_volts else _SETS_OF_RMS
            verification = replace(verification, perturbations=sets)
        if config.leaves_open("attacks.balls"):
            attacks = replace(attacks, balls=_BALLS if in_volts else _BALLS_OF_RMS)
        if config.leaves_open("disturbances.cases"):
            cases = (*_CASES, *_CASES_IN_VOLTS) if in_volts else _CASES
            disturbances = replace(disturbances, cases=cases)
        config = replace(
            config,
            verification=verification,
            attacks=attacks,
            disturbances=disturbances,
        )
    for fault in _faults(config, card):
        raise fault
    return config


def _faults(config: BuildConfig, card: DatasetCard) -> Iterator[ConfigurationError]:
    """Yield what is asked for and has no meaning for the data set's windows."""
    segments = card.window is not None
    for text in config.perturbations:
        for part in parse_perturbation(text).parts:
            _check_units(part, card, f"perturbation '{text}'")
            if segments and not part.of_signal:
                yield ConfigurationError(
                    "RR intervals are of beats, and these are segments of a signal",
                    where=f"perturbation '{text}'",
                    hint="leave it out",
                )
            if part.name in ("flat", "band") and len(card.signal.channels) > 1:
                yield ConfigurationError(
                    f"'{part.text}' is of one lead, and these segments have "
                    f"{len(card.signal.channels)} channels",
                    where=f"perturbation '{text}'",
                    hint="take linf, l2, l0, gain, offset, wander, hum or drift",
                )
    for text in config.balls:
        size = text.partition(":")[2]
        if size.endswith(("V", "rms")) and size.endswith("rms") != (card.signal.unit == "rms"):
            Amount(0.0, "rms" if size.endswith("rms") else "uV").check_unit(
                card.signal.unit, f"ball '{text}'"
            )
    for text in config.disturbance_texts if segments else ():
        # With or without a severity: the family decides.
        first, *_ = parse_family(text, Surroundings())
        if first.channels == BEATS_ONLY:
            yield ConfigurationError(
                f"'{first.title}' is of beats, and these are segments of a signal",
                where=f"disturbance '{text}'",
                hint="leave it out",
            )


def _check_units(part: object, card: DatasetCard, where: str) -> None:
    for field in fields(part):  # type: ignore[arg-type]
        value = getattr(part, field.name)
        if isinstance(value, Amount):
            value.check_unit(card.signal.unit, where)
