"""provenance.intoto.json: what a bundle was made of, by which program, in a form others read.

An in-toto Statement v1 with the predicate SLSA Provenance v1 (slsa.dev/spec/v1.0/provenance): its
subjects are the bundle's files, its parameters the configuration as resolved, its dependencies the
data set and the packages. It states what edgeprune saw; it is believed only as far as the signature
over the manifest, which holds its hash. Nobody but the user's own machine vouches for the build:
no level of SLSA is claimed.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edgeprune import __version__
from edgeprune.evidence import Evidence
from edgeprune.evidence.manifest import ManifestFile
from edgeprune.files import sha256_bytes, sha256_file, write_text
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.disturb import noise_files
from edgeprune.pipeline.learn import SOURCES
from edgeprune.pipeline.recipe import named_files
from edgeprune.pipeline.store import Stage

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
# Package URLs: they name without promising a page behind them.
BUILD_TYPE = "pkg:generic/edgeprune#build/v1"
BUILDER = f"pkg:generic/edgeprune@{__version__}"

Descriptor = dict[str, Any]


def write_provenance(
    path: Path,
    context: Context,
    data: Stage,
    evidence: Evidence,
    files: Sequence[ManifestFile],
    command: str,
) -> None:
    """Write the provenance of a bundle; equal builds give equal bytes.

    Args:
        path: Where to.
        context: The build.
        data: The stage that read the recordings.
        evidence: What was found out.
        files: The bundle's files but the provenance itself: its subjects.
        command: What makes the bundle again.

    Raises:
        DiskError: No space or no permission.
    """
    metadata = {"finishedOn": evidence.identity.date} if evidence.identity.date else {}
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": file.path, "digest": {"sha256": file.sha256}} for file in files],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "command": command,
                    "config": {entry.key: entry.value for entry in evidence.config},
                },
                "internalParameters": {"processor": processor()},
                "resolvedDependencies": [
                    *_data(context, data),
                    *_named(context),
                    *_packages(evidence),
                ],
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"edgeprune": __version__}},
                "metadata": metadata,
            },
        },
    }
    write_text(path, f"{json.dumps(statement, indent=1, ensure_ascii=False)}\n")


def processor() -> dict[str, str]:
    """Return the kind of processor: on another, sums of floats may round differently."""
    import torch

    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "vectorInstructions": torch.backends.cpu.get_cpu_capability(),
    }


def _data(context: Context, data: Stage) -> Iterator[Descriptor]:
    card = context.card
    yield {
        "name": f"{card.name}.toml",
        "digest": {"sha256": sha256_file(Path(card.path))},
        "mediaType": "application/toml",
        "annotations": {
            "title": card.title,
            "licence": card.licence,
            "synthetic": card.synthetic,
        },
    }
    sources = json.loads(data.file(SOURCES).read_bytes())
    yield from _recordings(card.name, sources, private=context.config.evaluation.privacy)
    noise = dict(noise_files(context.config.disturbances.noise_dir))
    yield from _recordings("recorded noise", noise, private=False)


def _recordings(name: str, files: Mapping[str, str], *, private: bool) -> Iterator[Descriptor]:
    """Yield the files of a folder; together only where their names tell of patients."""
    if not files:
        return
    together = json.dumps(files, sort_keys=True).encode()
    yield {
        "name": f"recordings of {name}",
        "digest": {"sha256": sha256_bytes(together)},
        "annotations": {
            "files": len(files),
            "of": "SHA-256 of the JSON object of all paths and their SHA-256, sorted",
        },
    }
    if not private:
        for path, digest in sorted(files.items()):
            yield {"name": path, "digest": {"sha256": digest}}


def _named(context: Context) -> Iterator[Descriptor]:
    for place, path in sorted(named_files(context.config).items()):
        yield {"name": place, "digest": {"sha256": sha256_file(path)}}


def _packages(evidence: Evidence) -> Iterator[Descriptor]:
    yield {"name": "python", "uri": f"pkg:generic/python@{_quoted(evidence.versions.python)}"}
    for package in evidence.versions.packages:
        name = package.name.lower().replace("_", "-")
        yield {"name": package.name, "uri": f"pkg:pypi/{name}@{_quoted(package.version)}"}


def _quoted(version: str) -> str:
    return quote(version, safe="")
