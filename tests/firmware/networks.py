"""Networks that the firmware tests share."""

from __future__ import annotations

import numpy as np

from edgeprune.network import (
    AveragePool1d,
    Conv1d,
    Dense,
    IntegerNetwork,
    MaxPool1d,
    Operation,
    Reshape,
    Tensor,
)

_RELU_ZERO = -128


def r1(seed: int = 7) -> IntegerNetwork:
    """Return the plain network R1 (256 samples, 866,624 MACs without padding) with random weights."""
    random = np.random.default_rng(seed)
    tensors = [Tensor("signal", (256, 1), 0.0625, 5)]
    operations: list[Operation] = []

    def conv(channels: int, kernel: int, stride: int) -> None:
        source = tensors[-1]
        length, depth = source.shape
        weights = np.clip(random.normal(0, 35, (channels, kernel, depth)).round(), -127, 127)
        total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
        # The output's scale lets about one per cent of the values saturate.
        spread = 0.02 * source.scale * 2600 * np.sqrt(kernel * depth) / 100
        tensors.append(
            Tensor(
                f"c{len(tensors)}",
                (-(-length // stride), channels),
                float(np.float32(spread)),
                _RELU_ZERO,
            )
        )
        operations.append(
            Conv1d(
                name=tensors[-1].name,
                inputs=(source.name,),
                output=tensors[-1].name,
                weights=weights.astype(np.int8),
                bias=random.integers(-800, 800, channels).astype(np.int32),
                weight_scales=np.full(channels, 0.02, np.float32),
                stride=stride,
                padding=(total // 2, total - total // 2),
                clamp_low=_RELU_ZERO,
            )
        )

    def pool(kind: type[MaxPool1d] | type[AveragePool1d], kernel: int) -> None:
        source = tensors[-1]
        length, channels = source.shape
        tensors.append(
            Tensor(f"p{len(tensors)}", (length // kernel, channels), source.scale, _RELU_ZERO)
        )
        operations.append(
            kind(
                name=tensors[-1].name,
                inputs=(source.name,),
                output=tensors[-1].name,
                kernel=kernel,
                stride=kernel,
            )
        )

    conv(16, 7, 2)
    conv(32, 5, 1)
    pool(MaxPool1d, 2)
    conv(32, 5, 1)
    pool(MaxPool1d, 2)
    conv(64, 3, 1)
    pool(AveragePool1d, 32)
    tensors.append(Tensor("flat", (64,), tensors[-1].scale, _RELU_ZERO))
    operations.append(Reshape(name="flat", inputs=(tensors[-2].name,), output="flat", shape=(64,)))
    tensors.append(Tensor("logits", (5,), float(np.float32(tensors[-1].scale * 5)), 3))
    operations.append(
        Dense(
            name="logits",
            inputs=("flat",),
            output="logits",
            weights=np.clip(random.normal(0, 40, (5, 64)).round(), -127, 127).astype(np.int8),
            bias=random.integers(-800, 800, 5).astype(np.int32),
            weight_scales=np.array([0.02], np.float32),
        )
    )
    return IntegerNetwork(
        {tensor.name: tensor for tensor in tensors}, ("signal",), ("logits",), tuple(operations)
    )
