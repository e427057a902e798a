"""Bills of materials of a result directory: its firmware, its Python side, its network."""

from __future__ import annotations

from pathlib import Path

from edgeprune.evidence.evidence import Evidence
from edgeprune.files import write_bytes

FOLDER = "sbom"
FIRMWARE_CYCLONEDX = f"{FOLDER}/firmware.cdx.json"
FIRMWARE_SPDX = f"{FOLDER}/firmware.spdx.json"
PYTHON_CYCLONEDX = f"{FOLDER}/python.cdx.json"
MODEL_CYCLONEDX = f"{FOLDER}/model.cdx.json"
SBOM_ROLES = {
    FIRMWARE_CYCLONEDX: "bill of materials of the firmware, CycloneDX 1.6",
    FIRMWARE_SPDX: "bill of materials of the firmware, SPDX 2.3",
    PYTHON_CYCLONEDX: "bill of materials of the Python side, CycloneDX 1.6",
    MODEL_CYCLONEDX: "bill of materials and model card of the network, CycloneDX 1.6",
}


def write_sboms(folder: Path, evidence: Evidence) -> None:
    """Write the four bills of materials of a result directory into its folder `sbom`.

    Args:
        folder: The result directory; all of its firmware is written.
        evidence: What was found out.

    Raises:
        DiskError: No space or no permission.
    """
    for name, content in sbom_contents(folder, evidence).items():
        write_bytes(folder / name, content)


def sbom_contents(folder: Path, evidence: Evidence) -> dict[str, bytes]:
    """Return the four bills of materials by path.

    Their bytes follow from the files, the evidence and the installed distributions alone.
    """
    # The library that writes them is loaded where a build ends, not with every verb.
    from edgeprune.evidence.sbom.distributions import closure_or_root
    from edgeprune.evidence.sbom.firmware_document import firmware_document
    from edgeprune.evidence.sbom.inventory import firmware_of
    from edgeprune.evidence.sbom.model_document import model_document
    from edgeprune.evidence.sbom.python_document import python_document
    from edgeprune.evidence.sbom.spdx_document import spdx_document

    firmware = firmware_of(folder, evidence)
    model = model_document(firmware, evidence)
    return {
        MODEL_CYCLONEDX: model.content,
        FIRMWARE_CYCLONEDX: firmware_document(firmware, evidence, model).content,
        FIRMWARE_SPDX: spdx_document(firmware, evidence),
        PYTHON_CYCLONEDX: python_document(closure_or_root(), evidence).content,
    }
