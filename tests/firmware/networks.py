"""Networks that the firmware tests share."""

from __future__ import annotations

import numpy as np

from edgeprune.network import (
    Add,
    AveragePool1d,
    Concat,
    Conv1d,
    Dense,
    DepthwiseConv1d,
    IntegerNetwork,
    MaxPool1d,
    Operation,
    Requantize,
    Reshape,
    Tensor,
)

_RELU_ZERO = -128


class _Plain:
    """A network without branches that grows layer by layer, with random weights."""

    def __init__(self, seed: int, length: int) -> None:
        self._random = np.random.default_rng(seed)
        self._tensors = [Tensor("signal", (length, 1), 0.0625, 5)]
        self._operations: list[Operation] = []

    def conv(self, channels: int, kernel: int, stride: int = 1, *, padded: bool = True) -> None:
        source = self._tensors[-1]
        length, depth = source.shape
        total = max((-(-length // stride) - 1) * stride + kernel - length, 0) if padded else 0
        positions = (length + total - kernel) // stride + 1
        weights = self._weights((channels, kernel, depth), 35)
        # The output's scale lets about one per cent of the values saturate.
        spread = 0.02 * source.scale * 2600 * np.sqrt(kernel * depth) / 100
        name = f"c{len(self._tensors)}"
        self._append(
            Tensor(name, (positions, channels), float(np.float32(spread)), _RELU_ZERO),
            Conv1d(
                name=name,
                inputs=(source.name,),
                output=name,
                weights=weights,
                bias=self._bias(channels),
                weight_scales=np.full(channels, 0.02, np.float32),
                stride=stride,
                padding=(total // 2, total - total // 2),
                clamp_low=_RELU_ZERO,
            ),
        )

    def pool(self, kind: type[MaxPool1d] | type[AveragePool1d], kernel: int) -> None:
        source = self._tensors[-1]
        length, channels = source.shape
        name = f"p{len(self._tensors)}"
        self._append(
            Tensor(name, (length // kernel, channels), source.scale, _RELU_ZERO),
            kind(name=name, inputs=(source.name,), output=name, kernel=kernel, stride=kernel),
        )

    def flat(self) -> None:
        source = self._tensors[-1]
        self._append(
            Tensor("flat", (source.size,), source.scale, _RELU_ZERO),
            Reshape(name="flat", inputs=(source.name,), output="flat", shape=(source.size,)),
        )

    def dense(self, name: str, features: int, wider: float, *, relu: bool = False) -> None:
        source = self._tensors[-1]
        scale = float(np.float32(source.scale * wider))
        self._append(
            Tensor(name, (features,), scale, _RELU_ZERO if relu else 3),
            Dense(
                name=name,
                inputs=(source.name,),
                output=name,
                weights=self._weights((features, source.size), 40),
                bias=self._bias(features),
                weight_scales=np.array([0.02], np.float32),
                clamp_low=-128,
            ),
        )

    def network(self) -> IntegerNetwork:
        return IntegerNetwork(
            {tensor.name: tensor for tensor in self._tensors},
            ("signal",),
            (self._tensors[-1].name,),
            tuple(self._operations),
        )

    def _weights(self, shape: tuple[int, ...], spread: float) -> np.ndarray:
        return np.clip(self._random.normal(0, spread, shape).round(), -127, 127).astype(np.int8)

    def _bias(self, count: int) -> np.ndarray:
        return self._random.integers(-800, 800, count).astype(np.int32)

    def _append(self, tensor: Tensor, operation: Operation) -> None:
        self._tensors.append(tensor)
        self._operations.append(operation)


def r1(seed: int = 7, length: int = 256) -> IntegerNetwork:
    """Return the plain network R1 (256 samples, 866,624 MACs), random weights.

    Args:
        seed: Of the weights.
        length: Samples of a window; a multiple of 8. R1 itself has 256.
    """
    plain = _Plain(seed, length)
    plain.conv(16, 7, 2)
    plain.conv(32, 5)
    plain.pool(MaxPool1d, 2)
    plain.conv(32, 5)
    plain.pool(MaxPool1d, 2)
    plain.conv(64, 3)
    plain.pool(AveragePool1d, length // 8)
    plain.flat()
    plain.dense("logits", 5, 5)
    return plain.network()


def eeg(seed: int = 5) -> IntegerNetwork:
    """Return the EEG network of 33,430 parameters and 1,964,780 MACs, random weights.

    2,048 samples, convolutions of 100 and 200 taps without padding, pools of 3, dense 40 and 2:
    the shape of the CHB-MIT classifiers of the paper on verification-friendly networks.
    """
    plain = _Plain(seed, 2048)
    plain.conv(3, 100, padded=False)
    plain.pool(MaxPool1d, 3)
    plain.conv(5, 200, padded=False)
    plain.pool(MaxPool1d, 3)
    plain.flat()
    plain.dense("hidden", 40, 10, relu=True)
    plain.dense("logits", 2, 5)
    return plain.network()


def residual(seed: int = 11) -> IntegerNetwork:
    """Return a small network that uses every operator, two inputs and odd channel counts."""
    random = np.random.default_rng(seed)
    tensors: dict[str, Tensor] = {}
    operations: list[Operation] = []

    def tensor(name: str, shape: tuple[int, ...], scale: float, zero_point: int) -> str:
        tensors[name] = Tensor(name, shape, float(np.float32(scale)), zero_point)
        return name

    def weights(*shape: int) -> np.ndarray:
        return np.clip(random.normal(0, 30, shape).round(), -127, 127).astype(np.int8)

    def bias(count: int) -> np.ndarray:
        return random.integers(-2000, 2000, count).astype(np.int32)

    def scales(count: int) -> np.ndarray:
        return random.uniform(0.005, 0.02, count).astype(np.float32)

    tensor("signal", (60, 2), 0.03, 0)
    tensor("rhythm", (5,), 0.05, -7)
    tensor("stem", (30, 9), 0.08, -128)
    operations.append(
        Conv1d(
            name="stem",
            inputs=("signal",),
            output="stem",
            weights=weights(9, 7, 2),
            bias=bias(9),
            weight_scales=scales(9),
            stride=2,
            padding=(3, 2),
            clamp_low=-128,
        )
    )
    tensor("depth", (30, 9), 0.1, 4)
    operations.append(
        DepthwiseConv1d(
            name="depth",
            inputs=("stem",),
            output="depth",
            weights=weights(3, 9),
            bias=bias(9),
            weight_scales=scales(9),
            padding=(1, 1),
        )
    )
    tensor("point", (30, 9), 0.15, -20)
    operations.append(
        Conv1d(
            name="point",
            inputs=("depth",),
            output="point",
            weights=weights(9, 1, 9),
            bias=bias(9),
            weight_scales=scales(9),
        )
    )
    tensor("sum", (30, 9), 0.2, -128)
    operations.append(Add(name="sum", inputs=("stem", "point"), output="sum", clamp_low=-128))
    tensor("pool", (15, 9), 0.2, -128)
    operations.append(MaxPool1d(name="pool", inputs=("sum",), output="pool", kernel=2, stride=2))
    tensor("group", (15, 12), 0.4, -128)
    operations.append(
        Conv1d(
            name="group",
            inputs=("pool",),
            output="group",
            weights=weights(12, 3, 3),
            bias=bias(12),
            weight_scales=scales(12),
            groups=3,
            dilation=2,
            padding=(2, 2),
            clamp_low=-128,
            clamp_high=100,
        )
    )
    tensor("mean", (1, 12), 0.4, -128)
    operations.append(
        AveragePool1d(name="mean", inputs=("group",), output="mean", kernel=15, stride=15)
    )
    tensor("flat", (12,), 0.4, -128)
    operations.append(Reshape(name="flat", inputs=("mean",), output="flat", shape=(12,)))
    tensor("features", (5,), 0.4, -128)
    operations.append(Requantize(name="features", inputs=("rhythm",), output="features"))
    tensor("both", (17,), 0.4, -128)
    operations.append(Concat(name="both", inputs=("flat", "features"), output="both", axis=0))
    tensor("hidden", (8,), 0.5, -128)
    operations.append(
        Dense(
            name="hidden",
            inputs=("both",),
            output="hidden",
            weights=weights(8, 17),
            bias=bias(8),
            weight_scales=scales(8),
            clamp_low=-128,
        )
    )
    tensor("logits", (4,), 0.6, 10)
    operations.append(
        Dense(
            name="logits",
            inputs=("hidden",),
            output="logits",
            weights=weights(4, 8),
            bias=bias(4),
            weight_scales=scales(1),
        )
    )
    return IntegerNetwork(tensors, ("signal", "rhythm"), ("logits",), tuple(operations))


def behind_front_end(rhythm: bool = True, seed: int = 3) -> IntegerNetwork:
    """Return a small network that reads what the front end makes."""
    random = np.random.default_rng(seed)
    tensors = [Tensor("signal", (96, 2), 1 / 32, 0)]
    if rhythm:
        tensors.append(Tensor("rhythm", (18,), 1 / 32, 0))
    tensors += [
        Tensor("conv", (24, 6), 0.0625, 0),
        Tensor("mean", (1, 6), 0.0625, 0),
        Tensor("flat", (6,), 0.0625, 0),
    ]
    operations: list[Operation] = [
        Conv1d(
            name="conv",
            inputs=("signal",),
            output="conv",
            weights=random.integers(-90, 90, (6, 5, 2)).astype(np.int8),
            bias=np.zeros(6, np.int32),
            weight_scales=np.full(6, 0.01, np.float32),
            stride=4,
            padding=(1, 2),
        ),
        AveragePool1d(name="mean", inputs=("conv",), output="mean", kernel=24, stride=24),
        Reshape(name="flat", inputs=("mean",), output="flat", shape=(6,)),
    ]
    features = "flat"
    if rhythm:
        tensors += [Tensor("wide", (18,), 0.0625, 0), Tensor("both", (24,), 0.0625, 0)]
        operations += [
            Requantize(name="wide", inputs=("rhythm",), output="wide"),
            Concat(name="both", inputs=("flat", "wide"), output="both", axis=0),
        ]
        features = "both"
    tensors.append(Tensor("logits", (5,), 0.125, 0))
    operations.append(
        Dense(
            name="logits",
            inputs=(features,),
            output="logits",
            weights=random.integers(-90, 90, (5, 24 if rhythm else 6)).astype(np.int8),
            bias=np.zeros(5, np.int32),
            weight_scales=np.full(1, 0.01, np.float32),
        )
    )
    inputs = ("signal", "rhythm") if rhythm else ("signal",)
    return IntegerNetwork(
        {tensor.name: tensor for tensor in tensors}, inputs, ("logits",), tuple(operations)
    )
