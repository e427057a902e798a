"""Whether what verification says is true: brute force, broken rules, the checker, replays."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edgeprune.certificate_checker import check
from edgeprune.devices import run_image
from edgeprune.firmware import compile_image, generate
from edgeprune.network import IntegerNetwork
from edgeprune.network.tensor import Int8Array
from edgeprune.targets import load_target
from edgeprune.verification.certificates import write_certificates
from edgeprune.verification.linear_bounds import BoundSettings
from edgeprune.verification.outcomes import VerificationRun
from edgeprune.verification.replay import replay
from edgeprune.verification.verify import VerifySettings
from tests.studies.study import Figure
from tests.tampering import notice
from tests.verification import provers
from tests.verification.complete_mutations import COMPLETE_MUTATIONS
from tests.verification.linear_mutations import LINEAR_MUTATIONS
from tests.verification.mutations import INTERVAL_MUTATIONS, try_mutations
from tests.verification.perturbed_networks import lsb_case, raw_case
from tests.verification.soundness import Prover, search
from tests.verification.tiny_networks import TinyCase, loose_case, tiny_case

NETWORKS = 3000
LEAST_KINDS = 20
CORE = "cortex-m7"


def soundness() -> Iterator[Figure]:
    """Compare every claim with brute force over the whole set, on thousands of networks."""
    linear = provers.linear(BoundSettings(iterations=3))
    any_runtime = provers.linear(BoundSettings(), rounding_lsb=1)
    complete = provers.complete(VerifySettings(seconds=30.0))
    hurried = provers.complete(VerifySettings(seconds=0.5))
    tried: tuple[tuple[str, Prover, Callable[[int], TinyCase], int], ...] = (
        ("interval", provers.interval, tiny_case, NETWORKS),
        ("linear", linear, tiny_case, NETWORKS),
        ("linear, behind the front end", linear, raw_case, NETWORKS),
        ("linear, any runtime", any_runtime, loose_case, NETWORKS),
        ("complete", complete, lsb_case, NETWORKS // 3),
        ("complete, behind the front end", hurried, raw_case, NETWORKS // 10),
    )
    for name, prover, draw, count in tried:
        found = search(prover, range(count), draw=draw)
        note = (
            f"{found.networks:,} networks, {found.windows:,} sets, {found.members:,} inputs run; "
            f"proved {found.proved:,} of {found.holds:,} that hold, falsified {found.falsified:,}"
        )
        title = f"{name}: claims contradicted"
        yield Figure("soundness", title, len(found.contradictions), 0, None, True, note=note)
        if name == "complete":
            title = "complete: windows left open"
            yield Figure("soundness", title, found.unsettled, 0, None, True)


def mutations() -> Iterator[Figure]:
    """Break every rule once: brute force must notice."""
    for row in try_mutations((*INTERVAL_MUTATIONS, *LINEAR_MUTATIONS, *COMPLETE_MUTATIONS)):
        title = f"{row.rule}: {row.change}"
        if row.expected:
            note = f"after {row.networks:,} networks: {row.what}" if row.caught else "not noticed"
            yield Figure("mutations", title, float(row.caught), 1, note=note)
        else:
            note = f"cannot be noticed: {row.why}"
            yield Figure("mutations", title, float(row.caught), note=note)


def checker(
    network: IntegerNetwork, runs: Sequence[VerificationRun], windows: Path, section: str
) -> Iterator[Figure]:
    """Let the independent checker recompute every certificate, then show it changed ones."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network_file = folder / "network.safetensors"
        network.save(network_file)
        rejected: dict[str, bool] = {}
        for number, run in enumerate(runs):
            file = folder / f"{number}.npz"
            size = write_certificates(run, network, file)
            report = check(file, network_file, windows)
            seconds = sum(verdict.seconds for verdict in report.verdicts)
            wrong = [verdict for verdict in report.verdicts if not verdict.accepted]
            note = (
                (
                    f"{len(report.verdicts):,} certificates, {seconds:,.0f} s, {size:,} bytes"
                    + f"; {report.problem}" * bool(report.problem)
                    + f"; window {wrong[0].window}: {wrong[0].reason}" * bool(wrong)
                )
                if not wrong
                else f"window {wrong[0].window}: {wrong[0].reason}"
            )
            title = f"not accepted, {run.runtime.value}, {run.perturbation}"
            count = len(wrong) if report.verdicts else None
            yield Figure(section, title, count, 0, None, True, note=note)
            for each in notice(file, network_file, windows, folder / f"tampered-{number}"):
                rejected[each.kind] = rejected.get(each.kind, True) and each.rejected
        missed = [kind for kind, noticed in rejected.items() if not noticed]
        title = "kinds of tampering that pass"
        note = f"{len(rejected)} kinds: {', '.join(sorted(rejected))}"
        yield Figure(section, title, len(missed), 0, None, True, note=", ".join(missed) or note)
        yield Figure(section, "kinds of tampering", len(rejected), LEAST_KINDS)


def replays(
    network: IntegerNetwork, runs: Sequence[VerificationRun], section: str
) -> Iterator[Figure]:
    """Run every counterexample on the emulated device."""
    target, classes = load_target(CORE), network.output_tensor.size
    with tempfile.TemporaryDirectory() as name:
        labels = runs[0].windows.class_names
        sources = generate(network, None, target, labels, Path(name) / "c")
        elf = Path(name) / "image.elf"
        compile_image(sources, target, elf, program="exchange")

        def classify(inputs: tuple[Int8Array, ...]) -> Int8Array:
            signal, rhythm = inputs if len(inputs) == 2 else (*inputs, None)
            return run_image(elf, target, signal, rhythm, classes, backend="unicorn").logits

        found = [replay(run, classify) for run in runs]
    tried, failed = sum(each.windows for each in found), sum(len(each.failures) for each in found)
    title = f"counterexamples that do not replay on {CORE}"
    yield Figure(section, title, failed, 0, None, True, note=f"{tried:,} counterexamples")
