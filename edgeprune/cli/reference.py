"""The reference tables of the documentation, generated from the code that they describe.

`python -m edgeprune.cli.reference` rewrites what stands between `<!-- generated:NAME -->` and
`<!-- /generated:NAME -->` in README.md and in the pages below docs/.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeprune import errors
from edgeprune.cli.console import BUG, INTERRUPTED, OUR_BUG, PIPE_CLOSED
from edgeprune.config import BuildConfig
from edgeprune.config_text import attribute_words
from edgeprune.errors import ConfigurationError, EdgepruneError
from edgeprune.files import write_text

README = Path("README.md")
PAGES = Path("docs")
_EVERYWHERE = ("--seed", "--json", "--quiet", "--help")
_EXIT_CODES = {
    0: "The verb did what it was asked, and every requirement is met (`PASS`).",
    1: "A requirement is not met, the target is too small, or implementations disagree (`FAIL`).",
    2: "Something that was given cannot be used: flag, key, name, recording, model.",
    3: "This machine lacks something: a tool, disk space, the network.",
    OUR_BUG: "A compiler, an emulator or edgeprune itself failed.",
    INTERRUPTED: "Interrupted; finished stages are kept.",
    PIPE_CLOSED: "Whoever read the output closed the pipe.",
}


def main(arguments: Sequence[str]) -> int:
    """Rewrite the generated parts of the files that are named, of all pages if none is."""
    for path in map(Path, arguments) if arguments else pages():
        before = path.read_text(encoding="utf-8")
        after = rewrite(before)
        if after != before:
            write_text(path, after)
        print(f"{path}: {'rewritten' if after != before else 'up to date'}")
    return 0


def pages(checkout: Path = Path()) -> tuple[Path, ...]:
    """Return README.md and the pages below docs/."""
    return (checkout / README, *sorted((checkout / PAGES).rglob("*.md")))


def rewrite(text: str) -> str:
    """Return the text with every generated part made anew.

    Raises:
        ConfigurationError: A marker names no table, or is not closed.
    """

    def renewed(match: re.Match[str]) -> str:
        name = match[1]
        if name not in TABLES:
            raise ConfigurationError(
                f"there is no table '{name}'", where=match[0][:60], hint=f"known: {list(TABLES)}"
            )
        return f"<!-- generated:{name} -->\n{TABLES[name]()}\n<!-- /generated:{name} -->"

    pattern = r"<!-- generated:([\w-]+) -->\n.*?<!-- /generated:\1 -->"
    return re.sub(pattern, renewed, text, flags=re.DOTALL)


def verbs() -> str:
    """Return the verbs with their arguments and flags."""
    commands = dict(_commands(_root(), ""))
    shared = list(_flags(commands["build"]))
    rows = []
    for path, command in commands.items():
        own = [f"`{name}`" for name in _flags(command) if name not in _EVERYWHERE]
        same = path != "build" and list(_flags(command)) == shared
        rows.append((f"`{path}`", command.help, "as `build`" if same else " ".join(own)))
    return _table(("verb", "what it does", "arguments and flags"), rows)


def flags() -> str:
    """Return the flags of `build`, which the other verbs of the chain share."""
    build = dict(_commands(_root(), ""))["build"]
    return _table(
        ("flag", "meaning"),
        [
            (" ".join(f"`{name}`" for name in parameter.opts), parameter.help)
            for parameter in build.params
        ],
    )


def options() -> str:
    """Return the arguments and flags of every verb that does not share those of `build`."""
    commands = dict(_commands(_root(), ""))
    shared = list(_flags(commands["build"]))
    parts = []
    for path, command in commands.items():
        if list(_flags(command)) == shared:
            continue
        rows = [
            (_spelling(parameter), getattr(parameter, "help", ""))
            for parameter in command.params
            if parameter.opts[0] not in _EVERYWHERE
        ]
        parts += [f"### {path}", "", command.help, ""]
        parts += [_table(("argument or flag", "meaning"), rows), ""] if rows else []
    return "\n".join(parts).rstrip()


def schemas() -> str:
    """Return the JSON Schemas that come with the package, with the members of each document."""
    package = Path(errors.__file__).parent
    parts = []
    for path in sorted(package.rglob("*.schema.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        body = schema["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        parts += [f"### {schema['title']}", "", f"`{path.relative_to(package.parent).as_posix()}`"]
        parts += ["", schema.get("description") or body.get("description") or "", ""]
        required = body.get("required", ())
        rows = [
            (f"`{name}`", "yes" if name in required else "", member.get("description"))
            for name, member in body["properties"].items()
        ]
        parts += [_table(("member", "always there", "meaning"), rows), ""]
    return "\n".join(parts).rstrip()


def clauses() -> str:
    """Return the clauses that evidence is collected for, and against what each was held."""
    from edgeprune.evidence.clauses import read_clauses

    return _table(
        ("document", "clause", "about", "profiles", "held against"),
        [
            (
                each.document,
                each.clause,
                each.topic,
                " ".join(each.profiles),
                each.source or f"**not checked**: {each.reason}",
            )
            for each in read_clauses().clauses
        ],
    )


def report_sections() -> str:
    """Return the sections of the report and the profiles that show them."""
    from edgeprune.evidence.clauses import read_clauses
    from edgeprune.report.sections import SECTIONS

    profiles = read_clauses().profiles
    return _table(
        ("section", "title", "profiles"),
        [
            (
                f"`{each.name}`",
                each.title,
                " ".join(profile.name for profile in profiles if each.name in profile.sections),
            )
            for each in SECTIONS
        ],
    )


def targets() -> str:
    """Return the targets."""
    from edgeprune.targets import list_targets, load_target

    rows = []
    for target in map(load_target, list_targets()):
        emulators = [
            *(["unicorn"] if target.emulator else []),
            *([target.qemu_user.program] if target.qemu_user else []),
            *([f"QEMU {target.qemu.machine}"] if target.qemu else []),
        ]
        rows.append((f"`{target.name}`", target.title, ", ".join(emulators), target.supported))
    return _table(("target", "what it is", "emulators", "checked by"), rows)


def operators() -> str:
    """Return the operators of the integer network."""
    from edgeprune.network import OPERATORS

    return _table(
        ("operator", "what it is"),
        [(f"`{name}`", OPERATORS.get(name).summary) for name in OPERATORS],
    )


def pruning_methods() -> str:
    """Return the pruning methods."""
    from edgeprune.pruning.methods import METHODS

    return _table(
        ("`pruning.method`", "what goes"),
        [(f"`{name}`", METHODS.get(name).title) for name in METHODS],
    )


def importances() -> str:
    """Return the criteria of pruning."""
    from edgeprune.pruning.criteria import CRITERIA

    return _table(
        ("`pruning.importance`", "what it is", "scores each", "looks at training windows"),
        [
            (f"`{each.name}`", each.title, each.grain, "yes" if each.reads_windows else "no")
            for each in map(CRITERIA.get, CRITERIA)
        ],
    )


def data_sets() -> str:
    """Return the data cards."""
    from edgeprune.data import list_cards, load_card

    return _table(
        ("data set", "what it is", "records", "classes", "licence"),
        [
            (
                f"`{card.name}`",
                card.title,
                str(len(card.split.records)),
                " ".join(card.class_names),
                card.licence,
            )
            for card in map(load_card, list_cards())
        ],
    )


def error_codes() -> str:
    """Return the codes of all errors."""
    kinds = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, EdgepruneError) and kind is not EdgepruneError
    ]
    rows = [
        (f"`{kind.code}`", str(kind.exit_code), _first_line(kind))
        for kind in sorted(kinds, key=lambda kind: kind.code)
    ]
    bug = (f"`{BUG}`", str(OUR_BUG), "A bug of edgeprune: please report what was printed.")
    return _table(("code", "exit code", "meaning"), [*rows, bug])


def exit_codes() -> str:
    """Return the exit codes."""
    return _table(
        ("exit code", "meaning"), [(str(code), words) for code, words in _EXIT_CODES.items()]
    )


def configuration() -> str:
    """Return every key of `edgeprune.toml` with its default."""
    return _table(("key", "default", "meaning"), list(_keys(BuildConfig(), "")))


TABLES: Mapping[str, Callable[[], str]] = {
    "verbs": verbs,
    "flags": flags,
    "options": options,
    "targets": targets,
    "operators": operators,
    "pruning-methods": pruning_methods,
    "importances": importances,
    "data-sets": data_sets,
    "error-codes": error_codes,
    "exit-codes": exit_codes,
    "configuration": configuration,
    "schemas": schemas,
    "clauses": clauses,
    "report-sections": report_sections,
}


def _root() -> Any:
    import typer.main

    from edgeprune.cli.app import create_app

    return typer.main.get_command(create_app())


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, inner in command.commands.items():
        full = f"{path} {name}".strip()
        if not hasattr(inner, "commands") or inner.invoke_without_command:
            yield full, inner
        if hasattr(inner, "commands"):
            yield from _commands(inner, full)


def _flags(command: Any) -> Iterator[str]:
    for parameter in command.params:
        first = parameter.opts[0]
        yield first if first.startswith("-") else first.upper()


def _spelling(parameter: Any) -> str:
    if parameter.opts[0].startswith("-"):
        return " ".join(f"`{name}`" for name in parameter.opts)
    return f"`{parameter.opts[0].upper()}`"


def _keys(section: Any, prefix: str) -> Iterator[tuple[str, str, str]]:
    words = attribute_words(type(section))
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            yield from _keys(value, f"{prefix}{field.name}.")
        else:
            yield f"`{prefix}{field.name}`", _default(value), words[field.name]


def _default(value: Any) -> str:
    if value is None or value in ("", {}, ()):
        return ""
    if isinstance(value, Mapping):
        return "`" + ", ".join(f"{key} {entry:g}" for key, entry in value.items()) + "`"
    if isinstance(value, tuple):
        return "`" + ", ".join(map(str, value)) + "`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _first_line(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "").split("\n\n", maxsplit=1)[0].replace("\n", " ")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
