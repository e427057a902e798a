"""The files of a bundle: which stage makes each, what each is for, and the manifest over them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from edgeprune.evidence import Evidence
from edgeprune.evidence.manifest import (
    MANIFEST_NAME,
    SIGNATURE_NAME,
    Manifest,
    StageInput,
    StageRecord,
    describe_files,
    write_manifest,
)
from edgeprune.evidence.sbom import SBOM_ROLES
from edgeprune.files import sha256_file
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.deploy import FIRMWARE, IMAGE, LINUX, ONNX, PACKAGE, TFLITE
from edgeprune.pipeline.disturb import DISTURBED
from edgeprune.pipeline.learn import (
    CLASSIFIER,
    FLOAT_ONNX,
    HISTORY,
    HISTORY_ARRAYS,
    NETWORK,
    QDQ_ONNX,
)
from edgeprune.pipeline.prove import COUNTEREXAMPLES, FILES
from edgeprune.pipeline.provenance import write_provenance
from edgeprune.pipeline.recipe import CONFIG, INPUTS, POLICY, RECORD, RECORD_ROOMS, SWEEP
from edgeprune.pipeline.replays import TURNED_INPUTS
from edgeprune.pipeline.store import Stage, stage_inputs

EVIDENCE = "evidence.json"
REPORT = "report.html"
PAPER = "report.pdf"
PROVENANCE = "provenance.intoto.json"
SHOWN = "replays"
COMMAND = f"edgeprune build --config {CONFIG}"
_COPIED: Mapping[str, Mapping[str, str]] = {
    "prune": {
        CLASSIFIER: CLASSIFIER,
        HISTORY: f"pruning-{HISTORY}",
        HISTORY_ARRAYS: f"pruning-{HISTORY_ARRAYS}",
    },
    "quantize": {FLOAT_ONNX: FLOAT_ONNX, QDQ_ONNX: QDQ_ONNX, NETWORK: NETWORK},
    "export": {TFLITE: TFLITE, ONNX: ONNX},
    "verify": {FILES: FILES, COUNTEREXAMPLES: f"{SHOWN}/{COUNTEREXAMPLES}"},
    "disturb": {DISTURBED: f"{SHOWN}/{DISTURBED}"},
    "replay": {TURNED_INPUTS: f"{SHOWN}/{TURNED_INPUTS}"},
    "firmware": {FIRMWARE: FIRMWARE, PACKAGE: PACKAGE, LINUX: LINUX, IMAGE: IMAGE},
}
_ROLES = {
    CONFIG: "configuration as resolved",
    EVIDENCE: "evidence",
    REPORT: "report",
    PAPER: "report on paper, made of report.html",
    PROVENANCE: "provenance: what was made of what, and by which program",
    TFLITE: "the network for TFLite, int8 in and out",
    ONNX: "the network for ONNX runtimes, QDQ",
    NETWORK: "the integer network: certified and flashed",
    CLASSIFIER: "the float classifier after pruning",
    FLOAT_ONNX: "the float classifier as ONNX",
    QDQ_ONNX: "the QDQ graph as the quantizer made it",
    f"pruning-{HISTORY}": "the edits that replay the pruning",
    f"pruning-{HISTORY_ARRAYS}": "arrays of the pruning history",
    f"{FIRMWARE}/": "C99 library",
    f"{PACKAGE}/": "C99 library as a package with an example",
    f"{LINUX}/": "static library, headers, command and its README for Arm Linux",
    IMAGE: "linked test image",
    SWEEP: "the sweep that the settings come from",
    f"{FILES}/": "certificates, for `edgeprune verify check`",
    f"{SHOWN}/": "windows that turn decisions or are disturbed, for `edgeprune check`",
    POLICY: "what a change may cost, for `edgeprune compare`",
    **SBOM_ROLES,
    f"{INPUTS}/": "what the configuration names: own cards, targets, models, weights",
}


def copy_files(stages: Mapping[str, Stage], folder: Path) -> None:
    """Copy what the stages made into a bundle."""
    for name, files in _COPIED.items():
        for source, target in files.items():
            path = stages[name].folder / source if name in stages else None
            if path is None or not path.exists():
                continue
            (folder / target).parent.mkdir(exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, folder / target)
            else:
                # With its mode: the image for Linux is a program.
                shutil.copy(path, folder / target)


def seal(
    folder: Path, context: Context, stages: Mapping[str, Stage], evidence: Evidence
) -> Manifest:
    """Write provenance and manifest of a bundle that is otherwise finished.

    Args:
        folder: The bundle.
        context: The build.
        stages: Its stages.
        evidence: What was found out.

    Raises:
        DataError: A file has no role, or a name that not every system can store.
        DiskError: No space or no permission.
    """
    _remove_empty_folders(folder)
    made_by = {**dict.fromkeys(_ROLES, RECORD), **_makers()}
    files = describe_files(folder, _ROLES, made_by)
    write_provenance(folder / PROVENANCE, context, stages["data"], evidence, files, COMMAND)
    files = describe_files(folder, _ROLES, made_by)
    return write_manifest(folder, files, _records(folder, stages), COMMAND)


def keep_signature(earlier: Path, folder: Path) -> bool:
    """Take over the signature of an earlier bundle if it is of the very same manifest.

    Args:
        earlier: The bundle that is about to be replaced.
        folder: The bundle that replaces it.

    Returns:
        Whether no signature is lost.
    """
    signature = earlier / SIGNATURE_NAME
    if not signature.is_file():
        return True
    before = earlier / MANIFEST_NAME
    if not before.is_file() or before.read_bytes() != (folder / MANIFEST_NAME).read_bytes():
        return False
    shutil.copyfile(signature, folder / SIGNATURE_NAME)
    return True


def _makers() -> dict[str, str]:
    return {
        path: stage
        for stage, files in _COPIED.items()
        for target in files.values()
        for path in (target, f"{target}/")
    }


def _records(folder: Path, stages: Mapping[str, Stage]) -> tuple[StageRecord, ...]:
    last = (
        ("config", sha256_file(folder / CONFIG)),
        *stage_inputs(tuple(stages.values()), {}, RECORD_ROOMS),
    )
    inputs = {name: stage.inputs for name, stage in stages.items()} | {RECORD: last}
    return tuple(
        StageRecord(name, tuple(StageInput(*each) for each in read))
        for name, read in inputs.items()
    )


def _remove_empty_folders(folder: Path) -> None:
    for name, _, _ in os.walk(folder, topdown=False):
        if Path(name) != folder and not any(Path(name).iterdir()):
            Path(name).rmdir()
