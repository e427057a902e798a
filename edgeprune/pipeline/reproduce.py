"""Builds a bundle again from what it holds, and compares the bytes of every file."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeprune import __version__
from edgeprune.config import BuildConfig, load_config
from edgeprune.errors import ConfigurationError, EdgepruneError
from edgeprune.evidence import Evidence, read_evidence, read_manifest, source_date
from edgeprune.evidence.manifest import MANIFEST_NAME, Manifest, verify_manifest
from edgeprune.evidence.untrusted import parse_json, read_small, shown
from edgeprune.files import sha256_file
from edgeprune.pipeline.bundle_links import EVIDENCE, PROVENANCE, changed_packages
from edgeprune.pipeline.recipe import CONFIG, RECORD, bundle_config, named_files
from edgeprune.progress import Progress


@dataclass(frozen=True)
class FileDifference:
    """A file whose bytes are not the same.

    Attributes:
        path: The file.
        what: "differs", "was not made again" or "is not in the bundle".
        why: Why that may be, as far as the two manifests tell.
    """

    path: str
    what: str
    why: str


@dataclass(frozen=True)
class ReproducedBundle:
    """What building a bundle again came to.

    Attributes:
        bundle: The bundle.
        out: What was built.
        files: Files that were compared, the manifest among them.
        differences: Those whose bytes are not the same.
        causes: What is another here than where the bundle was made, the likeliest cause first.
        kept: Stages that an earlier, broken run of this reproduction had made.
    """

    bundle: Path
    out: Path
    files: int
    differences: tuple[FileDifference, ...]
    causes: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every byte is the same."""
        return not self.differences


def reproduce(
    folder: Path,
    out: Path | None = None,
    *,
    data_dir: Path | None = None,
    noise_dir: Path | None = None,
    model: str | None = None,
    progress: Progress | None = None,
) -> ReproducedBundle:
    """Build a bundle again and compare.

    Args:
        folder: The bundle.
        out: Where to build; a folder beside the bundle by default. A killed run resumes there.
        data_dir: Where the recordings are; needed where they are not generated.
        noise_dir: Where recorded noise is, where the bundle used some.
        model: The user's `package.module:factory`, where the bundle has one: nothing is imported
            because a file says so.
        progress: Receives the course of the work.

    Raises:
        ConfigurationError: Something that the bundle does not hold is needed, or `out` is in use.
        EdgepruneError: As for `build`.
    """
    from edgeprune.pipeline.build import build

    manifest, evidence = read_manifest(folder), read_evidence(folder / EVIDENCE)
    out = out or folder.with_name(f"{folder.resolve().name}.again")
    _check_out(folder, out)
    _check_date(evidence)
    stated = load_config(folder / CONFIG, {})
    _check_given(stated, data_dir, noise_dir, model)
    config = bundle_config(folder, data_dir, noise_dir, model)
    for place, path in named_files(config).items():
        if not path.is_file():
            raise ConfigurationError(
                "the bundle lacks a file that its configuration names",
                where=str(folder / place),
                hint="edgeprune verify-bundle names what else is missing",
            )
    result = build(config, out, progress=progress)
    made = read_manifest(out)
    differences = tuple(_differences(folder, manifest, out, made))
    return ReproducedBundle(
        folder,
        out,
        len({file.path for each in (manifest, made) for file in each.files}) + 1,
        differences,
        tuple(_causes(folder, manifest, evidence)),
        tuple(name for name, stage in result.stages.items() if stage.reused),
    )


def _check_out(folder: Path, out: Path) -> None:
    if out.resolve() == folder.resolve() or out.exists():
        raise ConfigurationError(
            "a bundle is built again into a folder that is not there yet",
            where=str(out),
            hint="give another --out, or remove what an earlier reproduction left",
        )


def _check_date(evidence: Evidence) -> None:
    date = evidence.identity.date
    if date != source_date(os.environ):
        raise ConfigurationError(
            f"the bundle's date is {date or 'not fixed'}, and SOURCE_DATE_EPOCH says "
            f"{source_date(os.environ) or 'nothing'}",
            where="environment",
            hint=f'SOURCE_DATE_EPOCH="$(date -ud {date} +%s)" edgeprune reproduce ...'
            if date
            else "unset SOURCE_DATE_EPOCH",
        )


def _check_given(
    stated: BuildConfig, data_dir: Path | None, noise_dir: Path | None, model: str | None
) -> None:
    for flag, needed, given in (
        ("--data-dir", stated.data_dir, data_dir),
        ("--noise-dir", stated.disturbances.noise_dir, noise_dir),
    ):
        if needed and given is None:
            raise ConfigurationError(
                f"the bundle was made of recordings that it does not hold: {shown(needed)}",
                where=flag,
                hint=f"say where they are: {flag} DIR; provenance.intoto.json lists their SHA-256",
            )
        if given is not None and not needed:
            raise ConfigurationError(
                "the bundle was made without such a folder", where=flag, hint="leave it out"
            )
    if ":" in stated.model and stated.model != model:
        raise ConfigurationError(
            f"the bundle's classifier is code of its maker: {shown(stated.model)}",
            where="--model",
            hint=f"if you trust that code, agree to import it: --model {shown(stated.model)}",
        )


def _differences(
    folder: Path, manifest: Manifest, out: Path, made: Manifest
) -> Iterator[FileDifference]:
    stages = {file.path: file.stage for each in (made, manifest) for file in each.files}
    altered = set(verify_manifest(folder, manifest).altered)
    changed = {each.name: _changed_inputs(each.name, manifest, made) for each in manifest.stages}
    for path in (*sorted(stages), MANIFEST_NAME):
        before, after = folder / path, out / path
        if not before.is_file() or not after.is_file():
            what = "is not in the bundle" if after.is_file() else "was not made again"
        elif sha256_file(before) != sha256_file(after):
            what = "differs"
        else:
            continue
        inputs = changed.get(stages.get(path, RECORD), ())
        if path in altered:
            why = "the bundle's file was altered after it was made"
        elif inputs:
            why = f"its stage read something else: {', '.join(inputs)}"
        else:
            why = "its stage read the same: packages, compiler or processor differ"
        yield FileDifference(shown(path), what, why)


def _changed_inputs(stage: str, manifest: Manifest, made: Manifest) -> tuple[str, ...]:
    before, after = _inputs(stage, manifest), _inputs(stage, made)
    return tuple(
        shown(name)
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    )


def _inputs(stage: str, manifest: Manifest) -> Mapping[str, str]:
    return {
        entry.name: entry.sha256
        for each in manifest.stages
        if each.name == stage
        for entry in each.inputs
    }


def _causes(folder: Path, manifest: Manifest, evidence: Evidence) -> Iterator[str]:
    if manifest.edgeprune != __version__:
        yield f"edgeprune {shown(manifest.edgeprune)} (here {__version__})"
    yield from changed_packages(evidence)
    if evidence.versions.python != platform.python_version():
        yield f"Python {shown(evidence.versions.python)} (here {platform.python_version()})"
    yield from _processor(folder)


def _processor(folder: Path) -> Iterator[str]:
    from edgeprune.pipeline.provenance import processor

    try:
        value: Any = parse_json(read_small(folder / PROVENANCE, "there is none"), PROVENANCE)
        stated = value["predicate"]["buildDefinition"]["internalParameters"]["processor"]
        found = {key: str(stated[key]) for key in processor()}
    except (EdgepruneError, KeyError, TypeError):
        return
    if found != processor():
        before, here = (" ".join(each.values()) for each in (found, processor()))
        yield f"processor {shown(before)} (here {here})"
