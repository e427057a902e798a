"""The Python side as CycloneDX: what trained, proved and wrote the result."""

from __future__ import annotations

from typing import Any

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from packageurl import PackageURL

from edgeprune.evidence.evidence import Evidence
from edgeprune.evidence.sbom.distributions import Closure, Distribution
from edgeprune.evidence.sbom.documents import (
    Document,
    Edit,
    entity,
    finish,
    licences,
    metadata,
    own_component,
    properties,
)

_INTERPRETER = "python"


def python_document(closure: Closure, evidence: Evidence) -> Document:
    """Return the bill of materials of the environment that made a result.

    Args:
        closure: edgeprune and every installed distribution that it stands on.
        evidence: What was found out, and by which interpreter.
    """
    root = own_component()
    root.properties.update(properties({"not-installed": ", ".join(closure.missing) or "nothing"}))
    interpreter = Component(
        type=ComponentType.PLATFORM,
        bom_ref=_INTERPRETER,
        name="CPython",
        version=evidence.versions.python,
        supplier=entity("Python Software Foundation"),
        licenses=licences("PSF-2.0"),
    )
    others = {each.name: _component(each) for each in closure.others}
    bom = Bom(metadata=metadata(evidence, root), components=[interpreter, *others.values()])
    bom.register_dependency(
        root, [interpreter, *(others[name] for name in closure.root.requires if name in others)]
    )
    for each in closure.others:
        needs = [others[name] for name in each.requires if name in others]
        bom.register_dependency(others[each.name], needs)
    return finish(bom, evidence, [_completeness(closure)])


def _component(distribution: Distribution) -> Component:
    component = Component(
        type=ComponentType.LIBRARY,
        bom_ref=f"pypi:{distribution.name}",
        name=distribution.name,
        version=distribution.version,
        scope=ComponentScope.OPTIONAL if distribution.optional else ComponentScope.REQUIRED,
        supplier=entity(distribution.publisher),
        licenses=licences(distribution.licence),
        purl=PackageURL("pypi", name=distribution.name, version=distribution.version),
    )
    if not distribution.licence:
        component.properties.update(properties({"licence": None}))
    if not distribution.publisher:
        component.properties.update(properties({"supplier": None}))
    if distribution.record_sha256:
        component.properties.add(
            Property(name="edgeprune:record:sha256", value=distribution.record_sha256)
        )
    return component


def _completeness(closure: Closure) -> Edit:
    """Say that the list is whole, and that wheels may hold what their metadata do not name."""

    def add(document: dict[str, Any]) -> None:
        document["compositions"] = [
            {
                "aggregate": "incomplete" if closure.missing else "complete",
                "dependencies": [document["metadata"]["component"]["bom-ref"]],
            },
            {
                "aggregate": "unknown",
                "assemblies": sorted(each["bom-ref"] for each in document["components"]),
            },
        ]

    return add
