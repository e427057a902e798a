"""Tables, products and differences in the generated C, over every value of their operands."""

from __future__ import annotations

import numpy as np
import pytest

from edgeprune.network import (
    AveragePool1d,
    IntegerNetwork,
    Mul,
    Operation,
    Reshape,
    Sub,
    Table,
    Tensor,
)
from edgeprune.network.functions import FUNCTIONS
from tests.firmware.conftest import Make
from tests.firmware.library import Library


def gated(seed: int) -> IntegerNetwork:
    """Return `(x * mean of f(x)) - f(x) * f(x)` over a map, its logits all of its values."""
    random = np.random.default_rng(seed)
    name = FUNCTIONS.names()[seed % len(FUNCTIONS)]
    function = FUNCTIONS.get(name)
    parameters = tuple(function.parameters.values())
    shape = (64, 4)
    scales = np.exp2(random.uniform(-6, -4, 6)).astype(np.float32)
    names = ("signal", "curved", "gated", "squared", "left", "logits")
    shapes = dict.fromkeys(names, shape) | {"logits": (256,)}
    tensors = {
        each: Tensor(each, shapes[each], float(scale), int(random.integers(-128, 128)))
        for each, scale in zip(names, scales, strict=True)
    }
    curved, left = tensors["curved"], tensors["left"]
    tensors["gate"] = Tensor("gate", (1, 4), curved.scale, curved.zero_point)
    tensors["logits"] = Tensor("logits", (256,), left.scale, left.zero_point)
    entries = function.entries(parameters, tensors["signal"], curved)
    operations: list[Operation] = [
        Table(
            name="curve",
            inputs=("signal",),
            output="curved",
            function=name,
            arguments=parameters,
            entries=entries,
        ),
        AveragePool1d(name="mean", inputs=("curved",), output="gate", kernel=64, stride=1),
        Mul(name="gating", inputs=("signal", "gate"), output="gated", clamp_high=90),
        Mul(name="square", inputs=("curved", "curved"), output="squared"),
        Sub(name="difference", inputs=("gated", "squared"), output="left", clamp_low=-100),
        Reshape(name="flat", inputs=("left",), output="logits", shape=(256,)),
    ]
    return IntegerNetwork(tensors, ("signal",), ("logits",), tuple(operations))


@pytest.mark.parametrize("seed", range(2))
def test_every_layer_for_all_int8_values(make_sources: Make, host_compiler: str, seed: int) -> None:
    network = gated(seed)
    random = np.random.default_rng(seed)
    every = np.arange(-128, 128, dtype=np.int8)
    windows = np.stack([random.permutation(every) for _ in range(20)]).reshape(20, 64, 4)
    library = Library(make_sources(network), host_compiler)
    expected = network.run_layers(windows)
    for name, values in library.host.run_layers(windows).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    np.testing.assert_array_equal(library.host.run(windows), expected["logits"])
    steps, logits = library.stepped(windows[3])
    assert steps >= 1
    np.testing.assert_array_equal(logits, expected["logits"][3])
