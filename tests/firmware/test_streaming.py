"""What the streaming plan keeps, held against every window computed alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from edgeprune.errors import NetworkError
from edgeprune.firmware.streaming import StreamingPlan, least_hop, streaming_plan
from edgeprune.network import Conv1d, IntegerNetwork, Operation, Tensor
from tests.firmware.networks import r1, residual
from tests.network.strategies import networks

WINDOWS = 4


def windows(network: IntegerNetwork, hop: int, seed: int, count: int = WINDOWS) -> list[np.ndarray]:
    """Return the inputs of `count` windows that move by `hop`, other inputs new in each."""
    random = np.random.default_rng(seed)
    length, channels = network.input_tensors[0].shape
    signal = random.integers(-128, 128, (length + hop * (count - 1), channels)).astype(np.int8)
    moved = np.stack([signal[hop * index : hop * index + length] for index in range(count)])
    others = [
        random.integers(-128, 128, (count, *tensor.shape)).astype(np.int8)
        for tensor in network.input_tensors[1:]
    ]
    return [moved, *others]


def stream(network: IntegerNetwork, plan: StreamingPlan, inputs: list[np.ndarray]) -> np.ndarray:
    """Compute windows one after another; of rows that are kept, nothing but the old ones is used.

    A row is computed again by running the operation whole and taking that row.
    """
    random = np.random.default_rng(0)
    held: dict[str, np.ndarray] = {}
    logits = []
    for number in range(len(inputs[0])):
        for tensor, values in zip(network.input_tensors, inputs, strict=True):
            held[tensor.name] = values[number : number + 1]
        for operation in network.operations:
            computed = operation.run(network.tensors, *(held[name] for name in operation.inputs))
            overlap = plan.overlaps[operation.output]
            if number and overlap.kept:
                memory = np.roll(held[operation.output], -overlap.shift, axis=1)
                wrong = random.integers(-128, 128, memory.shape)
                memory[:, : overlap.left] = wrong[:, : overlap.left]
                memory[:, overlap.length - overlap.shift :] = 99
                for first, count in overlap.ranges():
                    memory[:, first : first + count] = computed[:, first : first + count]
                computed = memory
            held[operation.output] = computed
        logits.append(held[network.output][0])
    return np.stack(logits)


@given(networks(), st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_streamed_windows_equal_windows_alone(
    network: IntegerNetwork, steps: int, seed: int
) -> None:
    hop = steps * least_hop(network)
    try:
        plan = streaming_plan(network, hop)
    except NetworkError:
        reject()
    inputs = windows(network, hop, seed)
    assert (stream(network, plan, inputs) == network.run(*inputs)).all()
    assert 0 <= plan.multiply_accumulates <= plan.window_multiply_accumulates


def conv(name: str, source: Tensor, **window: object) -> tuple[Operation, Tensor]:
    random = np.random.default_rng(3)
    fields = {"kernel": 3, "stride": 1, "dilation": 1, "padding": (0, 0)} | window
    kernel = fields.pop("kernel")
    operation = Conv1d(
        name=name,
        inputs=(source.name,),
        output=name,
        weights=random.integers(-90, 90, (4, kernel, source.shape[1])).astype(np.int8),
        bias=np.zeros(4, np.int32),
        weight_scales=np.full(4, 0.01, np.float32),
        **fields,
    )
    return operation, Tensor(name, operation.output_shape(source.shape), 0.5, 3)


def one_conv(length: int, **window: object) -> IntegerNetwork:
    signal = Tensor("signal", (length, 2), 0.125, 5)
    operation, output = conv("conv", signal, **window)
    return IntegerNetwork({"signal": signal, "conv": output}, ("signal",), ("conv",), (operation,))


@given(
    st.integers(4, 60),
    st.integers(1, 7),
    st.integers(1, 3),
    st.integers(1, 3),
    st.tuples(st.integers(0, 9), st.integers(0, 9)),
    st.integers(1, 4),
)
@settings(max_examples=300, deadline=None)
def test_nothing_is_computed_that_could_be_kept(
    length: int, kernel: int, stride: int, dilation: int, padding: tuple[int, int], steps: int
) -> None:
    """Of one convolution: a row outside the ranges reads the same cells, each row inside others.

    Told by marking the cells: padding 0, every sample its time, so equal reads are equal rows.
    """
    hop = stride * steps
    assume(hop < length and (kernel - 1) * dilation + 1 <= length + sum(padding))
    network = one_conv(length, kernel=kernel, stride=stride, dilation=dilation, padding=padding)
    times = np.arange(1, length + hop + 1)

    def reads(start: int) -> np.ndarray:
        padded = np.pad(times[start : start + length], padding)
        span = (kernel - 1) * dilation + 1
        return np.stack(
            [padded[at : at + span : dilation] for at in range(0, len(padded) - span + 1, stride)]
        )

    old, new = reads(0), reads(hop)
    same = np.array(
        [at + steps < len(old) and (new[at] == old[at + steps]).all() for at in range(len(new))]
    )
    try:
        overlap = streaming_plan(network, hop).overlaps["conv"]
    except NetworkError:
        assert not same.any()
        return
    runs = "".join("x" if each else " " for each in same).split()
    assert overlap.kept == max(map(len, runs))
    assert same[overlap.left : overlap.length - overlap.right].all()


def test_r1_at_an_eighth_of_the_window() -> None:
    network = r1()
    plan = streaming_plan(network, 32)
    inputs = windows(network, 32, 1, count=8)
    assert (stream(network, plan, inputs) == network.run(*inputs)).all()
    rows = {name: (o.shift, o.left, o.right) for name, o in plan.overlaps.items() if o.kept}
    assert rows == {
        "signal": (32, 0, 32),
        "c1": (16, 1, 18),
        "c2": (16, 3, 20),
        "p3": (8, 2, 10),
        "c4": (8, 4, 12),
        "p5": (4, 2, 6),
        "c6": (4, 3, 7),
    }
    assert 4.2 < plan.window_multiply_accumulates / plan.multiply_accumulates < 4.3
    assert plan.saved == pytest.approx(0.764, abs=0.001)
    assert plan.overlaps["p7"].reason


def test_every_operator_in_one_stream() -> None:
    network = residual()
    hop = least_hop(network)
    inputs = windows(network, hop, 5, count=6)
    assert (stream(network, streaming_plan(network, hop), inputs) == network.run(*inputs)).all()


def test_hops_that_do_not_fit() -> None:
    network = r1()
    assert least_hop(network) == 8
    with pytest.raises(NetworkError, match="no multiple of its stride"):
        streaming_plan(network, 4)
    for hop in (0, 256, 300):
        with pytest.raises(NetworkError, match="cannot move"):
            streaming_plan(network, hop)
    with pytest.raises(NetworkError, match="share no result"):
        streaming_plan(one_conv(12, kernel=9), 8)


def test_ranges_in_units() -> None:
    overlap = streaming_plan(r1(), 32).overlaps["c2"]
    assert overlap.ranges() == ((0, 3), (108, 20))
    assert overlap.ranges(4) == ((0, 4), (108, 20))
    assert overlap.ranges(8) == ((0, 8), (104, 24))
    assert overlap.ranges(0) == ((0, 128),)
    assert streaming_plan(r1(), 32).overlaps["logits"].ranges(1) == ((0, 1),)
