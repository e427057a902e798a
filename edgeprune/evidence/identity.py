"""What a result is about, with what it was made, and how to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import PurePath

from edgeprune.errors import ConfigurationError
from edgeprune.typed_toml import written_fields

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Identity:
    """What this evidence is about.

    Attributes:
        edgeprune: Version of edgeprune that made it.
        seed: The seed that every random choice derives from.
        target: Name of the target, e.g. "cortex-m7".
        target_title: The target in words.
        dataset: Name of the dataset card.
        dataset_title: The data set in words.
        synthetic: Whether the recordings were generated and not recorded from people.
        network_sha256: Hash of the IntegerNetwork: the thing certified and the thing flashed.
        firmware_sha256: Hash of the linked firmware image; absent where none was built.
        date: UTC time of making, only where SOURCE_DATE_EPOCH fixed it: otherwise two runs of the
            same build would differ.
    """

    edgeprune: str
    seed: int
    target: str
    target_title: str
    dataset: str
    dataset_title: str
    synthetic: bool
    network_sha256: str
    firmware_sha256: str | None = None
    date: str | None = None


@dataclass(frozen=True)
class Component:
    """A package or tool that took part.

    Attributes:
        name: Its name.
        version: Its version as it reports it.
    """

    name: str
    version: str


@dataclass(frozen=True)
class Versions:
    """Everything that took part in making the result.

    Attributes:
        python: Version of the interpreter.
        packages: Python distributions.
        tools: Compilers, emulators and other programs.
    """

    python: str
    packages: tuple[Component, ...]
    tools: tuple[Component, ...] = ()


@dataclass(frozen=True)
class ConfigEntry:
    """One setting of the resolved configuration.

    Attributes:
        key: Its dotted name, e.g. "training.epochs"; items of a list end in their index.
        value: Its value.
    """

    key: str
    value: Scalar


@dataclass(frozen=True)
class Reproduction:
    """How to make the same bytes again.

    Attributes:
        commands: Command lines, in order.
        notes: What must be at hand first, e.g. the recordings and their checksums.
    """

    commands: tuple[str, ...]
    notes: tuple[str, ...] = ()


def source_date(environment: Mapping[str, str]) -> str | None:
    """Return the date that SOURCE_DATE_EPOCH fixes, or None where it is not set.

    Args:
        environment: Usually `os.environ`.

    Returns:
        ISO 8601 in UTC, to the second.

    Raises:
        ConfigurationError: SOURCE_DATE_EPOCH is not a number of seconds since 1970.
    """
    seconds = environment.get("SOURCE_DATE_EPOCH")
    if not seconds:
        return None
    try:
        date = datetime.fromtimestamp(int(seconds), tz=UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigurationError(
            f"SOURCE_DATE_EPOCH is '{seconds}'",
            where="environment",
            hint="give whole seconds since 1970-01-01 in UTC, or unset it",
        ) from error
    return date.strftime("%Y-%m-%dT%H:%M:%SZ")


def config_entries(config: object, prefix: str = "") -> tuple[ConfigEntry, ...]:
    """Flatten a resolved configuration into its settings, in the order of its fields.

    Args:
        config: A dataclass of scalars, enums, paths, tuples, mappings and further dataclasses.
        prefix: Dotted name that the keys start with.

    Raises:
        TypeError: A value has no written form.
    """
    if is_dataclass(config) and not isinstance(config, type):
        pairs = [(field.name, getattr(config, field.name)) for field in written_fields(config)]
    elif isinstance(config, Mapping):
        pairs = [(str(key), value) for key, value in config.items()]
    elif isinstance(config, tuple | list):
        pairs = [(str(index), value) for index, value in enumerate(config)]
    else:
        return (ConfigEntry(prefix, _scalar(config, prefix)),)
    return tuple(
        entry
        for key, value in pairs
        for entry in config_entries(value, f"{prefix}.{key}" if prefix else key)
    )


def _scalar(value: object, key: str) -> Scalar:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, PurePath):
        return value.as_posix()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"setting '{key}' is a {type(value).__name__}, which has no written form")
