"""Whether what verification says is true: brute force, broken rules, the checker, replays."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edgeprune.certificate_checker import Verdict, check
from edgeprune.devices import run_image
from edgeprune.executor import Codec, Executor, Task
from edgeprune.firmware import Labels, compile_image, generate
from edgeprune.network import IntegerNetwork
from edgeprune.network.tensor import Int8Array
from edgeprune.targets import load_target
from edgeprune.verification.certificates import write_certificates
from edgeprune.verification.linear_bounds import BoundSettings
from edgeprune.verification.outcomes import VerificationRun
from edgeprune.verification.replay import replay
from edgeprune.verification.verify import VerifySettings
from tests.studies.study import Figure
from tests.tampering import HINTS, notice
from tests.verification import provers
from tests.verification.complete_mutations import COMPLETE_MUTATIONS
from tests.verification.linear_mutations import LINEAR_MUTATIONS
from tests.verification.mutations import INTERVAL_MUTATIONS, try_mutations
from tests.verification.perturbed_networks import lsb_case, raw_case
from tests.verification.soundness import Prover, search
from tests.verification.tiny_networks import TinyCase, loose_case, tiny_case

NETWORKS = 1000
SHARES, WORKERS = 20, 2
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
            title = "complete: share of sets left open"
            yield Figure("soundness", title, found.unsettled / found.windows, 0.02, 0, True)


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


@dataclass(frozen=True)
class _Share:
    """Some certificates of a file."""

    certificates: Path
    network: Path
    windows: Path
    chosen: tuple[int, ...]


def _check(share: _Share) -> tuple[Verdict, ...]:
    report = check(share.certificates, share.network, share.windows, chosen=share.chosen)
    if report.problem:
        return (Verdict(-1, "", "", False, report.problem, 0.0),)
    return report.verdicts


def _encode(verdicts: tuple[Verdict, ...]) -> bytes:
    return json.dumps([asdict(verdict) for verdict in verdicts]).encode()


def _decode(content: bytes) -> tuple[Verdict, ...]:
    return tuple(Verdict(**verdict) for verdict in json.loads(content))


def checker(
    network: IntegerNetwork,
    runs: Sequence[VerificationRun],
    windows: Path,
    section: str,
    store: Path,
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
            tasks = [
                Task(
                    f"{start}",
                    _Share(
                        file, network_file, windows, tuple(range(start, len(run.results), SHARES))
                    ),
                )
                for start in range(SHARES)
            ]
            kept = store / f"{network.sha256[:16]}-{number}-{run.runtime.value}"
            executor = Executor(workers=WORKERS, store=kept)
            verdicts = [
                verdict
                for share in executor.run(_check, tasks, Codec(_encode, _decode))
                for verdict in share
            ]
            seconds = sum(verdict.seconds for verdict in verdicts)
            wrong = [verdict for verdict in verdicts if not verdict.accepted]
            note = f"{len(verdicts):,} certificates, {seconds:,.0f} s, {size:,} bytes"
            note += f"; window {wrong[0].window}: {wrong[0].reason}" if wrong else ""
            title = f"not accepted, {run.runtime.value}, {run.perturbation}"
            yield Figure(section, title, len(wrong), 0, None, True, note=note)
            for each in notice(file, network_file, windows, folder / f"tampered-{number}"):
                before = rejected.get(each.kind, each.rejected)
                # A hint is missed only where a proof needs it.
                combine = max if each.kind in HINTS else min
                rejected[each.kind] = combine(before, each.rejected)
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
        windows = runs[0].windows
        labels = Labels("replays", windows.class_names, "test windows", windows.synthetic)
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
