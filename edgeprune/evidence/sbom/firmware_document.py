"""The firmware as CycloneDX: what is in the device, and what made it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cyclonedx.model import ExternalReference, ExternalReferenceType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType

from edgeprune import __version__
from edgeprune.evidence.evidence import Evidence
from edgeprune.evidence.sbom.documents import (
    Document,
    entity,
    finish,
    licences,
    metadata,
    own_component,
    properties,
    sha256_of,
)
from edgeprune.evidence.sbom.inventory import FileRole, Firmware, FirmwareFile, Tool
from edgeprune.evidence.soup import SoupItem

FIRMWARE = "firmware"
GENERATED = "generated-sources"
RUNTIME = "edgeprune-runtime"
NETWORK = "network"


def firmware_document(firmware: Firmware, evidence: Evidence, model: Document) -> Document:
    """Return the bill of materials of a firmware.

    Args:
        firmware: What it consists of.
        evidence: What was found out about it.
        model: The bill of materials of its network, which this one links to.
    """
    root = _root(firmware, evidence)
    parts = [_generated(firmware), _runtime(firmware), *_network(firmware, evidence, model)]
    parts += [_of_others(number, item) for number, item in enumerate(firmware.of_others)]
    # The compiler is no part of what is delivered: its scope says so.
    tools = [_tool(firmware.toolchain)] if firmware.toolchain else []
    bom = Bom(metadata=metadata(evidence, root), components=[*parts, *tools])
    bom.register_dependency(root, parts)
    for part in (*parts, *tools):
        bom.register_dependency(part)
    return finish(bom, evidence, [_say_what_is_complete])


def _root(firmware: Firmware, evidence: Evidence) -> Component:
    identity = evidence.identity
    return Component(
        type=ComponentType.FIRMWARE,
        bom_ref=FIRMWARE,
        name=firmware.name,
        version=firmware.version,
        supplier=entity(firmware.manufacturer),
        manufacturer=entity(firmware.manufacturer),
        hashes=sha256_of(firmware.image_sha256),
        properties=properties(
            {
                "supplier": firmware.manufacturer,
                "support:level": firmware.support_level,
                "support:end": firmware.end_of_support,
                "support:contact": firmware.contact,
                "target": identity.target,
                "trained-on": identity.dataset,
                "network:sha256": identity.network_sha256,
                "licence-of-the-whole": None,
                "flags": evidence.device.firmware.flags
                if evidence.device and evidence.device.firmware
                else None,
            }
        ),
    )


def _generated(firmware: Firmware) -> Component:
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=GENERATED,
        name="generated sources",
        version=firmware.version,
        description="C99 and assembly that edgeprune wrote for this network, and what builds them.",
        supplier=entity(firmware.manufacturer),
        properties=properties({"licence": None, "licence-header": "none"}),
        components=[
            _file(file)
            for file in firmware.of_role(FileRole.GENERATED, FileRole.OTHER, FileRole.BINARY)
        ],
    )


def _runtime(firmware: Firmware) -> Component:
    component = own_component(ComponentType.LIBRARY)
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=RUNTIME,
        name="edgeprune runtime",
        version=__version__,
        description="Kernels that edgeprune copies beside the generated sources.",
        supplier=entity("edgeprune"),
        licenses=component.licenses,
        purl=component.purl,
        components=[_file(file) for file in firmware.of_role(FileRole.RUNTIME)],
    )


def _network(firmware: Firmware, evidence: Evidence, model: Document) -> Iterator[Component]:
    for file in firmware.of_role(FileRole.MODEL):
        yield Component(
            type=ComponentType.MACHINE_LEARNING_MODEL,
            bom_ref=NETWORK,
            name=evidence.classifier.name if evidence.classifier else NETWORK,
            version=evidence.identity.network_sha256[:16],
            description="The integer network whose numbers the generated sources hold.",
            supplier=entity(firmware.manufacturer),
            hashes=sha256_of(file.sha256),
            external_references=[
                ExternalReference(
                    type=ExternalReferenceType.BOM,
                    url=model.link(NETWORK),
                    hashes=sha256_of(model.sha256),
                )
            ],
            properties=[Property(name="edgeprune:path", value=file.path)],
        )


def _file(file: FirmwareFile) -> Component:
    return Component(
        type=ComponentType.FILE,
        bom_ref=f"file:{file.path}",
        name=file.path,
        # A file's content is its version: it has no other.
        version=file.sha256[:16],
        hashes=sha256_of(file.sha256),
        licenses=licences(file.licence, concluded=True),
        properties=[Property(name="edgeprune:role", value=file.role.value)],
    )


def _of_others(number: int, item: SoupItem) -> Component:
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=f"of-others:{number}",
        name=item.title,
        version=item.version,
        description=item.purpose,
        supplier=entity(item.manufacturer),
        licenses=licences(item.licence if item.licence != "unknown" else ""),
        properties=properties({"anomaly-list": item.anomaly_list}),
    )


def _tool(tool: Tool) -> Component:
    return Component(
        type=ComponentType.APPLICATION,
        bom_ref="toolchain",
        name=tool.name,
        version=tool.version,
        description="Compiled and linked the test image.",
        scope=ComponentScope.EXCLUDED,
        licenses=licences(tool.licence),
        properties=[Property(name="edgeprune:role", value="build tool")],
    )


def _say_what_is_complete(document: dict[str, Any]) -> None:
    """Say that nothing is left out of the library, and that the device holds more than it."""
    document["compositions"] = [
        {"aggregate": "complete", "assemblies": [GENERATED, RUNTIME]},
        # Start-up code, drivers and application come from whoever makes the device.
        {"aggregate": "incomplete", "assemblies": [FIRMWARE]},
    ]
