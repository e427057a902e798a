"""The stage that certifies the integer network on test windows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from edgeprune.data import Windows
from edgeprune.evaluation import Bootstrap, share
from edgeprune.evidence import CertificateEvidence, CertificatePoint, ClassCertificates, Where
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.learn import network_of, windows_of
from edgeprune.pipeline.products import save_record, stratified
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
        steps = context.front_end.microvolt_per_lsb(windows.gain, context.adc)
        curve = certify(
            network,
            windows,
            settings.radii_lsb,
            microvolt_per_lsb=float(np.median(steps)),
            progress=context.progress,
        )
        save_record(folder / CERTIFICATES, _evidence(context, curve, windows, steps))

    return context.store.run(
        "verify",
        produce,
        reads=[data, quantized],
        settings={"verification": asdict(settings), "seed": context.seed},
        rooms=("network", "verification", "data/front_end"),
    )


def _evidence(
    context: Context, curve: CertificateCurve, windows: Windows, steps: np.ndarray
) -> CertificateEvidence:
    bootstrap = Bootstrap(context.seed)
    patients = [windows.patients[record] for record in windows.record]
    points = []
    for point in curve.points:
        total = point.total
        right = point.proved & (point.subject.decisions == windows.label)
        points.append(
            CertificatePoint(
                radius_lsb=point.radius_lsb,
                radius_uv=point.radius_microvolt,
                n=total.n,
                proved=total.proved,
                unknown=total.unknown,
                proved_and_right=total.proved_and_right,
                proved_share=share(point.proved, patients, Where.HOST, bootstrap),
                proved_and_right_share=share(right, patients, Where.HOST, bootstrap),
                classes=tuple(
                    ClassCertificates(
                        tally.name, tally.n, tally.proved, tally.unknown, tally.proved_and_right
                    )
                    for tally in point.by_class()
                ),
            )
        )
    low, high = np.quantile(steps, [0.05, 0.95])
    return CertificateEvidence(
        method="exact integer interval bounds",
        arithmetic="the int8 arithmetic that is flashed: int32 accumulators, TFLite's double "
        "rounding, saturation",
        perturbation="every value of the signal input may change by up to the radius, "
        "independently and within int8; the rhythm input stays. Microvolts are for the median "
        "window: the front end scales by the running amplitude, and a step of the input is "
        f"{low:.1f} to {high:.1f} uV at the electrodes in 90 % of these windows",
        windows=f"{len(windows)} test windows, drawn from every record in proportion, "
        f"seed {context.seed}",
        points=tuple(points),
    )
