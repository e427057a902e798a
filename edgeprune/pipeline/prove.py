"""The stage that certifies the integer network on test windows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from edgeprune.data import Windows
from edgeprune.evaluation import Bootstrap, certificate_point
from edgeprune.evidence import CertificateEvidence
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.learn import network_of, windows_of
from edgeprune.pipeline.products import decisions_of, save_record, stratified
from edgeprune.pipeline.store import Stage
from edgeprune.verification import CertificateCurve, certify

CERTIFICATES = "certificates.json"


def verify_stage(context: Context, data: Stage, quantized: Stage) -> Stage:
    """Certificates by exact integer interval bounds, radius by radius."""
    settings = context.config.verification

    def produce(folder: Path) -> None:
        network = network_of(quantized)
        test = windows_of(data, "test")
        windows = test.select(stratified(test, settings.windows, context.seed))
        curve = certify(network, windows, settings.radii_lsb, progress=context.progress)
        save_record(folder / CERTIFICATES, _evidence(context, curve, windows))

    return context.store.run(
        "verify",
        produce,
        reads=[data, quantized],
        settings={"verification": asdict(settings), "seed": context.seed},
        rooms=("network", "verification", "data/front_end"),
    )


def _evidence(context: Context, curve: CertificateCurve, windows: Windows) -> CertificateEvidence:
    steps = context.front_end.microvolt_per_lsb(windows.gain, context.adc)
    points = tuple(
        certificate_point(
            point.radius_lsb,
            point.proved,
            decisions_of(windows, point.subject.decisions),
            steps,
            Bootstrap(context.seed),
        )
        for point in curve.points
    )
    return CertificateEvidence(
        method="exact integer interval bounds",
        arithmetic="the int8 arithmetic that is flashed: int32 accumulators, TFLite's double "
        "rounding, saturation",
        perturbation="every value of the signal input may change by up to the radius, "
        "independently and within int8; the rhythm input stays",
        windows=f"{len(windows)} test windows, drawn from every record in proportion, "
        f"seed {context.seed}",
        points=points,
    )
