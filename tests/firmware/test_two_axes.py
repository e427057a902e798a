"""Maps of two axes in C: every layer equal, and one row in memory where all would not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeprune.devices import run_image
from edgeprune.firmware import build_host_library, compile_image, generate
from edgeprune.firmware.steps import portable_steps
from edgeprune.network import (
    AveragePool2d,
    Conv2d,
    DepthwiseConv2d,
    IntegerNetwork,
    MaxPool2d,
    Operation,
    Reshape,
    Tensor,
)
from edgeprune.targets import load_target
from tests.classifiers.eegnets import quantized_eegnet
from tests.firmware.conftest import Make, labels
from tests.firmware.library import Library
from tests.firmware.test_random_networks import TOOLCHAIN
from tests.firmware.test_streaming import windows
from tests.firmware.test_streaming_c import check_stream
from tests.network.strategies import inputs_for


def odd_map() -> IntegerNetwork:
    """Return a network with every number of a window of two axes unlike the others."""
    random = np.random.default_rng(8)
    tensors = {"signal": Tensor("signal", (11, 12), 0.0625, 7)}
    operations: list[Operation] = []

    def append(
        name: str, kind: type[Operation], source: str, scale: float, **fields: object
    ) -> str:
        if "weights" in fields:
            outputs = fields["weights"].shape[-1 if kind is DepthwiseConv2d else 0]
            fields["bias"] = random.integers(-900, 900, outputs)
            fields["weight_scales"] = random.uniform(0.005, 0.02, outputs)
        operation = kind(name=name, inputs=(source,), output=name, **fields)
        shape = operation.output_shape(tensors[source].shape)
        same = tensors[source].zero_point if scale == tensors[source].scale else -3
        tensors[name] = Tensor(name, shape, float(np.float32(scale)), same)
        operations.append(operation)
        return name

    def weights(*shape: int) -> np.ndarray:
        return random.integers(-127, 128, shape)

    value = append("high", Reshape, "signal", 0.0625, shape=(11, 3, 4))
    value = append(
        "grouped",
        Conv2d,
        value,
        0.125,
        weights=weights(6, 3, 2, 2),
        groups=2,
        stride=(1, 2),
        dilation=(2, 1),
        padding=((3, 1), (0, 2)),
        clamp_low=-40,
    )
    value = append("largest", MaxPool2d, value, 0.125, kernel=(2, 1), padding=((1, 0), (0, 0)))
    value = append(
        "depth",
        DepthwiseConv2d,
        value,
        0.25,
        weights=weights(2, 3, 12),
        channel_multiplier=2,
        stride=(2, 1),
        dilation=(1, 1),
        padding=((0, 1), (1, 2)),
    )
    value = append(
        "whole", Conv2d, value, 0.5, weights=weights(5, 2, 2, 12), padding=((1, 0), (1, 1))
    )
    value = append("mean", AveragePool2d, value, 0.5, kernel=(2, 3), stride=(2, 2), clamp_high=60)
    append("logits", Reshape, value, 0.5, shape=(tensors[value].size,))
    return IntegerNetwork(tensors, ("signal",), ("logits",), tuple(operations))  # fmt: skip


@pytest.mark.parametrize("network", [odd_map(), quantized_eegnet()[1]], ids=["odd", "eegnet"])
def test_every_layer(make_sources: Make, host_compiler: str, network: IntegerNetwork) -> None:
    windows = inputs_for(network, 5, seed=1)
    library = build_host_library(make_sources(network), compiler=host_compiler, flags=("-O1",))
    exact = network.run_layers(*windows)
    layers = library.run_layers(*windows)
    for name, values in layers.items():
        np.testing.assert_array_equal(values, exact[name], err_msg=name)
    np.testing.assert_array_equal(library.run(*windows), network.run(*windows))


def test_filters_in_time_hand_their_rows_on(make_sources: Make) -> None:
    _, network = quantized_eegnet()
    kernels = [step.kernel for step in portable_steps(network)]
    assert kernels[:2] == ["", "conv2d_depthwise_conv2d"]
    first = next(each for each in network.operations if each.kind == "conv2d")
    spatial = next(each for each in network.operations if each.kind == "depthwise_conv2d")
    size, weighed = (network.tensors[each.output].size for each in (first, spatial))
    plan = make_sources(network).portable.plan
    assert first.output not in plan.places
    # What the electrodes are weighed up to, two pools, and one row: never the filters' output.
    assert weighed < plan.arena_bytes < 2 * weighed + 16 * 9 < size


def test_few_electrodes_and_later_readers_do_not() -> None:
    """Below four electrodes, and where a reader sees several rows, the whole is in memory."""
    kernels = [step.kernel for step in portable_steps(odd_map())]
    assert "conv2d" in kernels
    assert not any("_conv2d_" in kernel for kernel in kernels if kernel.startswith("conv2d"))


def test_rows_of_a_stream_are_handed_on(tmp_path: Path, host_compiler: str) -> None:
    _, network = quantized_eegnet()
    sources = generate(network, None, load_target("host"), labels(network), tmp_path / "c", hop=32)
    assert sources.portable.stream is not None
    check_stream(Library(sources, host_compiler), network, 32, moves=2)


def test_with_dsp_instructions_nothing_is_stored_until_the_first_pool(tmp_path: Path) -> None:
    _, network = quantized_eegnet()
    sources = generate(network, None, load_target("cortex-m7"), labels(network), tmp_path / "c")
    program = sources.program
    first = next(layer for layer in program.layers if layer.symbol)
    assert first.kernel == "conv2d_depthwise_conv2d_table_average_pool1d"
    made = [operation.output for operation in first.step.operations]
    assert [name in program.plan.places for name in made] == [False, False, False, False, True]


@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4", "cortex-m7"])
def test_cores_compute_it_whole_in_steps_and_portably(tmp_path: Path, target: str) -> None:
    _, network = quantized_eegnet()
    core, folder = load_target(target), tmp_path / "c"
    sources = generate(network, None, core, labels(network), folder, small_steps=True, guards=True)
    elf = tmp_path / "image.elf"
    compile_image(sources, core, elf, toolchain=TOOLCHAIN, program="twin")
    (signal,) = inputs_for(network, 2, seed=4)
    run = run_image(elf, core, signal, None, network.output_tensor.size)
    np.testing.assert_array_equal(run.logits, network.run(signal))


def test_a_core_computes_a_stream(tmp_path: Path) -> None:
    _, network = quantized_eegnet()
    core, hop = load_target("cortex-m7"), 32
    sources = generate(network, None, core, labels(network), tmp_path / "c", hop=hop)
    elf = tmp_path / "image.elf"
    compile_image(sources, core, elf, toolchain=TOOLCHAIN, program="stream")
    (signal,) = windows(network, hop, 3, count=4)
    run = run_image(elf, core, signal, None, network.output_tensor.size)
    np.testing.assert_array_equal(run.logits, network.run(signal))
