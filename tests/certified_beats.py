"""Beats at a real front end, and a small network about them, for tests of certificates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.data.held_front_end import HeldBeats, hold
from edgeprune.data.windows import Windows
from edgeprune.network import Concat, Conv1d, Dense, IntegerNetwork, MaxPool1d, Reshape, Tensor
from edgeprune.targets import Adc

CLASSES = ("N", "S", "V")


def beats(count: int, seed: int = 0) -> HeldBeats:
    """Return beats of a made-up ECG at 360 Hz, 11 bits, 5 uV a count."""
    random = np.random.default_rng(seed)
    adc = Adc(rate_hz=360.0, microvolt_per_count=5.0, bits=11)
    front_end = BeatFrontEnd.for_adc(adc)
    places = np.cumsum(random.integers(250, 420, count + 30)) + 800
    time = np.arange(places[-1] + 3000)
    samples = 40 * np.sin(2 * np.pi * time / 360 * 0.3) + random.normal(size=len(time)) * 2
    for place in places:
        width, height = random.choice([6, 18]), random.uniform(150, 320)
        samples += height * np.exp(-(((time - place) / width) ** 2))
        samples += 30 * np.exp(-(((time - place + 60) / 14) ** 2))
    counts = np.clip(np.rint(samples), -1024, 1023).astype(np.int16)
    return hold(front_end, adc, counts, places, np.arange(20, 20 + count))


def windows(held: HeldBeats, label: npt.NDArray[np.int64]) -> Windows:
    """Return the windows of beats, as a data set has them."""
    signal, rhythm = held.inputs()
    numbers = np.arange(len(held))
    return Windows(
        signal=signal,
        rhythm=rhythm,
        gain=held.gain,
        label=label,
        record=np.zeros_like(numbers),
        beat=1000 * (numbers + 1),
        record_names=("100",),
        patients=("one",),
        class_names=CLASSES,
        synthetic=True,
    )


def network(held: HeldBeats, seed: int = 0) -> IntegerNetwork:
    """Return a network with random weights whose ranges fit these beats."""
    random = np.random.default_rng(seed)
    signal, rhythm = held.inputs()
    tensors = {
        "signal": Tensor("signal", signal.shape[1:], 2.0**-5, 0),
        "rhythm": Tensor("rhythm", rhythm.shape[1:], 2.0**-5, 0),
    }
    values = {"signal": signal, "rhythm": rhythm}
    operations = []

    def weighted(kind: type, name: str, source: str, outputs: int, relu: bool, **rest: int) -> None:
        tensor = tensors[source]
        shape = (outputs, 7, tensor.shape[1]) if kind is Conv1d else (outputs, int(tensor.shape[0]))
        weights = np.clip(random.normal(size=shape) * 30, -127, 127).astype(np.int8)
        low = tensor.zero_point if relu else -128
        output = Tensor(name, (1,), 1.0, low)

        def make(scale: float, bias: npt.NDArray[np.int32]) -> tuple[Conv1d | Dense, Tensor]:
            made = kind(
                name=name,
                inputs=(source,),
                output=name,
                weights=weights,
                bias=bias,
                weight_scales=np.full(outputs, 2.0**-6, np.float32),
                clamp_low=-128,
                **rest,
            )
            shaped = made.output_shape(tensor.shape)
            return made, Tensor(name, shaped, float(np.float32(scale)), -128 if relu else 0)

        # A first pass in a wide range shows where the values lie.
        wide, target = make(tensor.scale * 64, np.zeros(outputs, np.int32))
        found = wide.run(
            {source: tensor, name: Tensor(name, target.shape, target.scale, 0)}, values[source]
        )
        middle = np.median(found.reshape(-1, outputs), axis=0) * target.scale
        spread = float(np.abs(found * target.scale - middle).max()) + 1e-6
        bias = np.rint(-middle / (tensor.scale * 2.0**-6)).astype(np.int32)
        made, output = make(spread / (120 if not relu else 240), bias)
        tensors[name] = output
        operations.append(made)
        values[name] = made.run(tensors, values[source])

    weighted(Conv1d, "conv", "signal", 4, relu=True, stride=3, padding=(3, 3))
    pool = MaxPool1d(name="pool", inputs=("conv",), output="pool", kernel=2, stride=2)
    tensors["pool"] = Tensor("pool", (16, 4), tensors["conv"].scale, -128)
    flat = Reshape(name="flat", inputs=("pool",), output="flat", shape=(64,))
    tensors["flat"] = Tensor("flat", (64,), tensors["conv"].scale, -128)
    for operation in (pool, flat):
        operations.append(operation)
        values[operation.output] = operation.run(tensors, values[operation.inputs[0]])
    weighted(Dense, "hidden", "flat", 8, relu=True)
    weighted(Dense, "pace", "rhythm", 2, relu=True)
    joined = {name: tensors[name] for name in ("hidden", "pace")}
    scale = max(each.scale for each in joined.values())
    for name in joined:
        tensors[name] = Tensor(name, tensors[name].shape, scale, -128)
    operations.append(Concat(name="join", inputs=("hidden", "pace"), output="join", axis=0))
    tensors["join"] = Tensor("join", (10,), scale, -128)
    values["hidden"] = operations[3].run(tensors, values["flat"])
    values["pace"] = operations[4].run(tensors, values["rhythm"])
    values["join"] = operations[5].run(tensors, values["hidden"], values["pace"])
    weighted(Dense, "logits", "join", len(CLASSES), relu=False)
    return IntegerNetwork(tensors, ("signal", "rhythm"), ("logits",), tuple(operations))
