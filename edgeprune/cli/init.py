"""`edgeprune init`: a configuration to start from, and a card for a user's own recordings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeprune.cli import options
from edgeprune.cli.bars import is_terminal
from edgeprune.cli.console import Answer, Console, run_verb
from edgeprune.config import load_config
from edgeprune.config_text import EXAMPLE_REQUIREMENTS, EXAMPLE_ROWS, render_config
from edgeprune.errors import ConfigurationError
from edgeprune.files import write_text
from edgeprune.targets import load_target

if TYPE_CHECKING:
    from edgeprune.data import DatasetCard
    from edgeprune.data.proposal import Proposal
    from edgeprune.data.survey import Hints, Survey

CARD_FILE = "mine.toml"
_SUMMARY = "Write an edgeprune.toml; with --data also a card of your own data."
_KINDS = ("beats", "segments")
_ROWS = ("sample", "window")
_PATIENTS = (
    "Whose are the records? 'record' (each of another patient), 'folder' (each folder is), a "
    "regular expression whose group is the patient in a record's name, or nothing"
)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("init", help=_SUMMARY, short_help=_SUMMARY)
    def command(
        folder: Annotated[Path, typer.Argument(help="Where to write it.")] = Path(),
        data: Annotated[
            Path | None, typer.Option(help="Folder of your recordings to look at.")
        ] = None,
        unit: Annotated[
            str,
            typer.Option(help="With --data: uV, mV, V, count or rms, where the files do not say."),
        ] = "",
        rate: Annotated[
            int, typer.Option(help="With --data: samples a second, where the files do not say.")
        ] = 0,
        label: Annotated[str, typer.Option(help="With --data: column or array of labels.")] = "",
        patient: Annotated[
            str,
            typer.Option(
                help="With --data: column or array of patients, record, folder, or an expression."
            ),
        ] = "",
        kind: Annotated[str, typer.Option(help="With --data: beats or segments.")] = "",
        row: Annotated[
            str,
            typer.Option(help="With --data: what a row of a table is, sample or window."),
        ] = "",
        target: options.Target = None,
        dataset: options.Dataset = None,
        data_dir: options.DataDir = None,
        force: Annotated[bool, typer.Option(help="Replace files that are there.")] = False,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        flags = {"target": target, "dataset": dataset, "data_dir": data_dir, "seed": seed}

        def body() -> Answer:
            from edgeprune.data import load_card
            from edgeprune.data.survey import Hints

            config_path, card_path = folder / options.CONFIG_FILE, folder / CARD_FILE
            written = [config_path] if data is None else [config_path, card_path]
            for path in written:
                if path.exists() and not force:
                    raise ConfigurationError(
                        "there is a configuration already"
                        if path == config_path
                        else "there is a card already",
                        where=str(path),
                        hint="edit it, or replace it with --force",
                    )
            result: dict[str, Any] = {"path": str(config_path)}
            settings = options.texts(flags)
            verdict = f"wrote {config_path}; next: edgeprune build"
            if data is None:
                given = {"unit": unit, "rate": rate, "label": label, "patient": patient}
                _refuse_hints(given | {"kind": kind, "row": row})
                config = load_config(None, settings)
                load_target(config.target)
                load_card(config.dataset)
            else:
                if dataset is not None or data_dir is not None:
                    raise ConfigurationError(
                        "--data looks at files and names data set and folder itself",
                        where="--dataset, --data-dir",
                        hint="leave them out, or leave --data out",
                    )
                _check_choice("--kind", kind, _KINDS)
                _check_choice("--row", row, _ROWS)
                hints = Hints(unit, rate, label, patient, kind, row)
                settings |= {"dataset": str(card_path), "data_dir": str(data)}
                config = load_config(None, settings)
                load_target(config.target)
                proposal, found = _look(console, data, hints, config.seed)
                result |= _write_card(console, card_path, proposal, found)
                verdict = (
                    f"wrote {card_path} and {config_path}; read the card, then: edgeprune build"
                )
            write_text(config_path, render_config(config) + EXAMPLE_REQUIREMENTS + EXAMPLE_ROWS)
            return Answer(result, verdict=verdict)

        run_verb("init", console, body)


def _check_choice(flag: str, value: str, known: tuple[str, ...]) -> None:
    if value and value not in known:
        raise ConfigurationError(
            f"'{value}' is not known", where=flag, hint=f"known: {', '.join(known)}"
        )


def _refuse_hints(hints: Mapping[str, object]) -> None:
    given = [f"--{name}" for name, value in hints.items() if value]
    if given:
        raise ConfigurationError(
            f"{', '.join(given)} tell how recordings are to be read, and none are named",
            where=given[0],
            hint="name their folder with --data",
        )


def _look(console: Console, data: Path, hints: Hints, seed: int) -> tuple[Proposal, Survey]:
    """Survey the folder; a person at a terminal is asked what the files leave open."""
    from edgeprune.data.proposal import propose
    from edgeprune.data.survey import UnansweredError, survey

    asks = is_terminal(sys.stdin) and is_terminal(sys.stdout) and not console.as_json
    while True:
        try:
            found = survey(data, hints, console)
            break
        except UnansweredError as error:
            if not asks:
                raise
            console.note(error.what)
            kind = int if error.key == "rate_hz" else str
            hints = replace(hints, **{error.key: typer.prompt(error.question, type=kind)})
    proposal = propose(found, hints, seed)
    if asks and not proposal.card.patients_known:
        console.note("No file names a patient.")
        answer = typer.prompt(_PATIENTS, default="", show_default=False)
        if answer:
            proposal = propose(found, replace(hints, patient=answer), seed)
    return proposal, found


def _patients(card: DatasetCard, records: tuple[str, ...]) -> str:
    if not card.patients_known:
        return "unknown"
    return str(len({card.patient(record) for record in records}))


def _write_card(
    console: Console, path: Path, proposal: Proposal, found: Survey
) -> Mapping[str, Any]:
    from edgeprune.data import load_card
    from edgeprune.data.card_text import card_text

    card = proposal.card
    write_text(path, card_text(proposal, f"edgeprune init --data {found.folder}"))
    load_card(path)
    split, signal = card.split, card.signal
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    console.line(f"{len(found.records)} {card.source} records, {len(split.records)} to use")
    for name, reason in split.left_out.items():
        console.line(f"left out: {name}: {reason}")
    console.table(
        ("part", "patients", "records"),
        [(name, _patients(card, records), len(records)) for name, records in parts.items()],
    )
    console.line(f"classes: {', '.join(card.class_names)} ({proposal.reasons.get('labels', '')})")
    for warning in proposal.warnings:
        console.note(f"warning: {warning}")
    return {
        "card": str(path),
        "source": card.source,
        "rate_hz": signal.rate_hz,
        "channels": list(signal.channels or signal.leads),
        "classes": list(card.class_names),
        "patients_known": card.patients_known,
        "parts": {name: list(records) for name, records in parts.items()},
        "left_out": dict(split.left_out),
        "warnings": list(proposal.warnings),
    }
