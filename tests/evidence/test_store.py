"""evidence.json: exact round trip, refusal of what does not fit, schema without drift."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from edgeprune.errors import DataError
from edgeprune.evidence import (
    Evidence,
    Interval,
    Quantity,
    Where,
    evidence_bytes,
    parse_evidence,
    read_evidence,
    schema_bytes,
    write_evidence,
)
from edgeprune.evidence.codec import decode, encode
from edgeprune.evidence.store import SCHEMA_FILE
from tests.evidence.example import minimal_evidence
from tests.evidence.example_regulatory import example_regulatory

VALIDATOR = Draft202012Validator(json.loads(SCHEMA_FILE.read_bytes()))


@pytest.mark.parametrize("evidence", [example_regulatory(), minimal_evidence()])
def test_round_trip_is_exact(evidence: Evidence, tmp_path: Path) -> None:
    write_evidence(tmp_path / "evidence.json", evidence)
    again = read_evidence(tmp_path / "evidence.json")
    assert again == evidence
    assert evidence_bytes(again) == evidence_bytes(evidence)


@given(
    st.one_of(
        st.none(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False)
    ),
    st.text(),
    st.sampled_from(Where),
    st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_quantities_round_trip_with_their_types(
    value: float | None, note: str, where: Where, low: float | None
) -> None:
    interval = None if low is None else Interval(low, low, 0.95, "none", 3)
    quantity = Quantity(value, "1", where, interval=interval, note=note)
    again = decode(Quantity, json.loads(json.dumps(encode(quantity))))
    assert again == quantity
    assert type(again.value) is type(value)


def test_numpy_numbers_are_written_as_numbers() -> None:
    quantity = Quantity(np.float32(0.5), "1", Where.HOST, n=np.int64(3))  # type: ignore[arg-type]
    assert encode(quantity)["value"] == 0.5
    assert type(encode(quantity)["n"]) is int


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.5", True, 1j])
def test_values_of_another_type_are_not_written(value: Any) -> None:
    with pytest.raises(TypeError, match="value"):
        encode(Quantity(value, "1", Where.HOST))


def test_schema_file_is_the_generated_one() -> None:
    """Where this fails and the change is meant, raise SCHEMA_VERSION and write schema_bytes()."""
    assert SCHEMA_FILE.read_bytes() == schema_bytes()


def test_schema_describes_every_field() -> None:
    for name, record in json.loads(schema_bytes())["$defs"].items():
        assert record["description"], name
        for field, description in record["properties"].items():
            assert description["description"], f"{name}.{field}"


def test_schema_accepts_what_is_written() -> None:
    Draft202012Validator.check_schema(json.loads(schema_bytes()))
    for evidence in (example_regulatory(), minimal_evidence()):
        VALIDATOR.validate(json.loads(evidence_bytes(evidence)))


def _shortened(node: Any) -> Any:
    """Return a JSON document with the first item of every list only."""
    if isinstance(node, dict):
        return {key: _shortened(child) for key, child in node.items()}
    if isinstance(node, list):
        return [_shortened(child) for child in node[:1]]
    return node


def _spoiled(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield copies of a document, each with one value of another type or one field too many.

    Records with the same fields are spoiled where they stand first; of the sections that may be
    absent only one is there, to be quick.
    """
    seen: set[tuple[str, ...]] = set()
    bare = json.loads(evidence_bytes(minimal_evidence()))
    always = [name for name in bare if bare[name] not in (None, [])]
    for section in document:
        if section not in always:
            part = {name: document[name] for name in (*always, section)}
            assert VALIDATOR.is_valid(part), section
            yield from _spoiled_part(part, seen)


def _spoiled_part(document: Any, seen: set[tuple[str, ...]]) -> Iterator[tuple[str, Any]]:
    def visit(node: Any, path: list[Any]) -> Iterator[tuple[str, Any]]:
        if isinstance(node, dict):
            if tuple(node) in seen:
                return
            seen.add(tuple(node))
        for key, child in list(node.items() if isinstance(node, dict) else enumerate(node)):
            copied = copy.deepcopy(document)
            parent = copied
            for step in path:
                parent = parent[step]
            parent[key] = {"unexpected": []}
            yield f"{[*path, key]} of another type", copied
            if isinstance(child, dict | list):
                yield from visit(child, [*path, key])
        if isinstance(node, dict):
            copied = copy.deepcopy(document)
            parent = copied
            for step in path:
                parent = parent[step]
            parent["unexpected"] = 1
            yield f"{path} with a field too many", copied

    return visit(document, [])


def test_schema_and_reader_refuse_the_same_documents() -> None:
    document = _shortened(json.loads(evidence_bytes(example_regulatory())))
    assert VALIDATOR.is_valid(document)
    for name, spoiled in _spoiled(document):
        assert not VALIDATOR.is_valid(spoiled), name
        with pytest.raises(DataError):
            parse_evidence(json.dumps(spoiled).encode())


def test_a_missing_section_is_absent_and_a_missing_field_is_an_error() -> None:
    document = json.loads(evidence_bytes(example_regulatory()))
    del document["certificates"]
    assert parse_evidence(json.dumps(document).encode()).certificates is None
    del document["identity"]["seed"]
    with pytest.raises(DataError, match=r"missing field of Identity: seed") as caught:
        parse_evidence(json.dumps(document).encode(), "result/evidence.json")
    assert caught.value.where == "result/evidence.json: identity"


def test_the_place_of_an_altered_value_is_named() -> None:
    document = json.loads(evidence_bytes(example_regulatory()))
    document["performance"][2]["scores"]["classes"][1]["n"] = "many"
    with pytest.raises(DataError, match="'many', expected int") as caught:
        parse_evidence(json.dumps(document).encode())
    assert caught.value.where == "evidence.json: performance.2.scores.classes.1.n"


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"name": "edgeprune-evidence", "version": 3}, "versions 4 and 5, not version"),
        ({"name": "edgeprune-evidence", "version": "5"}, "versions 4 and 5, not version"),
        ({"name": "other", "version": 1}, "does not say that it is"),
        (None, "does not say that it is"),
    ],
)
def test_other_schemas_are_refused(schema: Any, message: str) -> None:
    document = json.loads(evidence_bytes(minimal_evidence()))
    document["schema"] = schema
    with pytest.raises(DataError, match=message) as caught:
        parse_evidence(json.dumps(document).encode())
    assert caught.value.hint


def test_version_4_is_read_without_the_sections_that_it_had_not() -> None:
    document = json.loads(evidence_bytes(minimal_evidence()))
    document["schema"]["version"] = 4
    for name in ("product", "risks", "traceability", "soup", "clauses", "profiles", "profile"):
        del document[name]
    evidence = parse_evidence(json.dumps(document).encode())
    assert (evidence.schema.version, evidence.product, evidence.risks) == (4, None, ())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe", b'{"schema": NaN}'])
def test_what_is_no_evidence_is_refused(content: bytes) -> None:
    with pytest.raises(DataError):
        parse_evidence(content)


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read") as caught:
        read_evidence(tmp_path / "evidence.json")
    assert caught.value.where == str(tmp_path / "evidence.json")
