"""What a device is: core, memories, toolchain flags, emulators. One TOML file a target."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.resources import resource_folder
from edgeprune.typed_toml import locate, parse_table, read_toml

MICROCONTROLLER = "microcontroller"
ARM_LINUX = "arm-linux"
HOST = "host"
KINDS = (MICROCONTROLLER, ARM_LINUX, HOST)


@dataclass(frozen=True)
class Adc:
    """The converter whose counts a device's front end receives.

    Attributes:
        rate_hz: Samples a second.
        microvolt_per_count: Weight of one count at the electrodes.
        bits: Width of the converter; counts are signed 16-bit numbers whatever it is.
        unit: "uV", or "rms" where the signal was normalised: thousandths of its RMS then stand
            wherever microvolts are said.
    """

    rate_hz: float
    microvolt_per_count: float
    bits: int
    unit: str = "uV"


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
class Uart:
    """The serial port that an image with the program "serial" talks over.

    Attributes:
        kind: Name of its driver, one of `edgeprune.firmware.UARTS`.
        origin: Address of its first register.
        clock_hz: Clock of the peripheral.
        baud: Bits a second.
    """

    kind: str
    origin: int
    clock_hz: int
    baud: int


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
class QemuUserSettings:
    """How QEMU runs a Linux program of another processor, without a board around it.

    Attributes:
        program: Its command, such as "qemu-aarch64"; Debian's static build adds "-static".
        cpu: Value of `-cpu`.
    """

    program: str
    cpu: str


@dataclass(frozen=True)
class Cache:
    """A cache between the core and its flash.

    Attributes:
        kind: "instruction", "data" or "unified".
        bytes: Its size, 0 where the maker does not publish it.
        line_bytes: What one miss brings in.
    """

    kind: str
    bytes: int
    line_bytes: int


@dataclass(frozen=True)
class FlashTiming:
    """How the flash answers at the target's clock.

    Attributes:
        source: Where these facts stand.
        wait_states: Cycles of the flash's clock that a read takes beyond the first; None where the
            maker does not publish it.
        clock_divider: Cycles of the core a cycle of the flash's bus.
        read_bytes: What one read of the flash brings.
        prefetch: The flash reads the next line while the core works on this one.
        caches: What lies between.
    """

    source: str
    wait_states: int | None = None
    clock_divider: int = 1
    read_bytes: int = 4
    prefetch: bool = False
    caches: tuple[Cache, ...] = ()


@dataclass(frozen=True)
class Energy:
    """What running code from flash costs by the data sheet.

    Attributes:
        microampere_per_mhz: Typical supply current of the running core.
        supply_volts: At which it was given.
        source: Where it stands.
    """

    microampere_per_mhz: float
    supply_volts: float
    source: str


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
        memories: Flash, RAM and exchange memory; None on the host. On Linux the memory and the
            storage of the board, and how much the command takes of windows at a time.
        toolchain: Compiler flags; None on the host.
        adc: Converter of the board; None takes the data card's.
        emulator: Settings for unicorn, None where it has no such core.
        qemu: Settings for QEMU, None where it has no such board.
        supported: What was checked on this target, in words.
        board_of: The core's target that a board took its core, compiler flags and emulated core
            from; empty for others. A board has no QEMU: QEMU's machines have memories of their own.
        timing: How its flash answers; None stands for a memory without wait states.
        energy: None where the maker's figure is not known.
        uart: Serial port of the board, or of QEMU's; None where edgeprune has no driver for it.
        kind: "microcontroller", "arm-linux" or "host".
        qemu_user: Settings for QEMU's user mode, for Arm Linux; None for others.
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
    board_of: str = ""
    timing: FlashTiming | None = None
    energy: Energy | None = None
    uart: Uart | None = None
    kind: str = MICROCONTROLLER
    qemu_user: QemuUserSettings | None = None

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
        return self.kind == HOST

    @property
    def is_linux(self) -> bool:
        """Whether the generated C becomes a library and a command there, and no image."""
        return self.kind == ARM_LINUX


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
    elif name_or_path in list_targets():
        path = resource_folder("targets") / f"{name_or_path}.toml"
    else:
        raise UnknownNameError("target", name_or_path, list_targets(), where="a path ends in .toml")
    table = parse_table(_TargetTable, _with_core(path), path=path)
    _check(table, path)
    return _target(path.stem, table)


def _check(table: _TargetTable, path: Path) -> None:
    """Refuse kinds that there are not, and numbers that no flash and no data sheet can have."""
    if table.kind not in KINDS:
        raise ConfigurationError(
            f"there is no kind of target '{table.kind}'",
            where=locate(path, "", "kind"),
            hint=f"known: {', '.join(KINDS)}",
        )
    if table.kind != HOST and (table.memories is None or table.toolchain is None):
        raise ConfigurationError(
            f"a target of kind '{table.kind}' needs the tables [memories] and [toolchain]",
            where=str(path),
            hint="take them from a target that comes along: edgeprune targets show cortex-m7",
        )
    least: list[tuple[str, str, float, float]] = []
    if table.timing is not None:
        timing = table.timing
        least += [
            ("timing.", "wait_states", timing.wait_states or 0, 0),
            ("timing.", "clock_divider", timing.clock_divider, 1),
            ("timing.", "read_bytes", timing.read_bytes, 1),
        ]
        for cache in timing.caches:
            least += [
                ("timing.", "caches", cache.bytes, 0),
                ("timing.", "caches", cache.line_bytes, 1),
            ]
            if cache.kind not in _CACHES:
                raise ConfigurationError(
                    f"there is no kind of cache '{cache.kind}'",
                    where=locate(path, "timing.", "caches"),
                    hint=f"known: {', '.join(_CACHES)}",
                )
    if table.energy is not None:
        least += [
            ("energy.", "microampere_per_mhz", table.energy.microampere_per_mhz, 0),
            ("energy.", "supply_volts", table.energy.supply_volts, 0),
        ]
    for prefix, key, value, bound in least:
        if value < bound:
            raise ConfigurationError(
                f"'{prefix}{key}' holds {value}, less than {bound}",
                where=locate(path, prefix, key),
                hint="take it from the data sheet, or leave the table out",
            )


def _with_core(path: Path) -> dict[str, Any]:
    """Return a file's table; a board's is completed by what its core's target says."""
    own = read_toml(path)
    core = own.get("board_of")
    if not isinstance(core, str):
        return own
    cores = tuple(name for name in list_targets() if name != path.stem)
    if core not in cores:
        raise UnknownNameError("target", core, cores, where=locate(path, "", "board_of"))
    table = read_toml(resource_folder("targets") / f"{core}.toml")
    return {key: table[key] for key in _FROM_CORE if key in table} | own


_CACHES = ("instruction", "data", "unified")
_FROM_CORE = ("kind", "core", "isa", "dsp", "mve", "fpu", "toolchain", "unicorn", "qemu_user")


@dataclass(frozen=True)
class _UnicornTable:
    cpu: str
    note: str = ""


@dataclass(frozen=True)
class _QemuTable:
    machine: str
    icount_shift: int
    systick_hz: int
    note: str = ""


@dataclass(frozen=True)
class _TargetTable:
    """The keys of a target's TOML file."""

    title: str
    core: str
    isa: str
    dsp: bool
    mve: bool
    fpu: str
    clock_hz: int
    supported: str
    memories: Memories | None = None
    toolchain: Toolchain | None = None
    adc: Adc | None = None
    unicorn: _UnicornTable | None = None
    qemu: _QemuTable | None = None
    board_of: str = ""
    timing: FlashTiming | None = None
    energy: Energy | None = None
    uart: Uart | None = None
    kind: str = MICROCONTROLLER
    qemu_user: QemuUserSettings | None = None


def _target(name: str, table: _TargetTable) -> Target:
    origins: dict[str, Any] = {}
    if table.memories is not None:
        origins = {
            "code_origin": table.memories.flash.origin,
            "ram_origin": table.memories.ram.origin,
            "exchange_origin": table.memories.exchange.origin,
            "exchange_bytes": table.memories.exchange.bytes,
        }
    unicorn, qemu = table.unicorn, table.qemu
    same = {each.name for each in fields(Target)} & set(vars(table)) - {"qemu"}
    return Target(
        name=name,
        has_dsp=table.dsp,
        has_mve=table.mve,
        emulator=UnicornSettings(**vars(unicorn), **origins) if unicorn else None,
        qemu=QemuSettings(**vars(qemu), **origins) if qemu else None,
        **{key: getattr(table, key) for key in same},
    )
