"""The memory plan against an independent look at what is alive."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings

from edgeprune.firmware.plan import memory_plan
from edgeprune.firmware.steps import scratch_bytes
from edgeprune.network import IntegerNetwork
from tests.firmware.networks import r1, residual
from tests.network.strategies import networks


def replay(network: IntegerNetwork) -> None:
    """Execute the plan on tokens: every byte must still hold what was written when it is read."""
    plan = memory_plan(network)
    fresh = itertools.count(1)
    sizes = {"arena": plan.arena_bytes, "logits": network.output_tensor.size}
    sizes |= {
        region: tensor.size
        for region, tensor in zip(("signal", "rhythm"), network.input_tensors, strict=False)
    }
    memory = {region: np.zeros(size, np.int64) for region, size in sizes.items()}
    tokens: dict[str, np.ndarray] = {}

    def bytes_of(name: str) -> np.ndarray:
        place, size = plan.places[name], network.tensors[name].size
        return memory[place.region][place.offset : place.offset + size]

    def write(name: str) -> None:
        tokens[name] = np.fromiter(fresh, np.int64, network.tensors[name].size)
        bytes_of(name)[:] = tokens[name]

    for name in network.inputs:
        write(name)
    for operation in network.operations:
        calls = operation.c_calls(network.tensors)
        for source in operation.inputs:
            assert (bytes_of(source) == tokens[source]).all(), (operation.name, source)
        for call in calls:
            start = plan.scratch.get(network.operations.index(operation), 0)
            memory["arena"][start : start + scratch_bytes(call)] = -1
            for source in operation.inputs:
                assert (bytes_of(source) == tokens[source]).all(), "scratch lies on an input"
        if operation.aliases_input:
            tokens[operation.output] = tokens[operation.inputs[0]]
        elif calls[0].kernel == "copy":
            rows = calls[0].parameters["rows"]
            pieces = [tokens[source].reshape(rows, -1) for source in operation.inputs]
            tokens[operation.output] = np.concatenate(pieces, axis=1).ravel()
            for number, call in enumerate(calls):
                if (operation.name, number) not in plan.in_place:
                    source = bytes_of(operation.inputs[call.inputs[0]]).reshape(rows, -1)
                    first = call.parameters["output_offset"]
                    target = bytes_of(operation.output).reshape(rows, -1)
                    target[:, first : first + source.shape[1]] = source
        else:
            write(operation.output)
        assert (bytes_of(operation.output) == tokens[operation.output]).all(), operation.name
    assert (bytes_of(network.output) == tokens[network.output]).all()


@given(networks())
@settings(max_examples=100, deadline=None)
def test_nothing_is_overwritten_before_its_last_use(network: IntegerNetwork) -> None:
    replay(network)
    plan = memory_plan(network)
    assert plan.lower_bound_bytes <= plan.arena_bytes
    assert plan.proven_minimal or plan.lower_bound_bytes < plan.arena_bytes
    assert sum(size for _, size in plan.peak) == plan.lower_bound_bytes


def test_every_operator_in_one_plan() -> None:
    network = residual()
    replay(network)
    plan = memory_plan(network)
    # The concatenation of vectors moves nothing, the sum overwrites one of its inputs.
    assert {name for name, _ in plan.in_place} == {"both"}
    assert plan.places["sum"] in (plan.places["stem"], plan.places["point"])


def test_r1_needs_no_more_than_its_peak() -> None:
    plan = memory_plan(r1())
    assert plan.arena_bytes == plan.lower_bound_bytes == 4096 + 2048 + 640
    assert plan.peak_operation == "c2"
    assert plan.places["flat"] == plan.places["p7"]
    assert plan.places["logits"].region == "logits"
