"""What a device is: core, memories, toolchain flags, emulators. One TOML file a target."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.resources import resource_folder


@dataclass(frozen=True)
class Adc:
    """The converter whose counts a device's front end receives.

    Attributes:
        rate_hz: Samples a second.
        microvolt_per_count: Weight of one count at the electrodes.
        bits: Width of the converter; counts are signed 16-bit numbers whatever it is.
    """

    rate_hz: float
    microvolt_per_count: float
    bits: int


@dataclass(frozen=True)
class Memory:
    """One memory of a target: where it starts and how many bytes it holds."""

    origin: int
    bytes: int


@dataclass(frozen=True)
class Memories:
    """The memories an image is linked for.

    Attributes:
        flash: Code and constants.
        ram: Static data and stack.
        exchange: Where a test image finds its windows and leaves its logits (see
            firmware_export/boards/exchange.h); no part of the product.
    """

    flash: Memory
    ram: Memory
    exchange: Memory


@dataclass(frozen=True)
class Toolchain:
    """Compiler flags of one target.

    Attributes:
        zig: Machine flags for `zig cc`.
        gnu: Machine flags for `arm-none-eabi-gcc`.
        optimization: Optimization flags for the kernels, the same for both.
    """

    zig: tuple[str, ...]
    gnu: tuple[str, ...]
    optimization: tuple[str, ...]


@dataclass(frozen=True)
class UnicornSettings:
    """How unicorn runs an image; the origins repeat the target's memories.

    Attributes:
        cpu: Suffix of unicorn's constant `UC_CPU_ARM_...`.
        note: What differs from the real core, empty if nothing.
    """

    cpu: str
    code_origin: int
    ram_origin: int
    exchange_origin: int
    exchange_bytes: int
    note: str = ""


@dataclass(frozen=True)
class QemuSettings:
    """How QEMU runs an image; the origins repeat the target's memories.

    Attributes:
        machine: Value of `-M`.
        icount_shift: Value of `-icount shift=`: an instruction takes 2**shift nanoseconds.
        systick_hz: Clock of the SysTick counter that the image reads around each window.
        note: What differs from the real core, empty if nothing.
    """

    machine: str
    code_origin: int
    ram_origin: int
    exchange_origin: int
    exchange_bytes: int
    icount_shift: int
    systick_hz: int
    note: str = ""

    def instructions(self, ticks: int) -> int:
        """Return how many instructions passed in `ticks` of the SysTick counter."""
        return round(ticks * 1e9 / (self.systick_hz * (1 << self.icount_shift)))


@dataclass(frozen=True)
class Target:
    """A device that firmware is built for.

    Attributes:
        name: Name of the TOML file, or "host".
        title: One line for people.
        core: Name of the core, such as "cortex-m7".
        isa: Instruction set architecture, such as "armv7e-m".
        has_dsp: SMLAD and its relatives exist (`__ARM_FEATURE_DSP`).
        has_mve: Helium exists.
        fpu: Name of the floating point unit, empty if there is none.
        clock_hz: Core clock, 0 where it means nothing.
        memories: Flash, RAM and exchange memory; None on the host.
        toolchain: Compiler flags; None on the host.
        adc: Converter of the board; None takes the data card's.
        emulator: Settings for unicorn, None where it has no such core.
        qemu: Settings for QEMU, None where it has no such board.
        supported: What was checked on this target, in words.
    """

    name: str
    title: str
    core: str
    isa: str
    has_dsp: bool
    has_mve: bool
    fpu: str
    clock_hz: int
    memories: Memories | None
    toolchain: Toolchain | None
    adc: Adc | None
    emulator: UnicornSettings | None
    qemu: QemuSettings | None
    supported: str

    @property
    def flash_bytes(self) -> int:
        """Bytes of flash, 0 on the host."""
        return self.memories.flash.bytes if self.memories else 0

    @property
    def ram_bytes(self) -> int:
        """Bytes of RAM, 0 on the host."""
        return self.memories.ram.bytes if self.memories else 0

    @property
    def is_host(self) -> bool:
        """Whether this is the machine that edgeprune itself runs on."""
        return self.memories is None


Section = TypeVar("Section")


def list_targets() -> tuple[str, ...]:
    """Return the names of the targets that come with edgeprune, sorted."""
    return tuple(sorted(path.stem for path in resource_folder("targets").glob("*.toml")))


def load_target(name_or_path: str) -> Target:
    """Read a target.

    Args:
        name_or_path: A name from `list_targets`, or the path of a TOML file (it has a slash or
            ends in ".toml").

    Raises:
        UnknownNameError: There is no target of that name.
        ConfigurationError: The file is absent, is not TOML, lacks a key or has an unknown one.
    """
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        path = Path(name_or_path)
    else:
        path = resource_folder("targets") / f"{name_or_path}.toml"
        if not path.is_file():
            raise UnknownNameError("target", name_or_path, list_targets())
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            "the target file cannot be read",
            where=str(path),
            hint="give the name of a target (`edgeprune targets list`) or the path of a TOML file",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"this is not TOML: {error}", where=str(path)) from error
    return _target(path, content)


_TOP_KEYS = frozenset({"title", "core", "isa", "dsp", "mve", "fpu", "clock_hz", "supported"})
_SECTIONS = frozenset({"memories", "toolchain", "adc", "unicorn", "qemu"})


def _target(path: Path, content: Mapping[str, Any]) -> Target:
    _check_keys(path, "", content, _TOP_KEYS | _SECTIONS, _TOP_KEYS)
    memories = None
    if "memories" in content:
        table = _table(path, "memories", content)
        _check_keys(path, "memories", table, {"flash", "ram", "exchange"})
        memories = Memories(
            **{name: _section(path, f"memories.{name}", Memory, table) for name in table}
        )
    origins = {}
    if memories is not None:
        origins = {
            "code_origin": memories.flash.origin,
            "ram_origin": memories.ram.origin,
            "exchange_origin": memories.exchange.origin,
            "exchange_bytes": memories.exchange.bytes,
        }
    return Target(
        name=path.stem,
        title=_typed(path, "title", content["title"], str),
        core=_typed(path, "core", content["core"], str),
        isa=_typed(path, "isa", content["isa"], str),
        has_dsp=_typed(path, "dsp", content["dsp"], bool),
        has_mve=_typed(path, "mve", content["mve"], bool),
        fpu=_typed(path, "fpu", content["fpu"], str),
        clock_hz=_typed(path, "clock_hz", content["clock_hz"], int),
        supported=_typed(path, "supported", content["supported"], str),
        memories=memories,
        toolchain=_optional(path, "toolchain", Toolchain, content),
        adc=_optional(path, "adc", Adc, content),
        emulator=_optional(path, "unicorn", UnicornSettings, content, origins),
        qemu=_optional(path, "qemu", QemuSettings, content, origins),
    )


def _optional(
    path: Path,
    key: str,
    kind: type[Section],
    content: Mapping[str, Any],
    given: Mapping[str, int] | None = None,
) -> Section | None:
    return _section(path, key, kind, content, given) if key in content else None


def _section(
    path: Path,
    key: str,
    kind: type[Section],
    content: Mapping[str, Any],
    given: Mapping[str, int] | None = None,
) -> Section:
    """Build the frozen dataclass `kind` from the table `key`, whose last part is its name."""
    table = _table(path, key, content)
    given = given or {}
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    wanted = {name for name in fields if name not in given}
    required = {name for name in wanted if fields[name].default is dataclasses.MISSING}
    _check_keys(path, key, table, wanted, required)
    values: dict[str, Any] = dict(given)
    for name, value in table.items():
        where = f"{key}.{name}"
        match fields[name].type:
            case "int":
                values[name] = _typed(path, where, value, int)
            case "float":
                values[name] = float(_typed(path, where, value, int, float))
            case "str":
                values[name] = _typed(path, where, value, str)
            case _:
                items = _typed(path, where, value, list)
                values[name] = tuple(_typed(path, where, item, str) for item in items)
    return kind(**values)


def _table(path: Path, key: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
    table: Mapping[str, Any] = _typed(path, key, content[key.rsplit(".", 1)[-1]], dict)
    return table


def _typed(path: Path, key: str, value: Any, *kinds: type) -> Any:
    if (isinstance(value, bool) and bool not in kinds) or not isinstance(value, kinds):
        raise ConfigurationError(
            f"'{key}' must be {' or '.join(kind.__name__ for kind in kinds)}, not {value!r}",
            where=f"{path}, key {key}",
        )
    return value


def _check_keys(
    path: Path,
    table: str,
    content: Mapping[str, Any],
    known: frozenset[str] | set[str],
    required: frozenset[str] | set[str] | None = None,
) -> None:
    prefix = f"{table}." if table else ""
    for key in content:
        if key not in known:
            nearest = get_close_matches(key, known, n=1, cutoff=0.5)
            guess = f"did you mean '{nearest[0]}'? " if nearest else ""
            raise ConfigurationError(
                f"unknown key '{prefix}{key}'",
                where=f"{path}, key {prefix}{key}",
                hint=f"{guess}known: {', '.join(sorted(known))}",
            )
    missing = sorted((known if required is None else required) - content.keys())
    if missing:
        raise ConfigurationError(
            f"the key '{prefix}{missing[0]}' is missing", where=f"{path}, key {prefix}{missing[0]}"
        )
