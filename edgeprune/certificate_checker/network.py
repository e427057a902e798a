"""A network read from its file and computed with in whole numbers, from the formats alone.

Nothing here is shared with the prover. Every rounding layer becomes a *linear* map with integer
weights followed by *stairs*: for each output value the least accumulator that reaches it, found by
bisection on the exact fixed-point arithmetic. Values, intervals and relaxations are all read off
the same stairs.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.certificate_checker import maps
from edgeprune.certificate_checker.elementwise import Product, Table
from edgeprune.certificate_checker.stairs import (
    LEAST,
    MOST,
    REACH,
    Ints,
    Linear,
    Refused,
    Stairs,
    requantizer,
    stairs,
)


@dataclass(frozen=True, eq=False)
class Step:
    """`stairs(constant + sum of linear maps + slack)`.

    Attributes:
        name: The operation.
        output: The tensor that it writes.
        terms: What is summed: tensors and their maps.
        constant: [outputs].
        slack: Least and greatest of what the maps leave out (the sum's own fixed-point inputs).
        rows: The stair of each output [outputs].
        low, high: Lower and upper stairs; they differ where a runtime may be one LSB off.
        exact: The device's stairs.
    """

    name: str
    output: str
    terms: tuple[tuple[str, Linear], ...]
    constant: Ints
    slack: tuple[int, int]
    rows: Ints
    low: Stairs
    high: Stairs
    exact: Stairs


@dataclass(frozen=True, eq=False)
class Maximum:
    """The largest of several cells: `taps` [outputs, kernel] index the input, -1 is none."""

    name: str
    output: str
    source: str
    taps: Ints


@dataclass(frozen=True, eq=False)
class Copy:
    """The output's cells are the inputs' cells at `cells[k]`."""

    output: str
    terms: tuple[tuple[str, Ints], ...]


Node = Step | Maximum | Copy | Table | Product


@dataclass(frozen=True, eq=False)
class Network:
    """A network as its file says.

    Attributes:
        inputs: Names of the inputs.
        output: Name of the logits.
        sizes: Elements of every tensor.
        nodes: In order.
        sha256: Over everything the network is made of, in the file's canonical order.
        additions: What the sum's fixed-point inputs are exactly, by operation: two tables [256].
    """

    inputs: tuple[str, ...]
    output: str
    sizes: Mapping[str, int]
    nodes: tuple[Node, ...]
    sha256: str
    additions: Mapping[str, tuple[Ints, Ints]]

    def run(self, inputs: tuple[Ints, ...]) -> Ints:
        """Return the logits of one window's flat inputs."""
        values = dict(zip(self.inputs, inputs, strict=True))
        for node in self.nodes:
            if isinstance(node, Step):
                total = node.constant
                tables = self.additions.get(node.name)
                if tables:
                    first, second = (values[name] - LEAST for name, _ in node.terms)
                    total = tables[0][first] + tables[1][second]
                else:
                    for name, linear in node.terms:
                        total = total + linear.forward(values[name][None])[0]
                values[node.output] = node.exact.values(node.rows, total)
            elif isinstance(node, Table | Product):
                values[node.output] = node.run(values)
            elif isinstance(node, Maximum):
                padded = np.append(values[node.source], LEAST)
                values[node.output] = padded[node.taps].max(axis=1)
            else:
                values[node.output] = copied(node, values, self.sizes)
        return values[self.output]


def copied(node: Copy, values: Mapping[str, Ints], sizes: Mapping[str, int]) -> Ints:
    """Return the output of a copy."""
    result = np.empty(sizes[node.output], np.int64)
    for name, cells in node.terms:
        result[cells] = values[name]
    return result


def read_arrays(content: bytes) -> tuple[Any, dict[str, npt.NDArray[Any]]]:
    """Return the canonical header and the arrays of a network's safetensors file."""
    types = {"I8": "<i1", "I32": "<i4", "F32": "<f4"}
    (length,) = struct.unpack_from("<Q", content)
    if length > len(content):
        raise Refused("the network's file is cut short")
    table = json.loads(content[8 : 8 + length])
    text = table.pop("__metadata__")["edgeprune"]
    data, arrays = content[8 + length :], {}
    for name, entry in table.items():
        begin, end = entry["data_offsets"]
        kind = np.dtype(types[entry["dtype"]])
        arrays[name] = np.frombuffer(data[begin:end], kind).reshape(entry["shape"])
    return text, arrays


def read_network(path: Path, *, off_by_one: bool) -> Network:
    """Read a network; with `off_by_one` every rounding layer's bounds are one LSB wider.

    Raises:
        Refused: The file is no network that this program understands.
    """
    try:
        text, arrays = read_arrays(path.read_bytes())
        header = json.loads(text)
        if (header["schema"], header["version"]) != ("edgeprune.integer-network", 1):
            raise Refused(f"the network's file is {header['schema']} version {header['version']}")
        hasher = hashlib.sha256(text.encode())
        for name, array in sorted(arrays.items()):
            hasher.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
            hasher.update(array.tobytes())
        tensors = {entry["name"]: entry for entry in header["tensors"]}
        nodes: list[Node] = []
        additions: dict[str, tuple[Ints, Ints]] = {}
        for entry in header["operations"]:
            nodes += _nodes(entry, tensors, arrays, additions, int(off_by_one))
        sizes = {name: int(np.prod(entry["shape"])) for name, entry in tensors.items()}
        sizes |= {node.output: len(node.taps) for node in nodes if isinstance(node, Maximum)}
        sizes |= {n.output: len(n.cells[0]) for n in nodes if isinstance(n, Product)}
        (output,) = header["outputs"]
        return Network(
            tuple(header["inputs"]), output, sizes, tuple(nodes), hasher.hexdigest(), additions
        )
    except (OSError, KeyError, TypeError, ValueError, struct.error) as error:
        raise Refused(f"'{path.name}' is no network that can be read ({error!r})") from error


def _nodes(
    entry: Mapping[str, Any],
    tensors: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]],
    additions: dict[str, tuple[Ints, Ints]],
    off: int,
) -> list[Node]:
    kind, name, output = entry["kind"], entry["name"], tensors[entry["output"]]
    sources = [tensors[each] for each in entry["inputs"]]
    source = sources[0]
    clamp = entry.get("clamp_low", LEAST), entry.get("clamp_high", MOST)
    scale, zero = _exact(source["scale"]), source["zero_point"]
    size = int(np.prod(output["shape"]))

    def step(
        terms: list[Linear],
        constant: Ints,
        rows: Ints,
        function: Callable[[Ints], Ints],
        slopes: list[Fraction],
        reach: int = REACH,
        slack: tuple[int, int] = (0, 0),
        reads: Sequence[str] = entry["inputs"],
    ) -> list[Node]:
        low, exact, high = (
            stairs(
                function, slopes, (output["zero_point"] if requantizes else 0) + by, clamp, reach
            )
            for by in (-off, 0, off)
        )
        named = tuple(zip(reads, terms, strict=True))
        return [Step(name, output["name"], named, constant, slack, rows, low, high, exact)]

    requantizes = not kind.startswith("average_pool")
    if kind in ("reshape", "concat", "table"):
        copies = kind != "table"
        entries = np.zeros(0, np.int64) if copies else arrays[f"{name}/entries"].astype(np.int64)
        return [_copy(entry, sources, output) if copies else _table(entry, entries, off)]
    if kind.startswith(("max_pool", "average_pool")):
        maximum = kind.startswith("max_pool")
        found = _maximum(entry, source, output, clamp) if maximum else None
        return found or _average(entry, source, output, step)
    zeros = np.zeros(size, int)
    if kind == "requantize":
        function, slopes, reach = requantizer([scale / _exact(output["scale"])])
        return step([_each(1, size)], np.full(size, -zero), zeros, function, slopes, reach)
    if kind == "mul":
        product = _product(f"{output['name']}/product", sources, size)
        single = [np.float32(each["scale"]) for each in (*sources, output)]
        factor = _exact(float(single[0] * single[1] / single[2]))
        function, slopes, reach = requantizer([factor])
        terms, reads = [_each(1, size)], [product.output]
        return [product, *step(terms, zeros, zeros, function, slopes, reach, reads=reads)]
    if kind in ("add", "sub"):
        tables, terms, slack, shift = _addition(sources, size, 1 if kind == "add" else -1)
        additions[name] = tables
        common = 2 * max(_exact(each["scale"]) for each in sources)
        function, slopes, reach = requantizer([common / (2**20 * _exact(output["scale"]))])
        return step(terms, np.full(size, shift), zeros, function, slopes, reach, slack)
    linear = _weighted(kind, entry, source, output, arrays[f"{name}/weights"].astype(np.int64))
    bias = arrays[f"{name}/bias"].astype(np.int64)
    count = len(bias)
    scales = [_exact(each) for each in arrays[f"{name}/weight_scales"].tolist()]
    factors = [scale * each / _exact(output["scale"]) for each in scales]
    function, slopes, reach = requantizer(factors if len(factors) == count else factors * count)
    cells = source["shape"][0] if len(source["shape"]) > 1 else 1
    inside = linear.forward(np.ones((1, linear.weights.shape[1] * cells), np.int64))[0]
    constant = np.tile(bias, size // count) - zero * inside
    return step([linear], constant, np.arange(size) % count, function, slopes, reach)


def _addition(
    sources: Sequence[Mapping[str, Any]], size: int, sign: int
) -> tuple[tuple[Ints, Ints], list[Linear], tuple[int, int], int]:
    """Return what a sum's two inputs count as: exact tables, linear maps and what these leave out.

    With a sign of -1 the second is subtracted. TFLite shifts both inputs left by 20 bits and
    scales them before they are added.
    """
    common = 2 * max(_exact(each["scale"]) for each in sources)
    tables, terms, low, high, constant = [], [], 0, 0, 0
    for each, by in zip(sources, (1, sign), strict=True):
        centred = (np.arange(LEAST, MOST + 1) - each["zero_point"])[:, None] << 20
        function, slopes, _ = requantizer([_exact(each["scale"]) / common])
        table = by * function(centred)[:, 0]
        weight = by * round(slopes[0] * 2**20)
        rest = table - weight * (centred[:, 0] >> 20)
        tables.append(table)
        terms.append(_each(weight, size))
        low, high = low + int(rest.min()), high + int(rest.max())
        constant -= weight * each["zero_point"]
    return (tables[0], tables[1]), terms, (low, high), constant


def _table(entry: Mapping[str, Any], entries: Ints, off: int) -> Table:
    low, high = (np.clip(entries + by, LEAST, MOST) for by in (-off, off))
    return Table(entry["output"], entry["inputs"][0], entries, low, high)


def _copy(
    entry: Mapping[str, Any], sources: Sequence[Mapping[str, Any]], output: Mapping[str, Any]
) -> Copy:
    numbers = np.arange(int(np.prod(output["shape"]))).reshape(output["shape"])
    if entry["kind"] == "reshape":
        return Copy(output["name"], ((entry["inputs"][0], numbers.reshape(-1)),))
    ends = np.cumsum([each["shape"][entry["axis"]] for each in sources])[:-1]
    flat = (part.reshape(-1) for part in np.split(numbers, ends, axis=entry["axis"]))
    return Copy(output["name"], tuple(zip(entry["inputs"], flat, strict=True)))


def _product(name: str, sources: Sequence[Mapping[str, Any]], size: int) -> Product:
    every = np.arange(size)
    cells = every, every % int(np.prod(sources[1]["shape"]))
    names = sources[0]["name"], sources[1]["name"]
    return Product(name, names, cells, (sources[0]["zero_point"], sources[1]["zero_point"]))


def _weighted(
    kind: str, entry: Mapping[str, Any], source: Any, output: Any, weights: Ints
) -> Linear:
    """Return the full matrix of a dense, convolution or depthwise layer."""
    if kind == "dense":
        return Linear(weights.T[None], 1, 1)
    if kind == "conv1d":
        groups, (outputs, kernel, width) = entry["groups"], weights.shape
        full = np.zeros((kernel, groups * width, outputs), np.int64)
        for channel in range(outputs):
            first = channel // (outputs // groups) * width
            full[:, first : first + width, channel] = weights[channel]
    elif kind in ("conv2d", "depthwise_conv2d"):
        return maps.convolution(entry, source, output, weights)
    elif kind == "depthwise_conv1d":
        kernel, outputs = weights.shape
        full = np.zeros((kernel, source["shape"][1], outputs), np.int64)
        channels = np.arange(outputs)
        full[:, channels // entry["channel_multiplier"], channels] = weights
    else:
        raise Refused(f"the network has an operator '{kind}' that this program does not know")
    lengths = source["shape"][0], output["shape"][0]
    return Linear(full, *lengths, entry["stride"], entry["dilation"], entry["padding"][0])


def _each(weight: int, size: int) -> Linear:
    return Linear(np.full((1, 1, 1), weight), size, size)


def _cells(entry: Mapping[str, Any], length: int, windows: int) -> Ints:
    """Return the cells [windows, kernel] that a pool reads; -1 lies in the padding."""
    first = np.arange(windows) * entry["stride"] - entry["padding"][0]
    cells = first[:, None] + np.arange(entry["kernel"])
    return np.where((cells >= 0) & (cells < length), cells, -1)


def _maximum(
    entry: Mapping[str, Any], source: Any, output: Any, clamp: tuple[int, int]
) -> list[Node]:
    size = int(np.prod(output["shape"]))
    if entry["kind"] == "max_pool2d":
        taps = maps.maximum(entry, source, output)
    else:
        (length, channels), windows = source["shape"], output["shape"][0]
        cells = _cells(entry, length, windows)[:, None, :]
        taps = np.where(cells < 0, -1, cells * channels + np.arange(channels)[:, None])
    if clamp == (LEAST, MOST):
        return [Maximum(entry["name"], output["name"], source["name"], taps.reshape(size, -1))]
    inner = f"{output['name']}/unclamped"
    same = stairs(lambda values: values, [Fraction(1)], 0, clamp, REACH)
    plain = np.zeros(size, np.int64), (0, 0), np.zeros(size, np.int64), same, same, same
    return [
        Maximum(entry["name"], inner, source["name"], taps.reshape(size, -1)),
        Step(entry["name"], output["name"], ((inner, _each(1, size)),), *plain),
    ]


def _average(
    entry: Mapping[str, Any], source: Any, output: Any, step: Callable[..., list[Node]]
) -> list[Node]:
    if entry["kind"] == "average_pool2d":
        linear, inside = maps.average(entry, source, output)
    else:
        (length, channels), windows = source["shape"], output["shape"][0]
        inside = np.repeat((_cells(entry, length, windows) >= 0).sum(axis=1), channels)
        ones = np.eye(channels, dtype=np.int64)[None].repeat(entry["kernel"], axis=0)
        linear = Linear(ones, length, windows, entry["stride"], 1, entry["padding"][0])
    counts, which = np.unique(inside, return_inverse=True)

    def mean(sums: Ints) -> Ints:
        # Half away from zero.
        return np.where(sums > 0, (sums + counts // 2) // counts, -((counts // 2 - sums) // counts))

    slopes = [Fraction(1, int(count)) for count in counts]
    return step([linear], np.zeros(len(inside), np.int64), which, mean, slopes)


def _exact(number: float) -> Fraction:
    return Fraction(number)
