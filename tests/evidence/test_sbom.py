"""Bills of materials, held against other people's validators and against the files themselves."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from spdx_tools.spdx.parser.error import SPDXParsingError
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from edgeprune.errors import DataError
from edgeprune.evidence import (
    Evidence,
    Identity,
    ProductEvidence,
    ProductField,
    Reproduction,
    SoupItem,
    SoupKind,
    Versions,
)
from edgeprune.evidence.sbom import (
    FIRMWARE_CYCLONEDX,
    FIRMWARE_SPDX,
    MODEL_CYCLONEDX,
    PYTHON_CYCLONEDX,
    SBOM_ROLES,
    sbom_contents,
    write_sboms,
)
from edgeprune.evidence.sbom.distributions import closure_or_root, installed_closure
from edgeprune.evidence.sbom.inventory import OWN_LICENCE
from edgeprune.firmware import Labels, generate
from edgeprune.resources import resource_folder
from edgeprune.targets import load_target
from tests.evidence.example import example_evidence
from tests.firmware.networks import r1

CYCLONEDX = (FIRMWARE_CYCLONEDX, PYTHON_CYCLONEDX, MODEL_CYCLONEDX)
PRODUCT = {
    "name": "Pulse Sentinel",
    "manufacturer": "Example Devices (Ltd)",
    "version": "2.1",
    "users": "nurses",
    "support_level": "actively maintained",
    "end_of_support": "2036-12-31",
}


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """The invented evidence, with routines of a compiler in the device."""
    item = SoupItem(
        *("arm-none-eabi-gcc", "13.2", "unknown", "unknown", SoupKind.TOOLCHAIN, "divides"),
        in_device=True,
    )
    return replace(example_evidence(synthetic=True), soup=(item,))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, evidence: Evidence) -> Path:
    """A generated firmware beside its network, and the bills of materials over both."""
    folder = tmp_path_factory.mktemp("bundle")
    network = r1()
    names = tuple(f"class {index}" for index in range(network.output_tensor.size))
    labels = Labels("test network", names, "nothing", synthetic=True)
    generate(network, None, load_target("cortex-m4"), labels, folder / "firmware")
    network.save(folder / "network.safetensors")
    (folder / "firmware.elf").write_bytes(b"\x7fELF")
    write_sboms(folder, evidence)
    return folder


def _read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def _flat(components: list[Any]) -> Iterator[Any]:
    for component in components:
        yield component
        yield from _flat(component.get("components", []))


def _properties(component: Any) -> dict[str, str]:
    return {each["name"]: each["value"] for each in component.get("properties", [])}


def _spdx_faults(content: Any) -> list[str]:
    document = JsonLikeDictParser().parse(content)
    return [each.validation_message for each in validate_full_spdx_document(document)]


@pytest.mark.parametrize("name", CYCLONEDX)
def test_cyclonedx_by_the_strict_schema(bundle: Path, name: str) -> None:
    text = (bundle / name).read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    assert document["specVersion"] == "1.6"
    assert "timestamp" not in document["metadata"]
    references = [each["bom-ref"] for each in _flat(document["components"])]
    references.append(document["metadata"]["component"]["bom-ref"])
    assert len(set(references)) == len(references)
    for row in document["dependencies"]:
        assert {row["ref"], *row.get("dependsOn", [])} <= set(references)


def test_spdx_by_its_own_validator(bundle: Path) -> None:
    document = _read(bundle, FIRMWARE_SPDX)
    assert _spdx_faults(document) == []
    document["packages"][1]["supplier"] = "nobody"
    with pytest.raises(SPDXParsingError, match="nobody"):
        _spdx_faults(document)


def test_every_file_of_the_firmware_is_there_with_its_hash(bundle: Path) -> None:
    hashes = {
        path.relative_to(bundle).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (bundle / "firmware").rglob("*")
        if path.is_file()
    }
    assert any(name.endswith(".S") for name in hashes)
    components = list(_flat(_read(bundle, FIRMWARE_CYCLONEDX)["components"]))
    listed = {each["name"]: each for each in components if each["type"] == "file"}
    found = {name: each["hashes"][0]["content"] for name, each in listed.items()}
    assert found.pop("firmware.elf") == hashlib.sha256(b"\x7fELF").hexdigest()
    assert found == hashes
    spdx = {
        file["fileName"].removeprefix("./"): {
            each["algorithm"]: each["checksumValue"] for each in file["checksums"]
        }
        for file in _read(bundle, FIRMWARE_SPDX)["files"]
    }
    for name in spdx:
        content = (bundle / name).read_bytes()
        assert spdx[name]["SHA256"] == hashlib.sha256(content).hexdigest()
        assert spdx[name]["SHA1"] == hashlib.sha1(content).hexdigest()
    assert set(hashes) | {"firmware.elf", "network.safetensors"} == set(spdx)
    for name, component in listed.items():
        of_edgeprune = name.startswith("firmware/runtime/")
        assert _properties(component)["edgeprune:role"] == (
            "runtime source"
            if of_edgeprune
            else "binary"
            if name.endswith(".elf")
            else "generated source"
            if name.endswith((".c", ".h", ".S"))
            else "other file"
        )
        assert ("licenses" in component) == of_edgeprune


def test_no_generated_file_has_a_licence_header(bundle: Path) -> None:
    for path in (bundle / "firmware").rglob("*.[chS]"):
        assert "SPDX-License-Identifier" not in path.read_text(encoding="utf-8")
    first = (Path(__file__).parents[2] / "LICENSE").read_text(encoding="utf-8").split()[:4]
    assert first == ["Apache", "License", "Version", "2.0,"]
    assert OWN_LICENCE == "Apache-2.0"
    assert resource_folder("firmware_export").is_dir()


def test_tool_and_routines_are_told_apart(bundle: Path) -> None:
    components = _read(bundle, FIRMWARE_CYCLONEDX)["components"]
    tool = next(each for each in components if each["bom-ref"] == "toolchain")
    assert tool["scope"] == "excluded"
    assert _properties(tool)["edgeprune:role"] == "build tool"
    routines = next(each for each in components if each["name"].startswith("support routines"))
    assert routines["licenses"][0]["expression"] == "GPL-3.0-or-later WITH GCC-exception-3.1"
    dependencies = _read(bundle, FIRMWARE_CYCLONEDX)["dependencies"]
    of_firmware = next(row["dependsOn"] for row in dependencies if row["ref"] == "firmware")
    assert routines["bom-ref"] in of_firmware
    assert "toolchain" not in of_firmware


def test_what_nobody_stated_says_so(bundle: Path) -> None:
    document = _read(bundle, FIRMWARE_CYCLONEDX)
    stated = _properties(document["metadata"]["component"])
    for name in ("supplier", "support:level", "support:end", "support:contact"):
        assert stated[f"edgeprune:{name}"] == "not stated"
    assert "supplier" not in document["metadata"]
    whole, *_ = _read(bundle, FIRMWARE_SPDX)["packages"]
    assert whole["supplier"] == "NOASSERTION"
    assert "support level: not stated" in whole["comment"]
    card = _read(bundle, MODEL_CYCLONEDX)["metadata"]["component"]["modelCard"]
    assert card["considerations"]["users"] == ["not stated"]
    assert card["considerations"]["ethicalConsiderations"] == [{"name": "not stated"}]


def test_what_the_team_states_is_there(bundle: Path, evidence: Evidence, tmp_path: Path) -> None:
    fields = tuple(ProductField(f"product.{key}", key, text) for key, text in PRODUCT.items())
    dated = replace(evidence.identity, date="2026-01-02T03:04:05Z")
    told = replace(evidence, product=ProductEvidence(fields, ()), identity=dated)
    write_sboms(tmp_path, told)
    document = _read(tmp_path, FIRMWARE_CYCLONEDX)
    component = document["metadata"]["component"]
    assert (component["name"], component["version"]) == ("Pulse Sentinel", "2.1")
    assert component["supplier"]["name"] == PRODUCT["manufacturer"]
    assert document["metadata"]["authors"] == [{"name": PRODUCT["manufacturer"]}]
    assert _properties(component)["edgeprune:support:end"] == "2036-12-31"
    assert document["metadata"]["timestamp"].startswith("2026-01-02T03:04:05")
    card = _read(tmp_path, MODEL_CYCLONEDX)["metadata"]["component"]["modelCard"]
    assert card["considerations"]["users"] == ["nurses"]
    spdx = _read(tmp_path, FIRMWARE_SPDX)
    assert _spdx_faults(spdx) == []
    assert spdx["creationInfo"]["created"] == "2026-01-02T03:04:05Z"
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for name in CYCLONEDX:
        assert validator.validate_str((tmp_path / name).read_text(encoding="utf-8")) is None


@pytest.mark.parametrize(
    "text", ['a (b) <c@d> & "e"\nf', "\u0007\u2028\U0001f9e0", "   ", "x" * 9000]
)
def test_any_words_and_the_least_evidence_are_written(text: str, tmp_path: Path) -> None:
    fields = tuple(ProductField(f"product.{key}", key, text) for key in (*PRODUCT, "contact"))
    item = SoupItem(text, text, text, text, SoupKind.DEVICE, text, in_device=True)
    least = Evidence(
        identity=Identity("0", 1, "host", "", text, text, False, "0" * 64),
        versions=Versions("3.11", ()),
        reproduction=Reproduction(()),
        product=ProductEvidence(fields, ()),
        soup=(item,),
    )
    contents = sbom_contents(tmp_path, least)
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for name in (FIRMWARE_CYCLONEDX, MODEL_CYCLONEDX):
        assert validator.validate_str(contents[name].decode()) is None
    assert _spdx_faults(json.loads(contents[FIRMWARE_SPDX])) == []


def test_a_date_that_is_none_is_refused(tmp_path: Path, evidence: Evidence) -> None:
    altered = replace(evidence, identity=replace(evidence.identity, date="yesterday"))
    with pytest.raises(DataError, match="no date"):
        sbom_contents(tmp_path, altered)


def test_the_model_card_has_the_figures_of_the_evidence(bundle: Path, evidence: Evidence) -> None:
    card = _read(bundle, MODEL_CYCLONEDX)["metadata"]["component"]["modelCard"]
    metrics = card["quantitativeAnalysis"]["performanceMetrics"]
    found = {(each["type"], each["slice"]): each for each in metrics}
    assert len(found) == len(metrics)
    flashed = evidence.performance[-1]
    for row in flashed.scores.classes:
        counted = f" (n = {row.sensitivity.n} {row.sensitivity.n_of})"
        metric = found["sensitivity", f"test, {flashed.stage}, class {row.name}{counted}"]
        if row.sensitivity.value is None:
            assert metric["value"] == "undefined"
            continue
        assert float(metric["value"]) == row.sensitivity.value
        interval = row.sensitivity.interval
        if interval is not None:
            reach = metric["confidenceInterval"]
            assert (float(reach["lowerBound"]), float(reach["upperBound"])) == (
                interval.low,
                interval.high,
            )
    assert any("linf:20uV" in each["type"] for each in metrics)
    (data,) = _read(bundle, MODEL_CYCLONEDX)["components"]
    assert evidence.data is not None
    assert data["licenses"] == [{"license": {"name": evidence.data.licence}}]
    stated = _properties(data["data"][0]["contents"])
    assert stated["edgeprune:origin"] == evidence.data.origin
    assert stated["edgeprune:synthetic"] == "true"
    assert set(evidence.limits) <= set(card["considerations"]["technicalLimitations"])


def test_the_firmware_links_to_the_model_as_it_is_written(bundle: Path) -> None:
    content = (bundle / MODEL_CYCLONEDX).read_bytes()
    serial = json.loads(content)["serialNumber"].removeprefix("urn:uuid:")
    components = _read(bundle, FIRMWARE_CYCLONEDX)["components"]
    network = next(each for each in components if each["type"] == "machine-learning-model")
    (link,) = network["externalReferences"]
    assert link["url"] == f"urn:cdx:{serial}/1#network"
    assert link["hashes"][0]["content"] == hashlib.sha256(content).hexdigest()


def test_same_bundle_same_bytes_another_file_another_serial(
    bundle: Path, evidence: Evidence, tmp_path: Path
) -> None:
    (tmp_path / "firmware").mkdir()
    (tmp_path / "firmware" / "x.c").write_bytes(b"int x;")
    write_sboms(tmp_path, evidence)
    first = {name: (tmp_path / name).read_bytes() for name in SBOM_ROLES}
    assert first[PYTHON_CYCLONEDX] == (bundle / PYTHON_CYCLONEDX).read_bytes()
    write_sboms(tmp_path, evidence)
    assert first == {name: (tmp_path / name).read_bytes() for name in SBOM_ROLES}
    (tmp_path / "firmware" / "x.c").write_bytes(b"int y;")
    write_sboms(tmp_path, evidence)
    changed = json.loads(first[FIRMWARE_CYCLONEDX])["serialNumber"]
    assert _read(tmp_path, FIRMWARE_CYCLONEDX)["serialNumber"] != changed
    assert sorted(path.name for path in (tmp_path / "sbom").iterdir()) == sorted(
        name.rpartition("/")[2] for name in SBOM_ROLES
    )


def _closure() -> set[str]:
    """Return what edgeprune needs here, found out a second time and in another way."""
    installed = {canonicalize_name(each.name): each for each in importlib.metadata.distributions()}
    asked = {"edgeprune": {"", *installed["edgeprune"].metadata.get_all("Provides-Extra", [])}}
    before: dict[str, set[str]] = {}
    while before != asked:
        fresh = [name for name in asked if before.get(name) != asked[name] and name in installed]
        before = {name: set(extras) for name, extras in asked.items()}
        for name in fresh:
            for requirement in map(Requirement, installed[name].requires or []):
                marker = requirement.marker
                if marker is None or any(marker.evaluate({"extra": e}) for e in asked[name]):
                    other = canonicalize_name(requirement.name)
                    asked[other] = asked.get(other, set()) | {"", *requirement.extras}
    return set(asked) & set(installed)


def test_every_python_distribution_is_there(bundle: Path) -> None:
    document = _read(bundle, PYTHON_CYCLONEDX)
    libraries = {each["name"]: each for each in document["components"] if "purl" in each}
    assert set(libraries) == _closure() - {"edgeprune"}
    for name, each in libraries.items():
        version = importlib.metadata.version(name)
        assert each["version"] == version
        assert each["purl"] == f"pkg:pypi/{name}@{version.replace('+', '%2B')}"
        expression = importlib.metadata.metadata(name).get("License-Expression")
        if expression:
            (licence,) = each["licenses"]
            assert expression in (licence.get("expression"), licence.get("license", {}).get("id"))
    scopes = {name: each["scope"] for name, each in libraries.items()}
    assert (scopes["torch"], scopes["pytest"]) == ("required", "optional")
    graph = {row["ref"]: row.get("dependsOn", []) for row in document["dependencies"]}
    assert "pypi:numpy" in graph["pypi:scipy"]
    assert {"python", "pypi:torch"} <= set(graph["edgeprune"])


def test_a_requirement_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = importlib.metadata.distribution

    def without(name: str) -> importlib.metadata.Distribution:
        if name == "wfdb":
            raise importlib.metadata.PackageNotFoundError(name)
        return whole(name)

    monkeypatch.setattr("edgeprune.evidence.sbom.distributions.distribution", without)
    # It looks things up once a process; this is about the looking up.
    closure = installed_closure.__wrapped__()
    assert closure.missing == ("wfdb",)
    assert "wfdb" not in [each.name for each in closure.others]

    def nothing() -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr("edgeprune.evidence.sbom.distributions.installed_closure", nothing)
    assert closure_or_root().missing[0].startswith("edgeprune")
