"""What the CycloneDX documents have in common: identifiers, licences, and their bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalContact, OrganizationalEntity
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseAcknowledgement
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from edgeprune import __version__
from edgeprune.errors import DataError
from edgeprune.evidence.evidence import Evidence
from edgeprune.evidence.sbom.inventory import NOT_STATED, OWN_LICENCE, product_field
from edgeprune.files import sha256_bytes

_NAMESPACE = uuid5(NAMESPACE_URL, "edgeprune:bill-of-materials")
Edit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Document:
    """A finished bill of materials.

    Attributes:
        serial: Its serial number.
        content: The bytes of its file.
    """

    serial: UUID
    content: bytes

    @property
    def sha256(self) -> str:
        """Hash of its file."""
        return sha256_bytes(self.content)

    def link(self, reference: str) -> XsUri:
        """Return the BOM-Link of one of its components."""
        return XsUri.make_bom_link(self.serial, 1, reference)


def stated(text: str | None) -> str:
    """Return a text, or the words that stand where there is none."""
    return text or NOT_STATED


def properties(pairs: Mapping[str, str | None]) -> tuple[Property, ...]:
    """Return named values of our own; absent ones say that nobody stated them."""
    return tuple(
        Property(name=f"edgeprune:{name}", value=stated(each)) for name, each in pairs.items()
    )


def sha256_of(value: str | None) -> tuple[HashType, ...]:
    """Return a SHA-256 as CycloneDX has it; nothing where there is none."""
    return (HashType(alg=HashAlgorithm.SHA_256, content=value),) if value else ()


def licences(text: str, *, concluded: bool = False) -> tuple[License, ...]:
    """Return a licence: an SPDX identifier or expression where it is one, else a name."""
    if not text:
        return ()
    kind = LicenseAcknowledgement.CONCLUDED if concluded else LicenseAcknowledgement.DECLARED
    return (LicenseFactory().make_from_string(text, license_acknowledgement=kind),)


def named_licence(text: str) -> tuple[License, ...]:
    """Return the terms of something that is no software, in their publisher's words."""
    return (DisjunctiveLicense(name=text),) if text else ()


def entity(name: str) -> OrganizationalEntity | None:
    """Return who answers for something; nothing where nobody is named."""
    return OrganizationalEntity(name=name) if name else None


def own_component(kind: ComponentType = ComponentType.APPLICATION) -> Component:
    """Return edgeprune as a component."""
    return Component(
        type=kind,
        bom_ref="edgeprune",
        name="edgeprune",
        version=__version__,
        licenses=licences(OWN_LICENCE),
        purl=PackageURL("pypi", name="edgeprune", version=__version__),
    )


def metadata(evidence: Evidence, component: Component) -> BomMetaData:
    """Return who made a bill of materials of what, when in its life, and with which tool."""
    manufacturer = product_field(evidence.product, "manufacturer")
    return BomMetaData(
        component=component,
        manufacturer=entity(manufacturer),
        supplier=entity(manufacturer),
        authors=[OrganizationalContact(name=manufacturer)] if manufacturer else (),
        tools=ToolRepository(
            components=[
                Component(type=ComponentType.APPLICATION, name="edgeprune", version=__version__)
            ]
        ),
        lifecycles=[PredefinedLifecycle(phase=LifecyclePhase.BUILD)],
        properties=properties(
            {
                "author": manufacturer,
                "synthetic-data": str(evidence.identity.synthetic).lower(),
            }
        ),
        timestamp=_date(evidence) or datetime.fromtimestamp(0, tz=UTC),
    )


def finish(bom: Bom, evidence: Evidence, edits: Iterable[Edit] = ()) -> Document:
    """Return a document's bytes: the same for the same content, whenever it is written.

    The serial number follows from the content. A date is in it only where SOURCE_DATE_EPOCH fixed
    one.

    Args:
        bom: The document.
        evidence: What it is about.
        edits: What the library cannot express, done to the finished JSON.
    """
    written = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string()
    value: dict[str, Any] = json.loads(written)
    del value["serialNumber"]
    if _date(evidence) is None:
        del value["metadata"]["timestamp"]
    for edit in edits:
        edit(value)
    serial = uuid5(_NAMESPACE, sha256_bytes(json_bytes(value)))
    return Document(serial, json_bytes({**value, "serialNumber": serial.urn}))


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """Return JSON with sorted keys."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _date(evidence: Evidence) -> datetime | None:
    date = evidence.identity.date
    if not date:
        return None
    try:
        found = datetime.fromisoformat(date)
    except ValueError as error:
        raise DataError(
            f"'{date:.40}' is no date of ISO 8601",
            where="evidence.json: identity.date",
            hint="it was altered: take the bundle from where it was made",
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
