"""The network as CycloneDX's ML-BOM: a component with a model card (CycloneDX 1.6, modelCard)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType

from edgeprune.evidence.evidence import Evidence
from edgeprune.evidence.performance import ModelPerformance
from edgeprune.evidence.quantity import Quantity
from edgeprune.evidence.sbom.documents import (
    Document,
    entity,
    finish,
    metadata,
    named_licence,
    properties,
    sha256_of,
)
from edgeprune.evidence.sbom.firmware_document import NETWORK
from edgeprune.evidence.sbom.inventory import NOT_STATED, FileRole, Firmware, product_field

_DATA = "dataset"
_UNDEFINED = "undefined"
Json = dict[str, Any]


def model_document(firmware: Firmware, evidence: Evidence) -> Document:
    """Return the bill of materials of a network, with its model card.

    Figures are those of the evidence, digit by digit.
    """
    identity = evidence.identity
    model = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=NETWORK,
        name=evidence.classifier.name if evidence.classifier else NETWORK,
        version=identity.network_sha256[:16],
        description=_description(evidence),
        supplier=entity(firmware.manufacturer),
        manufacturer=entity(firmware.manufacturer),
        hashes=[
            each for file in firmware.of_role(FileRole.MODEL) for each in sha256_of(file.sha256)
        ],
        properties=properties(
            {"network:sha256": identity.network_sha256, "licence": None, "seed": str(identity.seed)}
        ),
    )
    data = Component(
        type=ComponentType.DATA,
        bom_ref=_DATA,
        name=identity.dataset,
        description=identity.dataset_title,
        licenses=named_licence(evidence.data.licence if evidence.data else ""),
    )
    bom = Bom(metadata=metadata(evidence, model), components=[data])
    bom.register_dependency(model, [data])

    def add_cards(document: Json) -> None:
        document["metadata"]["component"]["modelCard"] = _model_card(evidence)
        (component,) = document["components"]
        component["data"] = [_data(evidence)]

    return finish(bom, evidence, [add_cards])


def _description(evidence: Evidence) -> str:
    words = evidence.classifier.description if evidence.classifier else "A classifier."
    return f"{words} TRAINED ON SYNTHETIC DATA." if evidence.identity.synthetic else words


def _data(evidence: Evidence) -> Json:
    identity, data = evidence.identity, evidence.data
    card: Json = {
        "type": "dataset",
        "name": identity.dataset,
        "description": identity.dataset_title,
    }
    if data is None:
        return card
    pairs = [
        ("origin", data.origin),
        ("licence", data.licence),
        ("citation", data.citation),
        ("lead", data.lead),
        ("synthetic", str(identity.synthetic).lower()),
        ("patients-known", str(data.patients_known).lower()),
        *((f"note:{number}", note) for number, note in enumerate(data.notes)),
    ]
    for split in data.splits:
        pairs += [
            (f"{split.name}:windows", str(split.windows)),
            (f"{split.name}:patients", str(len(split.patients))),
            (f"{split.name}:purpose", split.purpose),
        ]
    entries = [{"name": f"edgeprune:{name}", "value": text or NOT_STATED} for name, text in pairs]
    return card | {"contents": {"properties": entries}}


def _model_card(evidence: Evidence) -> Json:
    return {
        "modelParameters": _parameters(evidence),
        "quantitativeAnalysis": {"performanceMetrics": list(_metrics(evidence))},
        "considerations": _considerations(evidence),
        "properties": [
            {"name": f"edgeprune:{name}", "value": text} for name, text in _history(evidence)
        ],
    }


def _parameters(evidence: Evidence) -> Json:
    classifier, data = evidence.classifier, evidence.data
    parameters: Json = {
        "approach": {"type": "supervised"},
        "task": "classification",
        "architectureFamily": classifier.description if classifier else NOT_STATED,
        "modelArchitecture": classifier.name if classifier else NOT_STATED,
        "datasets": [{"ref": _DATA}],
    }
    if data is not None:
        window, adc = data.window, data.adc
        inputs = [
            f"int8 [{window.length}][{window.channels}]: {window.seconds:g} s of a signal sampled "
            f"at {adc.rate_hz:g} Hz ({data.lead})"
        ]
        if window.rhythm_features:
            inputs.append(f"int8 [{window.rhythm_features}]: features of the rhythm")
        names = ", ".join(each.name for each in data.classes)
        parameters["inputs"] = [{"format": text} for text in inputs]
        parameters["outputs"] = [{"format": f"int8 [{len(data.classes)}]: a logit for {names}"}]
    return parameters


def _metrics(evidence: Evidence) -> Iterator[Json]:
    for performance in evidence.performance:
        yield from _of_stage(performance)
    for network in evidence.certificates.networks if evidence.certificates else ():
        for each in network.perturbations:
            name = f"share proved and right under {each.text}"
            yield _metric(name, each.proved_and_right_share, f"test, {network.stage}")
    for attacked in evidence.attacks.networks if evidence.attacks else ():
        for ball in attacked.balls:
            name = f"share that attacks turn within {ball.text}"
            yield _metric(name, ball.worst.success, f"test, {attacked.stage}")


def _of_stage(performance: ModelPerformance) -> Iterator[Json]:
    place = f"{performance.split}, {performance.stage}"
    scores = performance.scores
    yield _metric("accuracy", scores.accuracy, place)
    yield _metric("macro-F1", scores.macro_f1, place)
    for row in scores.classes:
        part = f"{place}, class {row.name}"
        yield _metric("sensitivity", row.sensitivity, part)
        yield _metric("precision (PPV)", row.precision, part)
        yield _metric("F1", row.f1, part)
    for without in performance.without:
        part = f"{place}, without {', '.join(without.records)}"
        yield _metric("accuracy", without.scores.accuracy, part)
        yield _metric("macro-F1", without.scores.macro_f1, part)


def _metric(kind: str, value: Quantity, place: str) -> Json:
    counted = f" (n = {value.n} {value.n_of})" if value.n is not None else ""
    metric: Json = {
        "type": kind,
        "value": _UNDEFINED if value.value is None else repr(value.value),
        "slice": f"{place}{counted}",
    }
    if value.interval is not None:
        metric["confidenceInterval"] = {
            "lowerBound": repr(value.interval.low),
            "upperBound": repr(value.interval.high),
        }
    return metric


def _considerations(evidence: Evidence) -> Json:
    def words(key: str) -> str:
        return product_field(evidence.product, key) or NOT_STATED

    return {
        "users": [words("users")],
        "useCases": [words("intended_use")],
        "technicalLimitations": [
            *_synthetic(evidence),
            *evidence.limits,
            *(f"not tested: {text}" for text in evidence.not_tested),
        ],
        "performanceTradeoffs": list(_trade_offs(evidence)),
        "ethicalConsiderations": [{"name": NOT_STATED}],
    }


def _synthetic(evidence: Evidence) -> Sequence[str]:
    return ("trained and tested on SYNTHETIC data",) if evidence.identity.synthetic else ()


def _trade_offs(evidence: Evidence) -> Iterator[str]:
    for each in evidence.comparisons:
        change = each.macro_f1_change
        found = _UNDEFINED if change.value is None else repr(change.value)
        between = change.interval
        reach = f" [{between.low!r}, {between.high!r}]" if between else ""
        yield f"macro-F1, {each.after} minus {each.before}: {found}{reach}"


def _history(evidence: Evidence) -> Iterator[tuple[str, str]]:
    if evidence.training is not None:
        yield "training", evidence.training.summary
    if evidence.pruning is not None:
        yield "pruning", f"{evidence.pruning.method}; {evidence.pruning.aim}"
    if evidence.quantization is not None:
        yield "quantization", f"{evidence.quantization.quantizer}; {evidence.quantization.scheme}"
    for metric in evidence.performance[:1]:
        interval = metric.scores.accuracy.interval
        if interval is not None:
            yield "intervals", f"{interval.level:g}, {interval.method}"
