"""`edgeprune sign`, `verify-bundle`, `reproduce`: who stands for a bundle, and does it hold."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb
from edgeprune.errors import ConfigurationError

if TYPE_CHECKING:
    from edgeprune.pipeline.bundle_check import BundleCheck

PASSPHRASE = "EDGEPRUNE_KEY_PASSPHRASE"
_SIGN = "Sign a result with an Ed25519 key of your own, or make such a key."
_VERIFY = "Name every altered, missing, added or contradicting part of a result, and who signed it."
_REPRODUCE = "Build a result again from what it holds, and compare every byte."
_SHOWN = 100
_Bundle = Annotated[Path, typer.Argument(help="Result directory of a build.")]


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""

    @app.command("sign", help=_SIGN, short_help=_SIGN)
    def sign_command(
        bundle: _Bundle = Path("result"),
        key: Annotated[
            Path | None, typer.Option(help="Private key to sign with: PKCS #8 in PEM.")
        ] = None,
        new_key: Annotated[
            Path | None,
            typer.Option(
                metavar="FILE", help="Make a key pair, FILE and its public part, and end."
            ),
        ] = None,
        passphrase: Annotated[
            bool,
            typer.Option(
                "--passphrase",
                help=f"With --new-key: encrypt it. {PASSPHRASE} is taken, else it is asked for.",
            ),
        ] = False,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)

        def body() -> Answer:
            if new_key is not None:
                return _new_key(new_key, passphrase)
            if key is None:
                raise ConfigurationError(
                    "a bundle is signed with a key",
                    where="command line of edgeprune sign",
                    hint="edgeprune sign --new-key team.pem makes one; then --key team.pem",
                )
            return _sign(console, bundle, key)

        run_verb("sign", console, body)

    @app.command("verify-bundle", help=_VERIFY, short_help=_VERIFY)
    def verify_command(
        bundle: _Bundle = Path("result"),
        key: Annotated[
            list[Path] | None,
            typer.Option(
                "--key",
                metavar="PUBLIC.pem",
                help="Public key that must have signed it, and no other; may be repeated.",
            ),
        ] = None,
        unsigned: Annotated[
            bool,
            typer.Option(
                "--unsigned", help="Do not ask who signed it: only whether it is whole and fits."
            ),
        ] = False,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        run_verb("verify-bundle", console, lambda: _verify(console, bundle, key or [], unsigned))

    @app.command("reproduce", help=_REPRODUCE, short_help=_REPRODUCE)
    def reproduce_command(
        bundle: _Bundle = Path("result"),
        out: Annotated[
            Path | None,
            typer.Option(help="Where to build; RESULT.again by default. A killed run resumes."),
        ] = None,
        data_dir: options.DataDir = None,
        noise_dir: options.NoiseDir = None,
        model: Annotated[
            str | None,
            typer.Option(help="The bundle's package.module:factory, to agree to import it."),
        ] = None,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        run_verb(
            "reproduce",
            console,
            lambda: _reproduce(console, bundle, out, data_dir, noise_dir, model),
        )


def _new_key(path: Path, encrypt: bool) -> Answer:
    from edgeprune.evidence.keys import key_id, load_public, new_key

    public = new_key(path, _passphrase(path, twice=True) if encrypt else "")
    name = key_id(load_public(public))
    return Answer(
        {"private_key": str(path), "public_key": str(public), "key_id": name},
        verdict=f"{path} is to be kept secret, {public} to be given away; key {name}",
    )


def _sign(console: Console, bundle: Path, key: Path) -> Answer:
    from edgeprune.pipeline.bundle_check import sign_bundle

    found = sign_bundle(bundle, key, lambda: _passphrase(key))
    for signer in found.signers:
        console.line(f"signed by key {signer}")
    for note in found.notes:
        console.line(f"note: {note}")
    count = _counted(len(found.signers), "signature")
    return Answer(
        {"bundle": str(bundle), "signers": list(found.signers), "notes": list(found.notes)},
        verdict=f"{found.files} files of {bundle} under {count}",
    )


def _passphrase(path: Path, *, twice: bool = False) -> str:
    """Return the passphrase of the environment, else ask for it."""
    given = os.environ.get(PASSPHRASE)
    if given:
        return given
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "the key takes a passphrase, and there is nobody to ask",
            where=str(path),
            hint=f"set {PASSPHRASE}",
        )
    text: str = typer.prompt(
        f"passphrase of {path}", hide_input=True, confirmation_prompt=twice, err=True
    )
    return text


def _verify(console: Console, bundle: Path, keys: list[Path], unsigned: bool) -> Answer:
    from edgeprune.pipeline.bundle_check import check_bundle, read_keys

    if keys and unsigned:
        raise ConfigurationError(
            "--key asks who signed it, --unsigned does not",
            where="command line of edgeprune verify-bundle",
            hint="leave one of them out",
        )
    found = check_bundle(bundle, read_keys(keys), unsigned=unsigned)
    for finding in found.findings[:_SHOWN]:
        console.line(f"{finding.kind.value}: {finding.path}: {finding.what}")
    if len(found.findings) > _SHOWN:
        console.line(f"and {len(found.findings) - _SHOWN} more; --json lists all of them")
    for words in dict.fromkeys(found.compared):
        console.line(f"holds: {words}")
    for note in found.notes:
        console.line(f"note: {note}")
    document = asdict(found) | {"folder": str(found.folder), "passed": found.passed}
    return Answer({"bundle": document}, passed=found.passed, verdict=_verdict(found, unsigned))


def _verdict(found: BundleCheck, unsigned: bool) -> str:
    if found.findings:
        first = found.findings[0]
        count = _counted(len(found.findings), "finding")
        return f"{count}; first {first.kind.value}: {first.path}: {first.what}"
    if unsigned:
        return f"{found.files} files are whole and fit together; who made them was not asked"
    return f"{found.files} files are whole, fit together, and are signed by " + ", ".join(
        f"key {signer}" for signer in found.signers
    )


def _reproduce(
    console: Console,
    bundle: Path,
    out: Path | None,
    data_dir: Path | None,
    noise_dir: Path | None,
    model: str | None,
) -> Answer:
    from edgeprune.pipeline.reproduce import reproduce

    found = reproduce(
        bundle, out, data_dir=data_dir, noise_dir=noise_dir, model=model, progress=console
    )
    for cause in found.causes:
        console.line(f"not as where it was made: {cause}")
    for difference in found.differences:
        console.line(f"{difference.path} {difference.what}: {difference.why}")
    if found.kept:
        console.line(f"kept from a run that was broken off: {', '.join(found.kept)}")
    document = asdict(found) | {"bundle": str(found.bundle), "out": str(found.out)}
    same = found.files - len(found.differences)
    verdict = f"{same} of {found.files} files of {bundle} came out the same, byte by byte"
    return Answer({"reproduction": document}, passed=found.passed, verdict=verdict)


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"
