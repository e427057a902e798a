"""`edgeprune targets`: what can be built for."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb
from edgeprune.targets import Target, list_targets, load_target


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="The devices that firmware can be built for.", no_args_is_help=True)
    app.add_typer(group, name="targets")

    @group.command("list", help="List the targets that come with edgeprune.")
    def list_command(
        seed: options.Seed = None, as_json: options.AsJson = False, quiet: options.Quiet = False
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        run_verb("targets list", console, lambda: _list(console))

    @group.command("show", help="Show one target.")
    def show_command(
        name: Annotated[str, typer.Argument(help="Name, or path of a TOML file.")],
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        run_verb("targets show", console, lambda: _show(console, name))


def _list(console: Console) -> Answer:
    found = [load_target(name) for name in list_targets()]
    console.table(
        ("target", "kind", "core", "flash KiB", "RAM KiB", "emulators", "title"),
        [
            (
                target.name,
                target.kind,
                target.core,
                target.flash_bytes // 1024,
                target.ram_bytes // 1024,
                ", ".join(_emulators(target)) or "-",
                target.title,
            )
            for target in found
        ],
    )
    return Answer(
        {"targets": [dataclasses.asdict(target) for target in found]},
        verdict=f"{len(found)} targets",
    )


def _show(console: Console, name: str) -> Answer:
    target = load_target(name)
    for key, value in dataclasses.asdict(target).items():
        entries = value.items() if isinstance(value, dict) else [("", value)]
        for inner, content in entries:
            console.line(f"{'.'.join(filter(None, (key, inner)))}: {content}")
    return Answer({"target": dataclasses.asdict(target)}, verdict=target.title)


def _emulators(target: Target) -> list[str]:
    found = []
    if target.emulator is not None:
        found.append("unicorn")
    if target.qemu is not None:
        found.append(f"qemu {target.qemu.machine}")
    if target.qemu_user is not None:
        found.append(f"{target.qemu_user.program} -cpu {target.qemu_user.cpu}")
    return found
