"""The stage that runs what verification found against the network on the emulated device."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np

from edgeprune.devices import run_image
from edgeprune.files import write_bytes
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.deploy import IMAGE, Parity, device_row
from edgeprune.pipeline.learn import network_of
from edgeprune.pipeline.products import save_record
from edgeprune.pipeline.store import Stage
from edgeprune.verification.outcomes import VerificationRun

COUNTEREXAMPLES = "counterexamples.npz"
REPLAYS = "replays.json"
_COMPARED = "logits of all counterexamples"


def save_counterexamples(path: Path, runs: tuple[VerificationRun, ...]) -> None:
    """Write what the network reads in every counterexample; no arrays where there is none."""
    found = [each.counterexample for run in runs for each in run.results if each.counterexample]
    inputs = zip(*(each.inputs for each in found), strict=True)
    buffer = BytesIO()
    np.savez(buffer, **{str(number): np.stack(each) for number, each in enumerate(inputs)})
    write_bytes(path, buffer.getvalue())


def replay_stage(context: Context, quantized: Stage, firmware: Stage, verified: Stage) -> Stage:
    """Every counterexample on the emulated device: the logits must be the specification's."""

    def produce(folder: Path) -> None:
        network = network_of(quantized)
        with np.load(verified.file(COUNTEREXAMPLES), allow_pickle=False) as content:
            inputs = [content[name] for name in sorted(content)]
        parity = Parity(())
        if inputs and not context.target.is_host:
            signal, rhythm = inputs if len(inputs) == 2 else (*inputs, None)
            run = run_image(
                firmware.file(IMAGE),
                context.target,
                signal,
                rhythm,
                network.output_tensor.size,
                backend=context.config.firmware.emulator,
                progress=context.progress,
            )
            expected = network.run(*inputs)
            parity = Parity((device_row(context, _COMPARED, [(run.logits, expected)]),))
        save_record(folder / REPLAYS, parity)

    return context.store.run(
        "replay",
        produce,
        reads=[quantized, firmware, verified],
        settings={"emulator": context.config.firmware.emulator},
        rooms=("network", "devices"),
    )
