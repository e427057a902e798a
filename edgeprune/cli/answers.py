"""What the verbs of the chain show when they end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgeprune.cli import robustness
from edgeprune.cli.console import Answer, Console, number
from edgeprune.cli.figures import plain, record_of, text
from edgeprune.evidence import Outcome

if TYPE_CHECKING:
    from edgeprune.evidence import (
        CertificateEvidence,
        CycleEvidence,
        Evidence,
        GuardEvidence,
        PerturbationCertificates,
        Requirement,
    )
    from edgeprune.pipeline.build import BuildResult


def answer_for(verb: str, result: BuildResult, console: Console) -> Answer:
    """Print the tables of a verb and return its answer."""
    console.line()
    return _ANSWERS[verb](result, console)


def _train(result: BuildResult, console: Console) -> Answer:
    from edgeprune.evidence import TrainingEvidence

    training = record_of(result, "train", "training.json", TrainingEvidence)
    console.table(
        ("epoch", "loss", "validation macro-F1"),
        [
            (epoch.epoch, f"{epoch.train_loss:.4f}", f"{epoch.validation_macro_f1:.4f}")
            for epoch in training.epochs
        ],
    )
    path = result.stages["train"].file("classifier.safetensors")
    best = training.validation.value
    score = "" if best is None else f", validation macro-F1 {best:.4f}"
    return Answer({"training": plain(training), "path": str(path)}, verdict=f"{path}{score}")


def _prune(result: BuildResult, console: Console) -> Answer:
    from edgeprune.evidence import PruningEvidence

    pruning = record_of(result, "prune", "pruning.json", PruningEvidence)
    console.table(
        ("step", "parameters", "compression", "MACs", "validation macro-F1"),
        [
            (
                step.name,
                step.remaining if step.remaining is not None else step.parameters,
                "" if step.compression is None else f"{step.compression:.2f}",
                step.macs,
                text(step.validation_macro_f1),
            )
            for step in pruning.steps
        ],
    )
    _guarded(pruning.guard, console)
    first, last = pruning.steps[0], pruning.steps[-1]
    before, after = (
        step.parameters if step.remaining is None else step.remaining for step in (first, last)
    )
    parameters = f"{before:,} to {after:,} parameters"
    guard = pruning.guard
    if guard is not None and guard.stopped_at is not None:
        parameters = f"{guard.verdict}; {parameters}"
    return Answer({"pruning": plain(pruning)}, verdict=parameters)


def _guarded(guard: GuardEvidence | None, console: Console) -> None:
    """Print what pruning cost each class that the guard watches."""
    if guard is None or not guard.steps:
        return
    console.line()
    console.table(
        ("step", "class", "windows", "recall of the parent", "recall", "change", "limit"),
        [
            (
                step.step,
                change.name,
                change.n,
                text(change.before),
                text(change.after),
                text(change.change),
                "" if change.limit is None else f"-{change.limit:g}",
            )
            for step in guard.steps
            for change in step.recalls
        ],
    )
    if guard.stopped_at is None:
        console.note(guard.verdict)


def _quantize(result: BuildResult, console: Console) -> Answer:
    from edgeprune.network import IntegerNetwork

    path = result.stages["quantize"].file("network.safetensors")
    network = IntegerNetwork.load(path)
    console.table(
        ("operation", "operator", "output", "MACs", "parameters"),
        [
            (
                operation.name,
                operation.kind,
                "x".join(map(str, network.tensors[operation.output].shape)),
                operation.multiply_accumulates(network.tensors),
                operation.parameters(),
            )
            for operation in network.operations
        ],
    )
    return Answer(
        {"network": {"path": str(path), "sha256": network.sha256}},
        verdict=f"{path}, network {network.sha256[:16]}",
    )


def _export(result: BuildResult, console: Console) -> Answer:
    parity = _parity(result, "export", console)
    stage = result.stages["firmware"]
    return Answer(
        {"parity": parity, "firmware": str(stage.folder)},
        passed=_agree(parity),
        verdict=f"{result.stages['export'].folder}, {stage.folder}",
    )


def _bench(result: BuildResult, console: Console) -> Answer:
    from edgeprune.errors import MissingToolError
    from edgeprune.evidence import DeviceEvidence
    from edgeprune.pipeline.emulation import lacking_emulator

    parity = _parity(result, "bench", console)
    if result.context.target.is_host:
        return Answer({"parity": parity}, passed=_agree(parity), verdict="on the host only")
    device = record_of(result, "bench", "device.json", DeviceEvidence)
    console.table(
        ("layer", "kernel", "MACs", "flash bytes", "instructions", "cycles (model)", "approach"),
        [
            (
                layer.name,
                layer.kernel,
                layer.macs,
                layer.flash_bytes or 0,
                layer.instructions.median if layer.instructions else "-",
                round(layer.cycles.expected) if layer.cycles else "-",
                layer.approach,
            )
            for layer in device.layers
        ],
    )
    if device.cycles:
        _modelled(device.cycles, console)
    counted = device.instructions
    verdict = f"{counted.median:,} instructions a window" if counted else "not counted"
    error = None
    if result.context.target.is_linux:
        verdict = "logits and windows of the command compared; no instructions, no latency"
        lacking = lacking_emulator(result.context.target)
        if lacking:
            error = MissingToolError(
                "the command was not tested, the C on this machine alone",
                where=f"target {device.core}",
                hint=lacking,
            )
    return Answer(
        {"parity": parity, "device": plain(device)},
        passed=_agree(parity),
        verdict=f"{verdict} (emulator)",
        error=error,
    )


def _modelled(cycles: CycleEvidence, console: Console) -> None:
    rows = [("cycles", cycles.cycles), ("microseconds", cycles.microseconds)]
    if cycles.microjoules:
        rows.append(("microjoules", cycles.microjoules))
    console.table(
        ("a window, by the cycle model", "minimum", "expected", "maximum"),
        [(name, *map(round, (row.minimum, row.expected, row.maximum))) for name, row in rows],
    )


def _verify(result: BuildResult, console: Console) -> Answer:
    from edgeprune.evidence import CertificateEvidence
    from edgeprune.pipeline.requirements import judge_certificates

    certificates = record_of(result, "verify", "certificates.json", CertificateEvidence)
    _certificates(certificates, console)
    config = result.context.config
    judged = judge_certificates(config.requirements, config.robustness, certificates)
    if judged:
        console.line()
        requirement_table(judged, console)
    folder = result.stages["verify"].folder / "certificates"
    synthetic = ", SYNTHETIC data" if result.context.card.synthetic else ""
    return Answer(
        {
            "certificates": plain(certificates),
            "files": str(folder),
            "requirements": [plain(requirement) for requirement in judged],
        },
        passed=all(requirement.outcome is Outcome.PASS for requirement in judged),
        verdict=f"{_proved(certificates)}{synthetic}; certificates: {folder}",
    )


def _proved(certificates: CertificateEvidence) -> str:
    """Say in one line what was proved of the flashed network."""
    rows = certificates.networks[-1].perturbations
    shares = [(row.text, row.proved_and_right_share.value) for row in rows]
    told = ", ".join(f"{share:.2f} under {text}" for text, share in shares[:3] if share is not None)
    more = f" and {len(rows) - 3} more sets" if len(rows) > 3 else ""
    return f"proved and right: {told}{more}" if told else "nothing was tried"


def _certificates(certificates: CertificateEvidence, console: Console) -> None:
    *_, flashed = certificates.networks
    console.line(
        f"{flashed.stage}, {flashed.right_share.n} windows, runtime {certificates.runtime}: "
        f"{text(flashed.right_share)} right without any change"
    )
    console.table(
        (
            *("set", "proved", "falsified", "unknown", "timeout"),
            *("proved and right", "limit set by attacks", "ms a window"),
        ),
        [
            (
                row.text,
                row.outcomes.proved,
                row.outcomes.falsified,
                row.outcomes.unknown,
                row.outcomes.timeout,
                text(row.proved_and_right_share),
                text(row.attack_limit),
                _milliseconds(row),
            )
            for row in flashed.perturbations
        ],
    )
    if len(certificates.networks) > 1:
        _by_stage(certificates, console)


def _by_stage(certificates: CertificateEvidence, console: Console) -> None:
    shares = {
        (row.text, network.stage): text(row.proved_and_right_share)
        for network in certificates.networks
        for row in network.perturbations
    }
    stages = [network.stage for network in certificates.networks]
    texts = [row.text for row in certificates.networks[0].perturbations]
    if texts:
        console.line()
        console.table(
            ("proved and right", *stages),
            [(text, *(shares.get((text, stage), "-") for stage in stages)) for text in texts],
        )


def _milliseconds(row: PerturbationCertificates) -> str:
    times = [(each.milliseconds, each.windows) for each in row.methods]
    known = [(spread.median, windows) for spread, windows in times if spread is not None]
    if not known:
        return "-"
    return f"{sum(median * windows for median, windows in known) / sum(n for _, n in known):,.0f}"


def requirement_table(requirements: Sequence[Requirement], console: Console) -> None:
    """Show requirements, what was found, and what became of them."""
    console.table(
        ("requirement", "found", "", "limit", "outcome"),
        [
            (
                requirement.title,
                text(requirement.value),
                requirement.comparison.value,
                number(requirement.limit),
                requirement.outcome.value,
            )
            for requirement in requirements
        ],
    )


def _build(result: BuildResult, console: Console) -> Answer:
    evidence = result.evidence
    assert evidence is not None
    _scores(evidence, console)
    _on_device(evidence, console)
    guard = evidence.pruning.guard if evidence.pruning else None
    if guard is not None and guard.stopped_at is not None:
        console.note(f"the guard for the patient {guard.verdict}")
    if evidence.certificates is not None:
        console.line()
        _certificates(evidence.certificates, console)
    if evidence.attacks is not None:
        console.line()
        robustness.attacks(evidence.attacks, console)
    if evidence.disturbances is not None:
        console.line()
        robustness.disturbances(evidence.disturbances, console)
    console.line()
    requirement_table(evidence.requirements, console)
    console.line()
    report = result.out / "report.html"
    return Answer(
        {
            "report": str(report),
            "evidence": str(result.out / "evidence.json"),
            "requirements": [plain(requirement) for requirement in evidence.requirements],
        },
        passed=result.passed,
        verdict=f"{_outcome(evidence)}; report: {report}",
    )


def _outcome(evidence: Evidence) -> str:
    synthetic = ", SYNTHETIC data" if evidence.identity.synthetic else ""
    count = len(evidence.requirements)
    unmet = [each.name for each in evidence.requirements if each.outcome is not Outcome.PASS]
    if unmet:
        return f"{len(unmet)} of {count} requirements not met ({', '.join(unmet)}){synthetic}"
    met = f"all {count} requirements" if count > 1 else "the one requirement"
    return f"{met} met{synthetic}"


def _scores(evidence: Evidence, console: Console) -> None:
    flashed = evidence.performance[-1]
    source = "SYNTHETIC data" if evidence.identity.synthetic else evidence.identity.dataset
    console.line(f"{flashed.stage}, {flashed.split} part of {source}")
    rows = [
        (row.name, row.n, text(row.sensitivity), text(row.precision), text(row.f1))
        for row in flashed.scores.classes
    ]
    console.table(("class", "n", "sensitivity", "precision", "F1"), rows)
    accuracy, macro = flashed.scores.accuracy, flashed.scores.macro_f1
    console.line(f"accuracy {text(accuracy)}, macro-F1 {text(macro)}")


def _on_device(evidence: Evidence, console: Console) -> None:
    gates = [row for row in evidence.parity if row.gate]
    device = evidence.device
    console.line()
    console.line(
        f"{evidence.identity.target}: {sum(row.mismatches for row in gates):,} of "
        f"{sum(row.values for row in gates):,} values differ from the specification in "
        f"{len(gates)} comparisons"
    )
    if device is None or device.firmware is None:
        return
    firmware = device.firmware
    console.line(
        f"flash {firmware.flash_bytes:,} of {firmware.flash_available:,} bytes, "
        f"RAM {firmware.ram_bytes:,} of {firmware.ram_available:,} bytes with the stack"
    )
    if device.instructions is not None:
        counted = device.instructions
        console.line(f"{counted.median:,} instructions a window (emulator; no latency)")


def _parity(result: BuildResult, stage: str, console: Console) -> list[Any]:
    from edgeprune.pipeline.deploy import Parity

    parity = record_of(result, stage, "parity.json", Parity)
    console.table(
        ("implementation", "place", "windows", "compared", "mismatches", "largest LSB", "gate"),
        [
            (
                row.implementation,
                row.place,
                row.windows,
                row.compared,
                row.mismatches,
                row.largest_difference_lsb,
                "yes" if row.gate else "no",
            )
            for row in parity.rows
        ],
    )
    for absent in parity.absent:
        console.line(f"not tested: {absent}")
    return [plain(row) for row in parity.rows]


def _agree(parity: list[Any]) -> bool:
    return not any(row["gate"] and row["mismatches"] for row in parity)


_ANSWERS: Mapping[str, Callable[[BuildResult, Console], Answer]] = {
    "train": _train,
    "prune": _prune,
    "quantize": _quantize,
    "export": _export,
    "bench": _bench,
    "verify": _verify,
    "attack": robustness.attack,
    "disturb": robustness.disturb,
    "build": _build,
}
