"""Small networks written out by hand, for tests that must know every number."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.network import Dense, IntegerNetwork, Operation, Tensor


def tensor(name: str, *shape: int, scale: float = 0.5, zero_point: int = 0) -> Tensor:
    return Tensor(name, shape, scale, zero_point)


def network_of(operation: Operation, output: Tensor, *inputs: Tensor) -> IntegerNetwork:
    """Return the network of one operation."""
    tensors = {each.name: each for each in (*inputs, output)}
    return IntegerNetwork(tensors, tuple(i.name for i in inputs), (output.name,), (operation,))


def dense_network(
    weights: npt.ArrayLike, bias: npt.ArrayLike, *, factor: float = 1.0, zero_point: int = 0
) -> IntegerNetwork:
    """Return a network of one dense layer whose accumulators are multiplied by `factor`."""
    matrix = np.asarray(weights, np.int8)
    signal = tensor("signal", matrix.shape[1], scale=1.0)
    logits = tensor("logits", matrix.shape[0], scale=1 / factor, zero_point=zero_point)
    operation = Dense(
        **header("logits", "signal"),
        weights=matrix,
        bias=np.asarray(bias, np.int32),
        weight_scales=np.ones(1, np.float32),
    )
    return network_of(operation, logits, signal)


def header(output: str, *inputs: str) -> dict[str, Any]:
    return {"name": f"make_{output}", "inputs": inputs, "output": output}
