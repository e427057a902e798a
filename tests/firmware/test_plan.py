"""The memory plan against an independent look at what is alive."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.firmware.plan import Buffer, allocate, memory_plan, peak_load, scratch_bytes
from edgeprune.network import IntegerNetwork
from tests.firmware.networks import r1
from tests.network.strategies import networks

BUFFERS = st.lists(
    st.tuples(st.integers(1, 8), st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=5
)


def smallest_arena(buffers: list[Buffer]) -> int:
    """Return the true optimum: first fit in every order reaches it for some order."""
    best = sum(buffer.size for buffer in buffers)
    for order in itertools.permutations(buffers):
        placed: list[tuple[int, Buffer]] = []
        for buffer in order:
            candidates = [0, *(start + other.size for start, other in placed)]
            fits = [
                offset
                for offset in candidates
                if all(
                    buffer.last < other.first
                    or other.last < buffer.first
                    or offset + buffer.size <= start
                    or start + other.size <= offset
                    for start, other in placed
                )
            ]
            placed.append((min(fits), buffer))
        best = min(best, max(start + buffer.size for start, buffer in placed))
    return best


@given(BUFFERS)
@settings(max_examples=150, deadline=None)
def test_no_overlap_and_close_to_the_optimum(drawn: list[tuple[int, int, int]]) -> None:
    buffers = [
        Buffer(f"b{index}", 4 * size, first, first + length)
        for index, (size, first, length) in enumerate(drawn)
    ]
    offsets = allocate(buffers)
    for one, two in itertools.combinations(buffers, 2):
        if one.first <= two.last and two.first <= one.last:
            apart = (
                offsets[one.name] + one.size <= offsets[two.name]
                or offsets[two.name] + two.size <= offsets[one.name]
            )
            assert apart
    used = max(offsets[buffer.name] + buffer.size for buffer in buffers)
    optimum = smallest_arena(buffers)
    assert peak_load(buffers)[0] <= optimum <= used <= 1.5 * optimum


def replay(network: IntegerNetwork) -> None:
    """Execute the plan on tokens: every byte must still hold what was written when it is read."""
    plan = memory_plan(network)
    memory: dict[tuple[str, int], tuple[str, int]] = {}

    def write(name: str, skip: range | None = None) -> None:
        place = plan.places[name]
        for byte in range(network.tensors[name].size):
            if skip is None or byte not in skip:
                memory[place.region, place.offset + byte] = (name, byte)

    def holds(name: str) -> bool:
        place = plan.places[name]
        return all(
            memory.get((place.region, place.offset + byte)) == (name, byte)
            for byte in range(network.tensors[name].size)
        )

    for name in network.inputs:
        write(name)
    for index, operation in enumerate(network.operations):
        calls = operation.c_calls(network.tensors)
        for source in operation.inputs:
            assert holds(source), f"{operation.name} reads {source} after it was overwritten"
        for call in calls:
            for byte in range(scratch_bytes(call)):
                memory["arena", plan.scratch[operation.name] + byte] = ("scratch", byte)
        output = plan.places[operation.output]
        for number, call in enumerate(calls):
            assert calls
            if (operation.name, number) in plan.in_place:
                source = plan.places[operation.inputs[call.inputs[0]]]
                start = output.offset + call.parameters["output_offset"]
                assert (source.region, source.offset) == (output.region, start)
            elif len(calls) > 1:  # a copy must not change what the next copy reads
                moved = range(network.tensors[operation.inputs[call.inputs[0]]].size)
                rows = call.parameters["rows"]
                if rows == 1:
                    for byte in moved:
                        where = output.offset + call.parameters["output_offset"] + byte
                        memory[output.region, where] = ("copied", byte)
                    for later in range(number + 1, len(calls)):
                        if (operation.name, later) not in plan.in_place:
                            assert holds(operation.inputs[calls[later].inputs[0]])
        if operation.aliases_input:
            source = plan.places[operation.inputs[0]]
            assert (source.region, source.offset) == (output.region, output.offset)
            still_needed = {
                name for later in network.operations[index + 1 :] for name in later.inputs
            }
            if operation.inputs[0] in still_needed:
                continue  # both names read the same bytes; the check below would see only one
        write(operation.output)


def without_shared_reads(network: IntegerNetwork) -> bool:
    """Whether no tensor is read again after a reshape or copy in place gave it a second name."""
    plan = memory_plan(network)
    for index, operation in enumerate(network.operations):
        named_again = operation.aliases_input or any(
            (operation.name, number) in plan.in_place
            for number in range(len(operation.c_calls(network.tensors)))
        )
        later = {name for other in network.operations[index + 1 :] for name in other.inputs}
        if named_again and (later & set(operation.inputs)):
            return False
    return True


@given(networks())
@settings(max_examples=60, deadline=None)
def test_nothing_is_overwritten_before_its_last_use(network: IntegerNetwork) -> None:
    if without_shared_reads(network):
        replay(network)
    plan = memory_plan(network)
    assert plan.lower_bound_bytes <= plan.arena_bytes
    assert sum(size for _, size in plan.peak) == plan.lower_bound_bytes


def test_r1_needs_no_more_than_its_peak() -> None:
    plan = memory_plan(r1())
    assert plan.arena_bytes == plan.lower_bound_bytes == 4096 + 2048 + 640
    assert plan.peak_operation == "c2"
    assert plan.places["flat"] == plan.places["p7"]
    assert plan.places["logits"].region == "logits"
