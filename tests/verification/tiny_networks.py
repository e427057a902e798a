"""Random networks so small that every member of their input set can be run.

`tiny_case(seed)` is much faster than the hypothesis strategies, and its networks are tight where a
bound can be wrong: ranges in which the set moves a value by a few steps, clamps in the middle of
what a neuron does, factors for which both roundings matter, decisions that hold or fail by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt

from edgeprune.data.held_front_end import HeldBeats
from edgeprune.errors import NetworkError
from edgeprune.network import (
    Add,
    AveragePool1d,
    Concat,
    Conv1d,
    Dense,
    DepthwiseConv1d,
    IntegerNetwork,
    MaxPool1d,
    Mul,
    Operation,
    Requantize,
    Reshape,
    Sub,
    Table,
    Tensor,
)
from edgeprune.network.functions import FUNCTIONS
from edgeprune.network.operation import ClampedOperation
from edgeprune.network.tensor import Int8Array, Int64Array
from edgeprune.network.weighted import WeightedOperation
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.perturbations import Perturbation

_MOST_MEMBERS = 256


@dataclass(frozen=True, eq=False)
class SharedChange:
    """A change that enters all channels of the signal alike, before each is rounded and clipped.

    `signal[w, s, channel] = clip(floor(centre[w, s, channel] + gain[w] * d[s] + 1/2))` for whole
    numbers |d[s]| <= reach[w, s] whose absolute values add up to at most `budget[w]`.
    """

    centre: npt.NDArray[np.float64]
    gain: npt.NDArray[np.float64]
    reach: Int64Array
    budget: Int64Array

    def members(self, window: int) -> tuple[Int64Array, Int8Array]:
        """Return every change d [members, length] of a window and its signal."""
        ranges = [range(-reach, reach + 1) for reach in self.reach[window].tolist()]
        changes = np.array(list(product(*ranges)), np.int64)
        changes = changes[np.abs(changes).sum(axis=1) <= self.budget[window]]
        moved = self.centre[window] + self.gain[window] * changes[:, :, np.newaxis]
        return changes, np.clip(np.floor(moved + 0.5), -128, 127).astype(np.int8)

    def support(self, directions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return max <direction, gain * d> for directions [m, length] or [n, m, length]."""
        wide = np.broadcast_to(directions, (len(self.gain), *directions.shape[-2:]))
        # The budget goes to the steepest samples first.
        order = np.argsort(-np.abs(wide), axis=2)
        steep = np.take_along_axis(np.abs(wide), order, axis=2)
        reach = np.broadcast_to(self.reach[:, np.newaxis], wide.shape)
        room = np.take_along_axis(reach, order, axis=2)
        before = np.cumsum(room, axis=2) - room
        used = np.clip(self.budget[:, np.newaxis, np.newaxis] - before, 0, room)
        largest: npt.NDArray[np.float64] = (steep * used).sum(axis=2) * self.gain[:, np.newaxis]
        return largest * (1 + 1e-12)


@dataclass(frozen=True, eq=False)
class TinyCase:
    """A network, the input set of each of some windows, and every member of those sets.

    Args:
        seed: What it was drawn with.
        network: The network.
        low: Least inputs, int8 [windows, ...] for each input of the network.
        high: Greatest inputs; the set is all that lies between, or less (`shared`).
        centre: A member of each window's set.
        owner: The window of each member [members].
        members: Inputs of all members of all sets.
        shared: What the signal's set is where it is smaller than its box.
        loose: By how many LSB a layer may be off: members then are runs of some runtimes.
        held: What the set's perturbation moves, where the set is that of one.
        perturbation: It.
        complete: Whether the members are all of the set, or some.
    """

    seed: int
    network: IntegerNetwork
    low: tuple[Int8Array, ...]
    high: tuple[Int8Array, ...]
    centre: tuple[Int8Array, ...]
    owner: Int64Array
    members: tuple[Int8Array, ...]
    shared: SharedChange | None
    loose: int = 0
    held: HeldBeats | HeldInputs | None = None
    perturbation: Perturbation | None = None
    complete: bool = True

    @property
    def windows(self) -> int:
        return len(self.low[0])

    @cached_property
    def layers(self) -> dict[str, Int8Array]:
        """Every tensor for every member."""
        if self.loose:
            return self._run_loosely()
        return dict(self.network.run_layers(*self.members))

    @cached_property
    def logits(self) -> Int64Array:
        """Logits of every member [members, classes]."""
        return self.layers[self.network.output].astype(np.int64)

    @cached_property
    def decisions(self) -> Int64Array:
        """What the network decides at each centre [windows]."""
        return self.network.predict(*self.centre)

    @cached_property
    def holds(self) -> npt.NDArray[np.bool_]:
        """Whether each window's decision is the same for all of its members: the truth."""
        same = self.logits.argmax(axis=1) == self.decisions[self.owner]
        return np.array([same[self.owner == window].all() for window in range(self.windows)])

    def _run_loosely(self) -> dict[str, Int8Array]:
        """Run the members as runtimes would that are off wherever they may: up, down, anyhow."""
        random = np.random.default_rng(self.seed)
        values = dict(zip(self.network.inputs, self.members, strict=True))
        for operation in self.network.operations:
            operands = [values[name] for name in operation.inputs]
            rounds = isinstance(operation, ClampedOperation) and operation.kind != "max_pool1d"
            if not rounds:
                values[operation.output] = operation.run(self.network.tensors, *operands)
                continue
            free = replace(operation, clamp_low=-128, clamp_high=127)
            exact = free.run(self.network.tensors, *operands).astype(np.int64)
            anyhow = random.integers(-self.loose, self.loose + 1, exact.shape)
            one_way = self.loose * random.choice([-1, 1], (len(exact), *[1] * (exact.ndim - 1)))
            is_anyhow = random.random(one_way.shape) < 0.5
            moved = exact + np.where(is_anyhow, anyhow, one_way)
            # They are off before they saturate: what lay far beyond an int8 stays at its end.
            moved = np.where((exact == -128) | (exact == 127), exact, moved)
            clamped = np.clip(moved, operation.clamp_low, operation.clamp_high)
            values[operation.output] = clamped.astype(np.int8)
        return values

    def least_margin(self, window: int, other: int) -> int:
        """Return the least of logit[decision] - logit[other] over a window's members."""
        logits = self.logits[self.owner == window]
        return int((logits[:, self.decisions[window]] - logits[:, other]).min())


@dataclass
class _Sketch:
    """A network under construction beside the values that its set gives every tensor."""

    random: np.random.Generator
    owner: Int64Array
    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Int8Array] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)

    def zero_point(self) -> int:
        return int(self.random.choice([-128, -1, 0, 127, self.random.integers(-128, 128)]))

    def spread(self, values: npt.NDArray[np.float64]) -> float:
        """Return by how much the set of one window moves any value [members, ...] at most."""
        windows = range(int(self.owner[-1]) + 1)
        return max(float(np.ptp(values[self.owner == each], axis=0).max()) for each in windows)

    def header(self, *inputs: str) -> dict[str, object]:
        number = len(self.operations)
        return {"name": f"op{number}", "inputs": inputs, "output": f"t{number}"}

    def append(self, operation: Operation, scale: float, zero_point: int) -> str:
        shapes = (self.tensors[name].shape for name in operation.inputs)
        shape = operation.output_shape(*shapes)
        output = Tensor(operation.output, shape, float(np.float32(scale)), zero_point)
        tensors = self.tensors | {output.name: output}
        operation.check(tensors)
        operands = (self.values[name] for name in operation.inputs)
        self.values[output.name] = operation.run(tensors, *operands)
        self.tensors[output.name] = output
        self.operations.append(operation)
        return output.name

    def clamp(self, zero_point: int, middle: int, spread: float) -> dict[str, int]:
        """Return no clamp, a rectifier, or two clamps around where the values are."""
        kind = self.random.integers(0, 4)
        if kind == 0:
            return {}
        if kind == 1:
            return {"clamp_low": zero_point, "clamp_high": 127}
        ends = middle + spread * self.random.uniform(-0.6, 0.6, 2)
        low, high = np.clip(np.sort(ends.round()), -128, 127).astype(int).tolist()
        return {"clamp_low": low, "clamp_high": max(high, low)}

    def weights(self, shape: tuple[int, ...]) -> Int8Array:
        size = int(self.random.choice([2, 6, 30, 127]))
        values = self.random.integers(-size, size + 1, shape)
        return values.astype(np.int8)

    def weighted(
        self, source: str, make: Callable[..., WeightedOperation], outputs: int, scales: int
    ) -> str:
        """Append a weighted operation whose output moves by a few to a few hundred steps."""
        tensor = self.tensors[source]
        ratios = np.exp2(self.random.uniform(-1, 1, scales))
        weight_scales = (ratios * 2.0**-6).astype(np.float32)
        base = make(
            **self.header(source), bias=np.zeros(outputs, np.int32), weight_scales=weight_scales
        )
        centred = self.values[source].astype(np.float64) - tensor.zero_point
        sums = base.weighted_sums(centred, base.weights.astype(np.float64))
        flat = sums.reshape(len(sums), -1, outputs)
        spread = max(self.spread(flat), 1.0)
        steps = 2.0 ** self.random.uniform(1, 8)
        if self.random.random() < 0.3:
            steps = spread * 2.0 ** self.random.uniform(-3, 0.5)  # the second rounding is felt
        steps = min(steps, 500.0)
        # The bias suits one position of one member, mostly where the set moves something: there
        # the values are near zero.
        member = self.random.integers(0, len(flat))
        moves = np.ptp(flat[self.owner == self.owner[member]], axis=0)
        weight = moves.max(axis=1) + 0.05 * spread
        position = self.random.choice(len(weight), p=weight / weight.sum())
        middles = flat[member, position]
        bias = -middles + spread * self.random.uniform(-0.6, 0.6, outputs)
        zero_point = self.zero_point()
        operation = make(
            **self.header(source),
            bias=bias.round().astype(np.int32),
            weight_scales=weight_scales,
            **self.clamp(zero_point, zero_point, steps),
        )
        scale = tensor.scale * float(weight_scales.max()) * spread / steps
        return self.append(operation, scale, zero_point)

    def network(self, inputs: Sequence[str]) -> IntegerNetwork:
        needed = {self.operations[-1].output}
        for operation in reversed(self.operations):
            if operation.output in needed:
                needed |= set(operation.inputs)
        return IntegerNetwork(
            {name: tensor for name, tensor in self.tensors.items() if name in needed},
            tuple(name for name in inputs if name in needed),
            (self.operations[-1].output,),
            tuple(operation for operation in self.operations if operation.output in needed),
        )


def _window(sketch: _Sketch, length: int) -> dict[str, object]:
    random = sketch.random
    padding = (int(random.integers(0, 2)), int(random.integers(0, 2)))
    return {"stride": int(random.integers(1, 3)), "padding": padding}


def _conv(sketch: _Sketch, source: str, **fixed: object) -> str:
    length, channels = sketch.tensors[source].shape
    outputs = int(fixed.pop("outputs", sketch.random.integers(1, 4)))
    kernel = int(fixed.pop("kernel", sketch.random.integers(1, min(length, 3) + 1)))
    groups = 2 if channels == 4 and outputs % 2 == 0 and sketch.random.random() < 0.5 else 1
    weights = sketch.weights((outputs, kernel, channels // groups))
    window = {**_window(sketch, length), **fixed}
    return sketch.weighted(
        source,
        lambda **fields: Conv1d(weights=weights, groups=groups, **window, **fields),
        outputs,
        outputs,
    )


def _depthwise(sketch: _Sketch, source: str) -> str:
    length, channels = sketch.tensors[source].shape
    if channels == 1:
        return _conv(sketch, source)
    multiplier = int(sketch.random.integers(1, 3))
    kernel = int(sketch.random.integers(1, min(length, 3) + 1))
    weights = sketch.weights((kernel, channels * multiplier))
    window = _window(sketch, length)
    return sketch.weighted(
        source,
        lambda **fields: DepthwiseConv1d(
            weights=weights, channel_multiplier=multiplier, **window, **fields
        ),
        channels * multiplier,
        channels * multiplier,
    )


def _pool(sketch: _Sketch, source: str) -> str:
    tensor = sketch.tensors[source]
    kernel = int(sketch.random.integers(1, tensor.shape[0] + 1))
    stride = int(sketch.random.integers(1, 3))
    values = sketch.values[source].astype(np.float64)
    spread = sketch.spread(values)
    fields = {
        **sketch.header(source),
        "kernel": kernel,
        "stride": stride,
        **sketch.clamp(tensor.zero_point, int(np.median(values)), spread),
    }
    operation: Operation
    if sketch.random.random() < 0.5:
        padding = tuple(sketch.random.integers(0, kernel // 2 + 1, 2).tolist())
        operation = MaxPool1d(**fields, padding=padding)
    else:
        operation = AveragePool1d(**fields)
        if sketch.random.random() < 0.3:
            same = operation.sliding.same_padding(tensor.shape[0])
            operation = AveragePool1d(**fields, padding=same)
    return sketch.append(operation, tensor.scale, tensor.zero_point)


def _add(sketch: _Sketch, first: str, second: str, operator: type[Add] | type[Sub] = Add) -> str:
    scales = [sketch.tensors[name].scale for name in (first, second)]
    scale = float(np.mean(scales)) * 2.0 ** sketch.random.uniform(-1.5, 1.5)
    zero_point = sketch.zero_point()
    pair = (first, second) if sketch.random.random() < 0.5 else (second, first)
    centre = (
        zero_point
        + sum(
            sign
            * float(np.median(sketch.values[name]) - sketch.tensors[name].zero_point)
            * sketch.tensors[name].scale
            for name, sign in zip(pair, (1, operator.sign), strict=True)
        )
        / scale
    )
    # The zero point follows the values, or all of them would be clipped.
    zero_point = int(np.clip(zero_point - round(centre), -128, 127))
    clamp = sketch.clamp(zero_point, 0, 40.0)
    return sketch.append(operator(**sketch.header(*pair), **clamp), scale, zero_point)


def _difference(sketch: _Sketch, source: str) -> str:
    """A map less a convolution of it, or the other way round."""
    channels = sketch.tensors[source].shape[1]
    other = _conv(sketch, source, kernel=1, outputs=channels, stride=1, padding=(0, 0))
    return _add(sketch, source, other, Sub)


def _mul(sketch: _Sketch, source: str) -> str:
    """A map times a convolution of it, or times one number a channel."""
    tensor = sketch.tensors[source]
    length, channels = tensor.shape
    if sketch.random.random() < 0.5:
        other = _conv(sketch, source, kernel=1, outputs=channels, stride=1, padding=(0, 0))
    else:
        pool = AveragePool1d(**sketch.header(source), kernel=length, stride=1)
        other = sketch.append(pool, tensor.scale, tensor.zero_point)
    pair = source, other
    first, second = (
        sketch.values[name].astype(np.float64) - sketch.tensors[name].zero_point for name in pair
    )
    products = first * second
    unit = tensor.scale * sketch.tensors[other].scale
    steps = min(2.0 ** sketch.random.uniform(2, 7), 200.0)
    scale = unit * max(sketch.spread(products), 1.0) / steps
    zero_point = int(np.clip(-np.median(products) * unit / scale, -128, 127))
    clamp = sketch.clamp(zero_point, 0, 40.0)
    return sketch.append(Mul(**sketch.header(*pair), **clamp), scale, zero_point)


def _table(sketch: _Sketch, source: str) -> str:
    tensor = sketch.tensors[source]
    # Where the values are, the function bends: the range is such that they are of about one.
    middle = float(np.median(sketch.values[source]))
    reach = sketch.random.uniform(1, 4) / max(sketch.spread(sketch.values[source] * 1.0), 1.0)
    moved = sketch.append(
        Requantize(**sketch.header(source)),
        tensor.scale,
        int(np.clip(tensor.zero_point - middle, -128, 127)),
    )
    near = replace(sketch.tensors[moved], scale=float(np.float32(reach)))
    name = str(sketch.random.choice(FUNCTIONS.names()))
    function = FUNCTIONS.get(name)
    parameters = tuple(float(np.float32(each)) for each in function.parameters.values())
    scale = float(np.float32(2.0 ** sketch.random.uniform(-7, -4)))
    target = Tensor("", tensor.shape, scale, sketch.zero_point())
    entries = function.entries(parameters, near, target)
    header = sketch.header(moved)
    operation = Table(**header, function=name, arguments=parameters, entries=entries)
    return sketch.append(operation, scale, target.zero_point)


def _residual(sketch: _Sketch, source: str) -> str:
    """A convolution around which its input is added back, as it is or projected."""
    channels = sketch.tensors[source].shape[1]
    if sketch.random.random() < 0.5:
        branch = _conv(sketch, source, kernel=1, outputs=channels, stride=1, padding=(0, 0))
        return _add(sketch, source, branch)
    outputs = int(sketch.random.integers(1, 3))
    geometry = {"kernel": 1, "outputs": outputs, "stride": 1, "padding": (0, 0)}
    return _add(sketch, _conv(sketch, source, **geometry), _conv(sketch, source, **geometry))


def _branches(sketch: _Sketch, source: str) -> str:
    """Two convolutions of one input, joined along the channels."""
    geometry = {"kernel": 1, "stride": 1, "padding": (0, 0)}
    first = _conv(sketch, source, **geometry)
    second = _aligned(sketch, _conv(sketch, source, **geometry), first)
    return _join(sketch, first, second, axis=1)


def _requantize(sketch: _Sketch, source: str) -> str:
    tensor = sketch.tensors[source]
    scale = tensor.scale * 2.0 ** sketch.random.uniform(-1, 2)
    zero_point = sketch.zero_point()
    middle = float(np.median(sketch.values[source])) - tensor.zero_point
    zero_point = int(np.clip(zero_point - middle * tensor.scale / scale, -128, 127))
    clamp = sketch.clamp(zero_point, 0, 40.0)
    return sketch.append(Requantize(**sketch.header(source), **clamp), scale, zero_point)


def _aligned(sketch: _Sketch, source: str, to: str) -> str:
    """Bring a tensor into the range of another."""
    target = sketch.tensors[to]
    if sketch.tensors[source].same_range(target):
        return source
    return sketch.append(Requantize(**sketch.header(source)), target.scale, target.zero_point)


def _join(sketch: _Sketch, first: str, second: str, axis: int) -> str:
    tensor = sketch.tensors[first]
    pair = (first, second) if sketch.random.random() < 0.5 else (second, first)
    operation = Concat(**sketch.header(*pair), axis=axis)
    return sketch.append(operation, tensor.scale, tensor.zero_point)


def _logits(sketch: _Sketch, source: str) -> str:
    """Append a dense layer whose decisions hold, or fail, by about one step."""
    classes = int(sketch.random.integers(2, 4))
    weights = sketch.weights((classes, sketch.tensors[source].size))
    scales = classes if sketch.random.random() < 0.5 else 1
    tensor = sketch.tensors[source]
    weight_scales = (np.exp2(sketch.random.uniform(-0.3, 0.3, scales)) * 2.0**-6).astype(np.float32)
    centred = sketch.values[source].astype(np.int64) - tensor.zero_point
    real = (centred @ weights.T.astype(np.int64)) * weight_scales
    spread = max(sketch.spread(real), float(weight_scales.max()))
    steps = 2.0 ** sketch.random.uniform(1, 7)
    if sketch.random.random() < 0.3:
        steps = spread / float(weight_scales.max()) * 2.0 ** sketch.random.uniform(-2.5, 0)
    step = spread / min(steps, 120.0)
    window = int(sketch.random.choice(sketch.owner))
    own = int(sketch.random.integers(0, classes))
    margins = (real[:, [own]] - real)[sketch.owner == window].min(axis=0)
    shift = margins + step * sketch.random.choice([-1, 0, 0, 1], classes)
    shift += step * sketch.random.uniform(-0.7, 0.7, classes)
    shift[own] = 0.0
    shift -= np.median(real)
    operation = Dense(
        **sketch.header(source),
        weights=weights,
        bias=(shift / weight_scales).round().astype(np.int32),
        weight_scales=weight_scales,
    )
    return sketch.append(operation, tensor.scale * step, int(sketch.random.integers(-60, 61)))


_STEPS = (_conv, _conv, _depthwise, _pool, _pool, _residual, _branches, _requantize)
_ELEMENTWISE = (_conv, _pool, _mul, _mul, _table, _table, _difference)


def tiny_case(seed: int, *, shared: bool | None = None, windows: int = 2) -> TinyCase:
    """Draw a network of two to five operations and all members of its windows' input sets.

    Args:
        seed: Decides everything.
        shared: Whether the signal's channels change together; drawn where it is None.
        windows: Windows with a set each.
    """
    # Every fifth is of products, tables and differences.
    steps = _ELEMENTWISE if seed % 5 == 4 else _STEPS
    return _tiny(seed, steps, shared, windows)


def elementwise_case(seed: int) -> TinyCase:
    """Draw a case of products, tables and differences."""
    return _tiny(seed, _ELEMENTWISE, None, 2)


def _tiny(seed: int, steps: Sequence[object], shared: bool | None, windows: int) -> TinyCase:
    random = np.random.default_rng(seed)
    if shared is None:
        shared = bool(random.random() < 0.3)
    return drawn(random, lambda: _draw(random, seed, steps, shared, windows))


def drawn(random: np.random.Generator, draw: Callable[[], TinyCase]) -> TinyCase:
    """Draw until the ranges fit and, mostly, until every window's members move a logit."""
    # Where nothing moves there is little to be wrong about: few of those are enough.
    least = 1.0
    while True:
        least -= 0.1
        try:
            case = draw()
        except NetworkError:
            continue
        windows = range(case.windows)
        moves = [np.ptp(case.logits[case.owner == each], axis=0).any() for each in windows]
        if np.mean(moves) >= least or random.random() < 0.1:
            return case


def loose_case(seed: int, copies: int = 4) -> TinyCase:
    """Draw a case whose members are run several times, each layer up to an LSB off."""
    case = tiny_case(seed)
    rows = np.repeat(np.arange(len(case.owner)), copies)
    members = tuple(values[rows] for values in case.members)
    return replace(case, owner=case.owner[rows], members=members, loose=1)


def _draw(
    random: np.random.Generator, seed: int, steps: Sequence[object], shared: bool, windows: int
) -> TinyCase:
    length = int(random.integers(2, 5))
    channels = 2 if shared else int(random.integers(1, 3))
    shapes: list[tuple[int, ...]] = [(length, channels)]
    if random.random() < 0.4:
        shapes.append((int(random.integers(1, 3)),))
    boxes = [_boxes(random, shape, windows) for shape in shapes]
    sets = [_box_members(random, boxes, window) for window in range(windows)]
    change = None
    if shared:
        change = _shared_change(random, windows, length)
        sets = [
            _with_signal(random, members, change.members(window)[1])
            for window, members in enumerate(sets)
        ]
    network, owner, members = network_over(random, shapes, sets, steps)
    by_window = [[values[owner == each] for each in range(windows)] for values in members]
    return TinyCase(
        seed=seed,
        network=network,
        low=tuple(np.stack([part.min(axis=0) for part in each]) for each in by_window),
        high=tuple(np.stack([part.max(axis=0) for part in each]) for each in by_window),
        centre=tuple(np.stack([part[len(part) // 2] for part in each]) for each in by_window),
        owner=owner,
        members=members,
        shared=change,
    )


def network_over(
    random: np.random.Generator,
    shapes: Sequence[tuple[int, ...]],
    sets: Sequence[tuple[Int8Array, ...]],
    steps: Sequence[object] = _STEPS,
) -> tuple[IntegerNetwork, Int64Array, tuple[Int8Array, ...]]:
    """Draw a network that is tight over given sets.

    Args:
        random: Decides everything.
        shapes: Of the signal, and perhaps of a rhythm.
        sets: The members of each window's set, for each input int8 [members, ...].
        steps: What is drawn from.

    Returns:
        The network; the window of each member; the members of all windows.

    Raises:
        NetworkError: The ranges that were drawn lie too far apart.
    """
    names = ("signal", "rhythm")[: len(shapes)]
    owner = np.repeat(np.arange(len(sets)), [len(members[0]) for members in sets])
    sketch = _Sketch(random, owner)
    for name, shape, parts in zip(names, shapes, zip(*sets, strict=True), strict=True):
        scale = float(np.float32(2.0 ** random.uniform(-6, -3)))
        values = np.concatenate(parts)
        zero_point = int(random.choice([sketch.zero_point(), int(np.median(values))]))
        sketch.tensors[name] = Tensor(name, shape, scale, zero_point)
        sketch.values[name] = values
    value = "signal"
    for _ in range(int(random.integers(1, 4))):
        value = random.choice(steps)(sketch, value)  # type: ignore[arg-type]
    tensor = sketch.tensors[value]
    flat = Reshape(**sketch.header(value), shape=(tensor.size,))
    value = sketch.append(flat, tensor.scale, tensor.zero_point)
    if len(shapes) > 1:
        value = _join(sketch, value, _aligned(sketch, "rhythm", value), axis=0)
    _logits(sketch, value)
    return sketch.network(names), owner, tuple(sketch.values[name] for name in names)


def _alike(
    random: np.random.Generator, shape: tuple[int, ...], reach: float
) -> npt.NDArray[np.float64]:
    """Return values that differ from each other about as much as a set moves them."""
    values: npt.NDArray[np.float64] = random.uniform(-reach, reach) + random.normal(
        0, 2.0 ** random.uniform(-1, 4), shape
    )
    return values.clip(-reach, reach)


def _boxes(
    random: np.random.Generator, shape: tuple[int, ...], windows: int
) -> tuple[Int64Array, Int64Array]:
    """Return the least value and the width of every coordinate; most have a width of 0."""
    low = _alike(random, (windows, *shape), 100.0).round().astype(np.int64)
    widths = np.zeros((windows, *shape), np.int64)
    flat = widths.reshape(windows, -1)
    for window in range(windows):
        most = min(flat.shape[1], int(random.choice([1, 2, 2, 3, 4])))
        chosen = random.permutation(flat.shape[1])[:most]
        flat[window, chosen] = random.integers(1, {1: 60, 2: 12, 3: 5, 4: 3}[most], most)
    return low, np.minimum(widths, 127 - low)


def _box_members(
    random: np.random.Generator,
    boxes: Sequence[tuple[Int64Array, Int64Array]],
    window: int,
) -> tuple[Int8Array, ...]:
    """Return every member of one window's box; the rhythm rests where there would be too many."""
    ranges = [widths[window].ravel() + 1 for _, widths in boxes]
    while np.prod([np.prod(each) for each in ranges]) > _MOST_MEMBERS:
        widest = max(ranges, key=np.prod)
        widest[int(widest.argmax())] -= 1
    offsets = np.array(list(product(*(range(n) for n in np.concatenate(ranges)))), np.int64)
    cuts = np.split(offsets, np.cumsum([len(each) for each in ranges])[:-1], axis=1)
    return tuple(
        (low[window] + cut.reshape(-1, *low[window].shape)).astype(np.int8)
        for (low, _), cut in zip(boxes, cuts, strict=True)
    )


def _shared_change(random: np.random.Generator, windows: int, length: int) -> SharedChange:
    reach = np.zeros((windows, length), np.int64)
    for window in range(windows):
        most = min(length, int(random.choice([1, 2, 3])))
        chosen = random.permutation(length)[:most]
        reach[window, chosen] = random.integers(1, {1: 30, 2: 7, 3: 3}[most] + 1, most)
    budget = np.where(random.random(windows) < 0.5, reach.sum(axis=1), reach.max(axis=1) + 1)
    centre = _alike(random, (windows, length, 2), 100.0)
    if random.random() < 0.3:
        centre[..., 0] = random.uniform(-135, 135, (windows, length))  # some are clipped
    return SharedChange(centre, 2.0 ** random.uniform(-1.5, 1.5, windows), reach, budget)


def _with_signal(
    random: np.random.Generator, members: tuple[Int8Array, ...], signal: Int8Array
) -> tuple[Int8Array, ...]:
    """Replace the signal's members; the other input takes each of few of its values with each."""
    others = [np.unique(each, axis=0) for each in members[1:]]
    if not others:
        return (signal,)
    (rhythm,) = others
    rhythm = _gapless(rhythm, max(1, _MOST_MEMBERS // len(signal)))
    return np.repeat(signal, len(rhythm), axis=0), np.tile(rhythm, (len(signal), 1))


def _gapless(rhythm: Int8Array, most: int) -> Int8Array:
    """Return all members of a box of at most `most` members within the box of `rhythm`."""
    low, high = rhythm.min(axis=0).astype(np.int64), rhythm.max(axis=0).astype(np.int64)
    while np.prod(high - low + 1) > most:
        widest = int((high - low).argmax())
        high[widest] -= 1
    ranges = (range(a, b + 1) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    return np.array(list(product(*ranges)), np.int8)
