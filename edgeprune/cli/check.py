"""`edgeprune check`: holds a device, emulated or at the end of a wire, against its result."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb

if TYPE_CHECKING:
    from edgeprune.pipeline.check import CheckSettings, DeviceCheck

_CHECK = "Hold a device against the result it was flashed from, window by window."
_DEVICE = (
    "emulator, qemu, a serial port such as /dev/ttyACM0, the path of a pseudo-terminal, "
    "socket://host:port, or ssh://user@host for Arm Linux."
)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("check", help=_CHECK, short_help=_CHECK)
    def command(
        result: Annotated[Path, typer.Argument(help="Result directory of a build.")] = Path(
            "result"
        ),
        device: Annotated[str, typer.Option(metavar="DEVICE", help=_DEVICE)] = "emulator",
        baud: Annotated[int, typer.Option(help="Bits a second; 0 takes the target's.")] = 0,
        windows: Annotated[
            int, typer.Option("--windows", help="Test windows, drawn from every record.")
        ] = 1000,
        attacked: Annotated[
            int, typer.Option(help="Windows that the black-box attack tries to change.")
        ] = 8,
        queries: Annotated[
            int,
            typer.Option(help="Windows it may show the device for each; 0 leaves it out."),
        ] = 100,
        ball: Annotated[
            str,
            typer.Option(metavar="BALL", help="How far it may change one: linf:100uV or l2:1mV."),
        ] = "linf:100uV",
        timeout: Annotated[
            float, typer.Option(help="Seconds that an answer over a line may take.")
        ] = 5.0,
        image: Annotated[
            Path | None,
            typer.Option(help="Write the image to flash a board with (an ELF file), and end."),
        ] = None,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)

        def body() -> Answer:
            if image is not None:
                return _write_image(result, image)
            from edgeprune.pipeline.check import CheckSettings

            settings = CheckSettings(
                device, baud, windows, attacked, queries, ball, seed or 0, timeout
            )
            return held_against(console, result, settings)

        run_verb("check", console, body)


def _write_image(result: Path, image: Path) -> Answer:
    import tempfile

    from edgeprune.pipeline.checked_result import CheckedResult

    with tempfile.TemporaryDirectory(prefix="edgeprune-") as scratch:
        CheckedResult(result).serial_image(image, Path(scratch))
    return Answer({"image": str(image)}, verdict=f"{image} answers over the UART when flashed")


def held_against(console: Console, result: Path, settings: CheckSettings) -> Answer:
    """Check a device and say what was found."""
    from edgeprune.pipeline.check import check_device

    found = check_device(result, settings, console)
    _show(console, found)
    document = asdict(found)
    document["mismatches"] = found.mismatches
    document["windows"] = found.windows
    return Answer({"check": document}, passed=found.passed, verdict=_verdict(found))


def _verdict(found: DeviceCheck) -> str:
    if found.constants_intact is False:
        return f"{found.device} found its own constants or guards damaged"
    if found.mismatches:
        return f"{found.device} and the specification differ in {found.mismatches:,} logits"
    return f"{found.device} answered {found.windows:,} windows, every logit as specified"


def _show(console: Console, found: DeviceCheck) -> None:
    console.line(f"network {found.network_sha256}, target {found.target}")
    if found.info is not None and found.stack_bytes is not None:
        used, there = found.stack_bytes
        console.line(
            f"the device holds this network, made by edgeprune {found.info.version}; "
            f"stack used {used:,} of {there:,} bytes"
        )
    rows: list[tuple[object, ...]] = [
        (
            part.name,
            part.windows,
            part.mismatches,
            part.largest_difference_lsb,
            part.wrong_decisions,
        )
        for part in found.parts
    ]
    attack = found.attack
    if attack is not None:
        rows.append(
            (
                "shown by the attack",
                attack.queries,
                attack.mismatches,
                attack.largest_difference_lsb,
                "-",
            )
        )
    header = ("windows", "answered", "logits that differ", "by at most (LSB)", "wrong decisions")
    console.table(header, rows)
    if attack is not None:
        console.line(
            f"black-box attack on the device, {attack.ball}, at most {attack.most_queries} queries "
            f"a window: {attack.successes} of {attack.windows} decisions changed; raw counts of "
            "the beat's own window, what the device remembers is held"
        )
    untimed = "timing: the device tells of no counter"
    console.line(found.timing.text if found.timing else untimed)
    line = found.line
    if line is not None:
        console.line(
            f"line: {line.requests:,} requests answered, {line.resends:,} sent again, "
            f"{line.damaged:,} frames damaged, {line.timeouts:,} time-outs"
        )
    _show_runtimes(console, found)
    for text in found.absent:
        console.line(f"not done: {text}")
    console.line(
        f"{found.asked:,} windows asked in {found.seconds:,.1f} s"
        + (f", {found.kept:,} answers kept from an earlier run" if found.kept else "")
    )


def _show_runtimes(console: Console, found: DeviceCheck) -> None:
    run = [each for each in found.runtimes if not each.absent]
    if run:
        console.line("other runtimes on the board, beside the certified network; they gate nothing")
        console.table(
            ("implementation", "windows", "equal", "by at most (LSB)", "other decisions"),
            [
                (
                    each.implementation,
                    each.windows,
                    each.equal,
                    each.largest_difference_lsb,
                    each.other_decisions,
                )
                for each in run
            ],
        )
    lacking: dict[str, list[str]] = {}
    for each in found.runtimes:
        if each.absent:
            lacking.setdefault(each.absent, []).append(each.implementation)
    for reason, names in lacking.items():
        console.line(f"on the board, not compared: {', '.join(names)}: {reason}")
    if found.runtimes and not run:
        console.line("another Python of the board: --board-python venv/bin/python")
