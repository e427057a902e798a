"""The stage that runs what turns decisions on the emulated device, and holds it against proofs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.data.held import HeldWindows, load_held
from edgeprune.devices import run_image
from edgeprune.evidence import ParityRow, ProofCheck
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.attack import HELD, WINDOWS
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.contradictions import check_proofs
from edgeprune.pipeline.deploy import IMAGE, Parity, device_row
from edgeprune.pipeline.disturb import DISTURBED
from edgeprune.pipeline.emulation import lacking_emulator
from edgeprune.pipeline.learn import network_of
from edgeprune.pipeline.products import load_inputs, load_windows, save_inputs, save_record
from edgeprune.pipeline.prove import COUNTEREXAMPLES
from edgeprune.pipeline.store import Stage
from edgeprune.pipeline.turned import TURNED, Turned, load_turned

REPLAYS = "replays.json"
OF_PROOFS = "logits of all counterexamples"
OF_ATTACKS = "logits of all windows that attacks turned"
OF_DISTURBANCES = "logits of some disturbed windows"
TURNED_INPUTS = "turned.npz"

Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Replays:
    """What became of everything that turns a decision.

    Attributes:
        parity: The same on the emulated device.
        proofs: Attacks held against what was proved.
    """

    parity: Parity
    proofs: ProofCheck


def replay_stage(
    context: Context,
    quantized: Stage,
    firmware: Stage,
    verified: Stage,
    attacked: Stage,
    disturbed: Stage,
) -> Stage:
    """Every counterexample of proofs and attacks on the emulated device, and against the proofs.

    Some disturbed windows are run there too. The logits must be the specification's, and no attack
    may have turned what was proved.
    """

    def produce(folder: Path) -> None:
        network = network_of(quantized)
        turned = load_turned(attacked.file(TURNED))
        held = load_held(attacked.file(HELD))
        proofs = check_proofs(verified, load_windows(attacked.file(WINDOWS)), held, turned)
        image = None if context.target.is_host else firmware.file(IMAGE)
        attacks = _inputs(network, held, turned)
        save_inputs(folder / TURNED_INPUTS, network, [attacks] if attacks else [])
        shown = (
            (OF_PROOFS, load_inputs(verified.file(COUNTEREXAMPLES))),
            (OF_ATTACKS, attacks),
            (OF_DISTURBANCES, load_inputs(disturbed.file(DISTURBED))),
        )
        rows = tuple(
            _row(context, image, network, compared, inputs)
            for compared, inputs in shown
            if inputs and image is not None and not lacking_emulator(context.target)
        )
        save_record(folder / REPLAYS, Replays(Parity(rows), proofs))

    return context.store.run(
        "replay",
        produce,
        reads=[quantized, firmware, verified, attacked, disturbed],
        settings={
            "emulator": context.config.firmware.emulator,
            "lacking": lacking_emulator(context.target),
        },
        rooms=("network", "devices", "verification/perturbations", "data"),
    )


def _inputs(network: IntegerNetwork, held: HeldWindows, turned: Turned) -> tuple[Int8Array, ...]:
    """Return what the network reads of the changed windows; nothing without any."""
    if not len(turned):
        return ()
    return held.select(turned.window).inputs(turned.raw)[: len(network.inputs)]


def _row(
    context: Context,
    image: Path,
    network: IntegerNetwork,
    compared: str,
    inputs: tuple[Int8Array, ...],
) -> ParityRow:
    run = run_image(
        image,
        context.target,
        inputs[0],
        inputs[1] if len(inputs) == 2 else None,
        network.output_tensor.size,
        backend=context.config.firmware.emulator,
        progress=context.progress,
    )
    return device_row(context, compared, [(run.logits, network.run(*inputs))])
