"""`edgeprune datasets`: what can be learnt from, and getting it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb

if TYPE_CHECKING:
    from edgeprune.data import DatasetCard
    from edgeprune.data.noise import NoiseCard

Name = Annotated[str, typer.Argument(help="Name of a data card, or path of its TOML file.")]
Folder = Annotated[Path, typer.Argument(help="Folder of the recordings.")]


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="The data sets, described by cards.", no_args_is_help=True)
    app.add_typer(group, name="datasets")

    @group.command("list", help="List the data cards that come with edgeprune.")
    def list_command(
        seed: options.Seed = None, as_json: options.AsJson = False, quiet: options.Quiet = False
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        run_verb("datasets list", console, lambda: _list(console))

    @group.command("show", help="Show one data card.")
    def show_command(
        name: Name,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        run_verb("datasets show", console, lambda: _show(console, name))

    @group.command("fetch", help="Fetch the recordings from their publisher; resumes.")
    def fetch_command(
        name: Name,
        folder: Folder,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        run_verb("datasets fetch", console, lambda: _fetch(console, name, folder))

    @group.command("check", help="Compare recordings with the publisher's checksums.")
    def check_command(
        name: Name,
        folder: Folder,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        run_verb("datasets check", console, lambda: _check(console, name, folder))


def _list(console: Console) -> Answer:
    from edgeprune.data import list_cards, load_card
    from edgeprune.data.noise import list_noise_cards, load_noise_card

    cards = [load_card(name) for name in list_cards()]
    noise = [load_noise_card(name) for name in list_noise_cards()]
    console.table(
        ("data set", "records", "kind", "licence", "title"),
        [
            (
                card.name,
                len(card.split.records),
                "synthetic" if card.synthetic else "recorded",
                card.licence,
                card.title,
            )
            for card in cards
        ]
        + [
            (card.name, len(card.records) + len(card.mixed), "noise", card.licence, card.title)
            for card in noise
        ],
    )
    return Answer(
        {
            "datasets": [dataclasses.asdict(card) for card in cards],
            "noise": [dataclasses.asdict(card) for card in noise],
        },
        verdict=f"{len(cards)} data sets and {len(noise)} of noise",
    )


def _show(console: Console, name: str) -> Answer:
    from edgeprune.data.noise import NoiseCard, load_published

    card = load_published(name)
    own = _noise_facts(card) if isinstance(card, NoiseCard) else _dataset_facts(card)
    for label, text in (
        ("title", card.title),
        ("origin", card.origin),
        ("licence", card.licence),
        ("cite", card.citation),
        *own,
    ):
        console.line(f"{label}: {text}")
    console.line(card.text.strip())
    return Answer({"dataset": dataclasses.asdict(card)}, verdict=card.title)


def _dataset_facts(card: DatasetCard) -> tuple[tuple[str, str], ...]:
    from edgeprune.data import split_statement

    unit = "thousandths of the RMS" if card.signal.unit == "rms" else "uV"
    return (
        ("signal", f"{card.signal.rate_hz} Hz, {card.signal.microvolt_per_count} {unit} a count"),
        ("leads" if card.window is None else "channels", card.signal.lead_words),
        *_window_rows(card),
        ("classes", ", ".join(card.class_names)),
        ("train", " ".join(card.split.train)),
        ("validation", " ".join(card.split.validation)),
        ("test", " ".join(card.split.test)),
        ("split", split_statement(card)),
    )


def _window_rows(card: DatasetCard) -> tuple[tuple[str, str], ...]:
    window = card.window
    if window is None:
        return ()
    step = window.step_seconds or window.seconds
    words = f"{window.seconds:g} s, one every {step:g} s; full scale {window.full_scale:g} "
    return (("windows", words + card.signal.unit),)


def _noise_facts(card: NoiseCard) -> tuple[tuple[str, str], ...]:
    return (
        ("rate", f"{card.rate_hz} Hz"),
        ("noise", ", ".join(f"{kind} ({record})" for kind, record in card.records.items())),
        ("mixed", ", ".join(f"{record} ({ratio:g} dB)" for record, ratio in card.mixed.items())),
    )


def _fetch(console: Console, name: str, folder: Path) -> Answer:
    from edgeprune.data import fetch
    from edgeprune.data.noise import load_published

    card = load_published(name)
    report = fetch(card, folder, console)
    return Answer(dataclasses.asdict(report), verdict=f"{card.name} is complete in {folder}")


def _check(console: Console, name: str, folder: Path) -> Answer:
    from edgeprune.data import check
    from edgeprune.data.noise import load_published

    card = load_published(name)
    report = check(card, folder)
    for path in report.missing:
        console.line(f"missing: {path}")
    for path in report.damaged:
        console.line(f"damaged: {path}")
    wrong = len(report.missing) + len(report.damaged)
    verdict = f"{wrong} files missing or damaged" if wrong else f"{card.name} is complete"
    return Answer(dataclasses.asdict(report), passed=not wrong, verdict=verdict)
