"""What the parts of a bundle say of each other: whoever edits one contradicts the others.

Nothing here needs a key. It names an edit even where the manifest was written to suit; a bundle
whose every part was forged alike is a matter for its signature alone.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from edgeprune import __version__
from edgeprune.config import load_config
from edgeprune.evidence import Evidence, PerturbationCertificates, config_entries, read_evidence
from edgeprune.evidence.manifest import MANIFEST_NAME, Manifest
from edgeprune.evidence.soup import SoupKind
from edgeprune.evidence.untrusted import parse_json, read_small, shown
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.recipe import CONFIG, RECORD, RECORD_ROOMS
from edgeprune.pipeline.store import stage_inputs

EVIDENCE = "evidence.json"
REPORT = "report.html"
PAPER = "report.pdf"
PROVENANCE = "provenance.intoto.json"
NETWORK = "network.safetensors"
IMAGE = "firmware.elf"
TFLITE = "model.tflite"
ONNX = "model.onnx"
HEADER = "edgeprune_model.h"
CERTIFICATES = "certificates/"
_FIRMWARE = ("firmware/", "package/", "linux/")
# Arrays of windows, and no certificates.
_WINDOWS = ("certificates/held.npz", "certificates/windows.npz")
# What not every bundle holds.
OPTIONAL = (IMAGE,)
_NEEDED = (CONFIG, EVIDENCE, REPORT, PAPER, PROVENANCE, NETWORK, TFLITE, ONNX)
_OUTCOMES = ("n", "proved", "falsified", "unknown", "timeout", "proved_and_right")
_LARGEST_HEADER = 1 << 24


@dataclass(frozen=True)
class Link:
    """One thing that was compared.

    Attributes:
        path: The file that is named where it does not fit.
        compared: What was compared, in words.
        problem: What does not fit; empty where all does.
        left_out: Why it was not compared; empty where it was.
        unconfirmed: It was compared and differs, which other code may be the reason of.
    """

    path: str
    compared: str = ""
    problem: str = ""
    left_out: str = ""
    unconfirmed: bool = False


class Opened:
    """A bundle whose files are those of its manifest.

    Args:
        folder: The bundle.
        manifest: Its manifest.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.digests = {file.path: file.sha256 for file in manifest.files}

    @cached_property
    def evidence(self) -> Evidence:
        """What evidence.json says."""
        return read_evidence(self.folder / EVIDENCE)

    @cached_property
    def page(self) -> str:
        """The report that the evidence renders to."""
        from edgeprune.report import render_report

        return render_report(self.evidence)

    @cached_property
    def network(self) -> IntegerNetwork:
        """The network."""
        return IntegerNetwork.load(self.folder / NETWORK)

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        return (self.folder / path).read_bytes()

    @cached_property
    def made_by_other_code(self) -> str:
        """Why what this code would write may differ; empty where it may not."""
        if self.manifest.edgeprune != __version__:
            return f"made by edgeprune {self.manifest.edgeprune}, this is {__version__}"
        stated = {
            entry.name: entry.sha256
            for stage in self.manifest.stages
            if stage.name == RECORD
            for entry in stage.inputs
        }
        if stated.get("code") != dict(stage_inputs((), {}, RECORD_ROOMS))["code"]:
            return f"made by other code of edgeprune {__version__}"
        changed = ", ".join(changed_packages(self.evidence))
        return f"made with other versions: {changed}" if changed else ""


def is_touched(reads: Sequence[str], paths: Iterable[str]) -> bool:
    """Return whether any of some paths is among what a link reads."""
    return any(
        path == each or (each.endswith("/") and path.startswith(each))
        for path in paths
        for each in reads
    )


def changed_packages(evidence: Evidence) -> Iterator[str]:
    """Yield the packages whose version here is not that of the evidence, in words."""
    packages = {package.name: package.version for package in evidence.versions.packages}
    packages |= {
        item.title: item.version for item in evidence.soup if item.kind is SoupKind.DISTRIBUTION
    }
    for name, stated in packages.items():
        try:
            here = version(name)
        except (PackageNotFoundError, ValueError):
            here = "not installed"
        if here != stated:
            yield f"{shown(name)} {shown(stated)} (here {here})"


def _needed(bundle: Opened) -> Iterator[Link]:
    absent = [name for name in _NEEDED if name not in bundle.digests]
    for name in absent:
        yield Link(name, problem="every bundle holds it, and this manifest does not list it")
    if not absent:
        yield Link(MANIFEST_NAME, "the manifest lists what every bundle holds")


def _identity(bundle: Opened) -> Iterator[Link]:
    evidence, manifest = bundle.evidence, bundle.manifest
    yield _equal(
        EVIDENCE,
        "the version of edgeprune and the command are those of the manifest",
        (evidence.identity.edgeprune, " && ".join(evidence.reproduction.commands)),
        (manifest.edgeprune, manifest.command),
    )
    yield _equal(
        IMAGE,
        "the evidence is about this firmware image",
        evidence.identity.firmware_sha256,
        bundle.digests.get(IMAGE),
    )


def _network(bundle: Opened) -> Iterator[Link]:
    yield _equal(
        NETWORK,
        "the evidence is about this network",
        bundle.evidence.identity.network_sha256,
        bundle.network.sha256,
    )
    for path in sorted(bundle.digests):
        if path.endswith(f"/{HEADER}"):
            holds = bundle.network.sha256 in bundle.read(path).decode(errors="replace")
            yield _told(path, "the C library is of this network", holds)


def _tflite(bundle: Opened) -> Iterator[Link]:
    from edgeprune.network import write_tflite

    words = "model.tflite is what the network exports"
    yield _told(TFLITE, words, write_tflite(bundle.network) == bundle.read(TFLITE))


def _onnx(bundle: Opened) -> Iterator[Link]:
    from edgeprune.network import write_qdq

    words = "model.onnx is what the network exports"
    yield _told(ONNX, words, write_qdq(bundle.network) == bundle.read(ONNX))


def _config(bundle: Opened) -> Iterator[Link]:
    entries = config_entries(load_config(bundle.folder / CONFIG, {}))
    words = "the configuration is the one that the evidence tells of"
    yield _equal(CONFIG, words, entries, bundle.evidence.config)


def _requirements(bundle: Opened) -> Iterator[Link]:
    from edgeprune.pipeline.requirements import judge_all

    config, evidence = load_config(bundle.folder / CONFIG, {}), bundle.evidence
    if config.evaluation.privacy:
        why = "the requirements cannot be judged again: figures of patients are withheld"
        yield Link(EVIDENCE, left_out=why)
    else:
        judged = judge_all(config.requirements, evidence, config.robustness)
        words = "the outcomes of the requirements follow from the figures"
        yield _derived(bundle, EVIDENCE, words, judged == evidence.requirements)


def _report(bundle: Opened) -> Iterator[Link]:
    words = "report.html is what this evidence renders to"
    yield _derived(bundle, REPORT, words, bundle.page.encode() == bundle.read(REPORT))


def _paper(bundle: Opened) -> Iterator[Link]:
    from edgeprune.report.paper.document import render_pdf

    words = "report.pdf is the page on paper"
    yield _derived(bundle, PAPER, words, render_pdf(bundle.page) == bundle.read(PAPER))


def _sboms(bundle: Opened) -> Iterator[Link]:
    from edgeprune.evidence.sbom import (
        FIRMWARE_CYCLONEDX,
        FIRMWARE_SPDX,
        MODEL_CYCLONEDX,
        PYTHON_CYCLONEDX,
        sbom_contents,
    )

    made = sbom_contents(bundle.folder, bundle.evidence)
    for path in (FIRMWARE_CYCLONEDX, FIRMWARE_SPDX, MODEL_CYCLONEDX, PYTHON_CYCLONEDX):
        if path in bundle.digests:
            words = f"{path} is the bill of materials of these files"
            yield _derived(bundle, path, words, made[path] == bundle.read(path))


def _provenance(bundle: Opened) -> Iterator[Link]:
    value = parse_json(read_small(bundle.folder / PROVENANCE, "there is none"), PROVENANCE)
    subjects = {each["name"]: each["digest"]["sha256"] for each in value["subject"]}
    own = {path: sha for path, sha in bundle.digests.items() if path != PROVENANCE}
    yield _equal(PROVENANCE, "the provenance's subjects are the files", subjects, own)
    evidence, definition = bundle.evidence, value["predicate"]["buildDefinition"]
    config = {entry.key: entry.value for entry in evidence.config}
    parameters = {"command": bundle.manifest.command, "config": config}
    words = "the provenance's parameters are the configuration"
    yield _equal(PROVENANCE, words, definition["externalParameters"], parameters)
    finished = value["predicate"]["runDetails"]["metadata"].get("finishedOn")
    words = "the provenance's date is that of the evidence"
    yield _equal(PROVENANCE, words, finished, evidence.identity.date)


def _certificates(bundle: Opened) -> Iterator[Link]:
    evidence = bundle.evidence.certificates
    files = {file.path: file for file in evidence.files} if evidence else {}
    there = {
        path
        for path in bundle.digests
        if path.startswith(CERTIFICATES) and path.endswith(".npz") and path not in _WINDOWS
    }
    words = "the files of certificates are those that the evidence lists"
    yield _equal(CERTIFICATES, words, set(files), there)
    told = {row.text: row for row in (evidence.networks[-1].perturbations if evidence else ())}
    for path in sorted(there & set(files)):
        header = _header(bundle.folder / path)
        yield _equal(
            path,
            "the certificates are about this network and this set",
            (header["network_sha256"], header["perturbation"]),
            (bundle.evidence.identity.network_sha256, files[path].perturbation),
        )
        row = told.get(header["perturbation"])
        words = "the evidence tells what the certificates come to"
        yield _equal(path, words, _tally(header["tally"]), _counts(row))


def _tally(tally: Any) -> list[Any]:
    return [tally[name] for name in _OUTCOMES]


def _counts(row: PerturbationCertificates | None) -> list[Any]:
    return [getattr(row.outcomes, name) for name in _OUTCOMES] if row else []


def _header(path: Path) -> Any:
    """Return what a file of certificates says of itself, without unpacking the rest."""
    with zipfile.ZipFile(path) as archive, archive.open("header.npy") as stream:
        content = stream.read(_LARGEST_HEADER)
    array = np.load(io.BytesIO(content), allow_pickle=False)
    return json.loads(array.tobytes())


def _derived(bundle: Opened, path: str, words: str, holds: bool) -> Link:
    """Tell of what this code makes of the evidence: other code may make something else of it."""
    if not holds and bundle.made_by_other_code:
        why = f"whether {words} cannot be said: {bundle.made_by_other_code}"
        return Link(path, left_out=why, unconfirmed=True)
    return _told(path, words, holds)


def _equal(path: str, words: str, found: object, expected: object) -> Link:
    return _told(path, words, found == expected)


def _told(path: str, words: str, holds: bool) -> Link:
    return Link(path, words) if holds else Link(path, problem=f"it does not hold that {words}")


# What is compared: the file that is named where it cannot be read, what is read (all below a path
# that ends in a slash), and how.
LINKS: Sequence[tuple[str, Sequence[str], Callable[[Opened], Iterator[Link]]]] = (
    (MANIFEST_NAME, (), _needed),
    (EVIDENCE, (EVIDENCE, IMAGE), _identity),
    (NETWORK, (EVIDENCE, NETWORK, *_FIRMWARE), _network),
    (TFLITE, (NETWORK, TFLITE), _tflite),
    (ONNX, (NETWORK, ONNX), _onnx),
    (CONFIG, (EVIDENCE, CONFIG), _config),
    (EVIDENCE, (EVIDENCE, CONFIG), _requirements),
    (REPORT, (EVIDENCE, REPORT), _report),
    (PAPER, (EVIDENCE, PAPER), _paper),
    ("sbom/", (EVIDENCE, "sbom/", *_FIRMWARE, IMAGE), _sboms),
    (PROVENANCE, (EVIDENCE, PROVENANCE), _provenance),
    (CERTIFICATES, (EVIDENCE, CERTIFICATES), _certificates),
)
