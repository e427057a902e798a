"""Helium kernels on QEMU's Cortex-M55 against the numpy specification."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from edgeprune.errors import NetworkError
from edgeprune.firmware.kernels import KernelCode, KernelRequest, single_request
from edgeprune.firmware.kernels.mve import MVE_GENERATORS
from edgeprune.network import (
    Add,
    AveragePool1d,
    Conv1d,
    Dense,
    DepthwiseConv1d,
    MaxPool1d,
    Requantize,
    Tensor,
)
from edgeprune.network.tensor import Int8Array
from tests.firmware.kernels.bench import expected
from tests.firmware.kernels.mve_bench import MveBench, needs_board
from tests.firmware.networks import r1
from tests.network.strategies import Sketch

pytestmark = needs_board
_PAINT = np.uint8(0xA5).view(np.int8)


class _Runs:
    """Runs of many kernels with what each must write."""

    def __init__(self, seed: int, interrupt_ticks: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.bench = MveBench(interrupt_ticks=interrupt_ticks)
        self._wanted: list[tuple[KernelCode, Int8Array, bool]] = []

    def add(
        self,
        code: KernelCode,
        request: KernelRequest,
        first: int,
        count: int,
        always_in_place: bool = False,
    ) -> None:
        """Plan one run over random inputs, extremes among them."""
        inputs = [self.values(request.source)]
        if request.other is not None:
            same = request.other.name == request.source.name
            inputs.append(inputs[0] if same else self.values(request.other))
        wanted = expected(request, *inputs)
        rows = len(wanted) if request.output.is_map else 1
        partial = np.full_like(wanted, _PAINT)
        if request.output.is_map:
            partial[first : first + count] = wanted[first : first + count]
        else:
            partial = wanted
        whole = (first, count) == (0, rows)
        in_place = always_in_place or bool(self.random.integers(0, 2))
        in_place = in_place and whole and code.overwrites_input
        over_other = whole and code.overwrites_other and not in_place
        over_other = over_other and bool(self.random.integers(0, 2))
        self.bench.add(
            code,
            request,
            *inputs,
            first=first,
            count=count,
            misalignment=int(self.random.integers(0, 4)) if not all(request.aligned) else 0,
            in_place=in_place,
            over_other=over_other,
            at_edges=not in_place and not over_other,
        )
        self._wanted.append((code, partial, whole))

    def add_all(
        self, request: KernelRequest, always_in_place: bool = False
    ) -> tuple[KernelCode, ...]:
        """Plan every candidate over the whole and over a part of the output."""
        found = []
        symbol = f"kernel_{len(self._wanted)}"
        rows = request.output.shape[0] if request.output.is_map else 1
        for index in range(len(_codes(request, symbol))):
            named = f"{symbol}_{index}"
            code = _codes(request, named)[index]
            found.append(code)
            self.add(code, request, 0, rows, always_in_place)
            if code.unit:
                first = int(self.random.integers(0, -(-rows // code.unit))) * code.unit
                room = -(-(rows - first) // code.unit)
                count = int(self.random.integers(1, room + 1)) * code.unit
                self.add(code, request, first, min(count, rows - first))
        return tuple(found)

    def values(self, tensor: Tensor) -> Int8Array:
        """Return inputs: random, or one extreme, or the other."""
        kind = self.random.integers(0, 8)
        if kind < 2:
            return np.full(tensor.shape, (-128, 127)[kind], np.int8)
        return self.random.integers(-128, 128, tensor.shape).astype(np.int8)

    def check(self) -> None:
        """Run everything; compare outputs, instructions, code and stack sizes."""
        outcomes = self.bench.execute()
        for (code, wanted, whole), outcome in zip(self._wanted, outcomes, strict=True):
            what = f"{code.symbol}: {code.approach}"
            np.testing.assert_array_equal(outcome.output, wanted, what)
            if whole and not self.bench.interrupt_ticks:
                assert outcome.instructions == code.instructions, what
                assert outcome.stack_bytes <= code.stack_bytes, what
            assert outcome.code_bytes <= code.code_bytes, what


def _codes(request: KernelRequest, symbol: str) -> tuple[KernelCode, ...]:
    named = KernelRequest(symbol, request.operations, request.tensors, request.aligned)
    return tuple(code for generator in MVE_GENERATORS for code in generator(named))


def _sketch(random: np.random.Generator, most: int = 40) -> tuple[Sketch, Tensor]:
    sketch = Sketch(random)
    channels = int(random.choice([1, 2, 3, 5, 8, 9, 15, 16, 17, 21, 32, 40]))
    return sketch, sketch.input("signal", (int(random.integers(1, most)), channels))


def _window(random: np.random.Generator, length: int) -> dict[str, object]:
    kernel, dilation = int(random.integers(1, 10)), int(random.choice([1, 1, 1, 2, 3]))
    lacking = max((kernel - 1) * dilation + 1 - length, 0)
    left, right = (int(random.integers(0, 6)) for _ in range(2))
    padding = (left + (lacking + 1) // 2, right + lacking // 2)
    stride = int(random.choice([1, 1, 2, 3, 4]))
    return {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding}


def _conv(random: np.random.Generator, groups: int = 1) -> KernelRequest:
    sketch, source = _sketch(random)
    length, channels = source.shape
    if channels % groups or groups >= channels:
        groups = 1
    outputs = groups * int(random.choice([1, 2, 3, 7, 8, 12]))
    window = _window(random, length)
    shape = (outputs, int(str(window.pop("kernel"))), channels // groups)
    weights = sketch.weights(shape)
    made = sketch.weighted(
        lambda **fields: Conv1d(weights=weights, groups=groups, **window, **fields),
        source,
        weights[0].size,
        outputs,
        outputs,
    )
    _pool(random, sketch, made)
    return KernelRequest("kernel", tuple(sketch.operations), sketch.tensors)


def _residual(random: np.random.Generator) -> KernelRequest:
    """A convolution, depthwise or not, the sum with another tensor, perhaps a global average."""
    request = (_conv, _depthwise)[int(random.integers(0, 2))](random)
    sketch = Sketch(random, dict(request.tensors), [], [request.operations[0]])
    made = sketch.tensors[request.operations[0].output]
    coarse = made.scale * 2.0 ** random.uniform(-2, 2)
    other = Tensor("other", made.shape, float(np.float32(coarse)), sketch.range()[1])
    sketch.tensors["other"] = other
    if request.source.shape == made.shape and random.integers(0, 2):
        other = request.source
    pair = (made, other) if random.integers(0, 2) else (other, made)
    scale, zero_point = sketch.range()
    scale = float(np.float32(max(made.scale, other.scale) * scale))
    header = {**sketch.header(*pair), "output": "sum"}
    total = sketch.append(Add(**header, **sketch.clamp(zero_point)), scale, zero_point)
    if random.integers(0, 2):
        fields = {**sketch.header(total), "output": "mean"}
        length = total.shape[0]
        mean = AveragePool1d(**fields, kernel=length, stride=length, **sketch.clamp(zero_point))
        sketch.append(mean, scale, zero_point)
    return KernelRequest("kernel", tuple(sketch.operations), sketch.tensors)


def _depthwise(random: np.random.Generator) -> KernelRequest:
    sketch, source = _sketch(random)
    length, channels = source.shape
    if channels == 1:
        return _conv(random)
    multiplier = int(random.choice([1, 1, 2, 3]))
    window = _window(random, length)
    weights = sketch.weights((int(str(window.pop("kernel"))), channels * multiplier))
    made = sketch.weighted(
        lambda **fields: DepthwiseConv1d(
            weights=weights, channel_multiplier=multiplier, **window, **fields
        ),
        source,
        len(weights),
        channels * multiplier,
        channels * multiplier,
    )
    _pool(random, sketch, made)
    return KernelRequest("kernel", tuple(sketch.operations), sketch.tensors)


def _pool(random: np.random.Generator, sketch: Sketch, made: Tensor) -> None:
    """Append nothing, a maximum pool or a global average."""
    kind = random.integers(0, 3)
    if kind == 0 or not sketch.operations:
        return
    operator = MaxPool1d if kind == 1 else AveragePool1d
    kernel = min(int(random.integers(2, 6)), made.shape[0]) if kind == 1 else made.shape[0]
    operation = operator(
        **sketch.header(made), kernel=kernel, stride=kernel, **sketch.clamp(made.zero_point)
    )
    sketch.append(operation, made.scale, made.zero_point)


def _random_requests(
    make: Callable[[np.random.Generator], KernelRequest], seed: int, count: int
) -> list[KernelRequest]:
    random = np.random.default_rng(seed)
    found: list[KernelRequest] = []
    while len(found) < count:
        try:
            request = make(random)
        except NetworkError:
            continue
        if request.operations:
            found.append(request)
    return found


def _check(requests: list[KernelRequest], seed: int, interrupt_ticks: int = 0) -> None:
    runs = _Runs(seed, interrupt_ticks)
    for request in requests:
        assert runs.add_all(request), f"no kernel for {[o.kind for o in request.operations]}"
    runs.check()


def test_the_plain_network_takes_half_of_what_cmsis_nn_takes() -> None:
    """CMSIS-NN with Helium takes about 400,000 instructions for these layers."""
    runs = _Runs(1)
    network = r1()
    total = 0
    for first, count in ((0, 1), (1, 2), (3, 2), (5, 2)):
        codes = runs.add_all(single_request(network, first, count))
        total += min(code.instructions for code in codes)
    runs.check()
    assert total < 110_000


@pytest.mark.parametrize("seed", range(4))
def test_convolutions_of_any_geometry(seed: int) -> None:
    _check(_random_requests(_conv, seed, 12), seed)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("groups", [2, 3, 5])
def test_grouped_convolutions(seed: int, groups: int) -> None:
    _check(_random_requests(lambda random: _conv(random, groups), 10 * seed + groups, 8), seed)


@pytest.mark.parametrize("seed", range(3))
def test_depthwise_convolutions(seed: int) -> None:
    _check(_random_requests(_depthwise, 100 + seed, 10), seed)


def test_a_pool_that_would_take_much_code_is_left_alone() -> None:
    sketch = Sketch(np.random.default_rng(3))
    source = sketch.input("signal", (96, 40))
    weights = sketch.weights((8, 9, 40))
    made = sketch.weighted(lambda **fields: Conv1d(weights=weights, **fields), source, 360, 8, 8)
    sketch.append(
        MaxPool1d(**sketch.header(made), kernel=16, stride=16), made.scale, made.zero_point
    )
    both = KernelRequest("kernel", tuple(sketch.operations), sketch.tensors)
    alone = KernelRequest("kernel", both.operations[:1], both.tensors)
    assert not _codes(both, "kernel")
    assert max(code.code_bytes for code in _codes(alone, "kernel")) < 4096


@pytest.mark.parametrize("seed", range(4))
def test_convolutions_with_a_sum(seed: int) -> None:
    _check(_random_requests(_residual, 700 + seed, 15), seed)


def test_a_sum_with_the_input_in_its_place() -> None:
    random = np.random.default_rng(4)
    sketch = Sketch(random)
    source = sketch.input("signal", (20, 7))
    weights = sketch.weights((7, 3, 7))
    made = sketch.weighted(
        lambda **fields: Conv1d(weights=weights, padding=(1, 1), **fields), source, 21, 7, 7
    )
    coarse = float(np.float32(4 * max(made.scale, source.scale)))
    sketch.append(Add(**sketch.header(made, source)), coarse, 3)
    request = KernelRequest("kernel", tuple(sketch.operations), sketch.tensors)
    runs = _Runs(1)
    places = [code.overwrites_input for code in runs.add_all(request, always_in_place=True)]
    assert {True, False} == set(places)
    runs.check()


def _dense(random: np.random.Generator) -> KernelRequest:
    sketch = Sketch(random)
    inputs = int(random.choice([1, 5, 16, 17, 64, 95, 96, 97, 130, 160, 300]))
    outputs = int(random.integers(1, 35))
    source = sketch.input("features", (inputs,))
    weights = sketch.weights((outputs, inputs))
    scales = int(random.choice([1, outputs]))
    sketch.weighted(
        lambda **fields: Dense(weights=weights, **fields), source, inputs, outputs, scales
    )
    return KernelRequest("kernel", tuple(sketch.operations), sketch.tensors)


def _elements(random: np.random.Generator) -> KernelRequest:
    sketch, source = _sketch(random)
    if random.integers(0, 3) == 0:
        source = sketch.input("features", (int(random.integers(1, 70)),))
    scale, zero_point = sketch.range()
    kind = random.integers(0, 4)
    if kind == 0:
        scale = float(np.float32(source.scale * scale))
        operation = Requantize(**sketch.header(source), **sketch.clamp(zero_point))
    else:
        coarseness = 2.0 ** random.uniform(-3, 3)
        other = source if kind == 1 else sketch.input("other", source.shape, coarseness)
        scale = float(np.float32(max(source.scale, other.scale) * scale))
        operation = Add(**sketch.header(source, other), **sketch.clamp(zero_point))
    sketch.append(operation, scale, zero_point)
    return KernelRequest("kernel", tuple(sketch.operations), sketch.tensors)


@pytest.mark.parametrize("seed", range(2))
def test_dense_layers(seed: int) -> None:
    _check(_random_requests(_dense, 200 + seed, 30), seed)


@pytest.mark.parametrize("seed", range(2))
def test_sums_and_changes_of_range(seed: int) -> None:
    _check(_random_requests(_elements, 300 + seed, 50), seed)


def _pool_alone(random: np.random.Generator) -> KernelRequest:
    sketch, source = _sketch(random)
    length = source.shape[0]
    kernel, stride = int(random.integers(1, 14)), int(random.integers(1, 5))
    fields = {"stride": stride, **sketch.clamp(source.zero_point)}
    if random.integers(0, 2):
        left, right = (int(random.integers(0, kernel)) for _ in range(2))
        operation = MaxPool1d(
            **sketch.header(source), kernel=kernel, padding=(left, right), **fields
        )
    else:
        kernel = int(random.choice([kernel, length]))
        operation = AveragePool1d(**sketch.header(source), kernel=kernel, **fields)
        same = operation.sliding.same_padding(length)
        if random.integers(0, 2):
            operation = AveragePool1d(
                **sketch.header(source), kernel=kernel, padding=same, **fields
            )
    sketch.append(operation, source.scale, source.zero_point)
    return KernelRequest("kernel", tuple(sketch.operations), sketch.tensors)


@pytest.mark.parametrize("seed", range(3))
def test_pools(seed: int) -> None:
    _check(_random_requests(_pool_alone, 400 + seed, 40), seed)


def test_interrupts_do_no_harm() -> None:
    """About every thirty instructions; the handler uses vectors, predicates and loops itself."""
    requests = [_random_requests(make, 500, 4) for make in (_conv, _depthwise, _dense)]
    requests += [_random_requests(make, 500, 8) for make in (_elements, _pool_alone)]
    _check([request for each in requests for request in each], 1, interrupt_ticks=1801)


@pytest.mark.parametrize(
    ("instruction", "misalignment", "message"),
    [
        ("ldrb r3, [r0, #-1]", 0, "fault in run 0"),
        ("add r3, r0, #32; ldrb r3, [r3]", 1, "fault in run 0"),
        ("strb r3, [r2, #-1]", 0, "writes outside its memory"),
        ("add r3, r2, #32; strb r3, [r3]", 0, "writes outside its memory"),
        ("movs r4, #0", 0, "r4-r11 are not preserved"),
        ("vmov.i8 q4, #0", 0, "d8-d15 are not preserved"),
    ],
)
def test_the_bench_notices(instruction: str, misalignment: int, message: str) -> None:
    sketch = Sketch(np.random.default_rng(1))
    source = sketch.input("signal", (8, 4))
    sketch.append(Requantize(**sketch.header(source)), source.scale, 3)
    request = KernelRequest("kernel", tuple(sketch.operations), sketch.tensors)
    code = _codes(request, "kernel")[0]
    spoiled = f"kernel:\n    {instruction}\n"
    wrong = dataclasses.replace(code, text=code.text.replace("kernel:\n", spoiled, 1))
    bench = MveBench()
    values = np.zeros(source.shape, np.int8)
    bench.add(wrong, request, values, misalignment=misalignment, at_edges=True)
    with pytest.raises(AssertionError, match=message):
        bench.execute()
