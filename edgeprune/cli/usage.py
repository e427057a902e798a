"""What is wrong with a command line, said like every other error."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperGroup

from edgeprune.cli.console import INTERRUPTED, Console, fail, say_verdict
from edgeprune.errors import ConfigurationError

_CUTOFF = 0.6


class Verbs(TyperGroup):
    """The group of all verbs; it ends in a verdict whatever is typed."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Parse and run a command line; leave with an exit code."""
        given = sys.argv[1:] if args is None else list(args)
        console = Console(quiet=True, as_json="--json" in given)
        try:
            code = super().main(
                given, prog_name or "edgeprune", complete_var, standalone_mode=False, **extra
            )
        except typer.Abort:
            say_verdict("edgeprune", console, "INTERRUPTED", "", INTERRUPTED, {})
        except typer.TyperException as error:
            if "NoArgsIsHelp" in type(error).__name__:
                typer.echo(error.format_message(), err=True)
                raise SystemExit(2) from None
            path = _command_path(error, given)
            verb = path.partition(" ")[2] or path
            fail(verb, console, _in_our_words(error, path))
        raise SystemExit(code if isinstance(code, int) else 0)


def _command_path(error: typer.TyperException, given: Sequence[str]) -> str:
    context = getattr(error, "ctx", None)
    if context is not None:
        return str(context.command_path)
    verbs = itertools.takewhile(lambda word: not word.startswith("-"), given[:2])
    return " ".join(("edgeprune", *verbs))


def _in_our_words(error: typer.TyperException, path: str) -> ConfigurationError:
    message = error.format_message().partition(" (Possible options")[0].rstrip(".")
    message = message.partition(". Did you mean")[0]
    guess = _nearest(error)
    see = f"see {path} --help"
    return ConfigurationError(
        message[:1].lower() + message[1:],
        where=f"command line of {path}",
        hint=f"did you mean '{guess}'? {see}" if guess else see,
    )


def _nearest(error: typer.TyperException) -> str:
    """Return the flag or verb that a mistyped one comes nearest to; empty if there is none."""
    context = getattr(error, "ctx", None)
    if context is None:
        return ""
    wrong = getattr(error, "option_name", None)
    if wrong is not None:
        known = [name for parameter in context.command.params for name in parameter.opts]
    else:
        known = list(getattr(context.command, "commands", ()))
        wrong = next(iter(error.format_message().split("'")[1:2]), "")
    nearest = get_close_matches(wrong, known, n=1, cutoff=_CUTOFF)
    return nearest[0] if nearest else ""
