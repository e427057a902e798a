"""The functions of one number that become tables of 256 entries, by their names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.errors import UnsupportedOperatorError
from edgeprune.network.tensor import Int8Array, Tensor
from edgeprune.registry import Registry

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Function:
    """A continuous function of one real number.

    Args:
        onnx: Its operator in ONNX.
        opset: The first opset that has it.
        parameters: The operator's float attributes and their defaults, in order.
        of: The values at an array, given the parameters.
        curvature: A bound of the second derivative's magnitude between kinks, given the parameters.
        kinks: Where the derivative jumps, given the parameters.
        turns: Where the function turns without a kink.
        texts: The operator's string attributes.
    """

    onnx: str
    opset: int
    parameters: Mapping[str, float]
    of: Callable[..., FloatArray]
    curvature: Callable[..., float]
    kinks: Callable[..., tuple[float, ...]] = lambda *_: ()
    turns: tuple[float, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()

    def entries(self, parameters: tuple[float, ...], source: Tensor, target: Tensor) -> Int8Array:
        """Return what each int8 of `source` becomes in the range of `target`, ascending [256].

        Real values are rounded to float32 and quantized half to even, as ONNX does it.
        """
        every = np.arange(-128, 128, dtype=np.int64)
        return target.quantize(self.of(source.dequantize(every).astype(np.float64), *parameters))


_erf = np.frompyfunc(math.erf, 1, 1)


def _elu(x: FloatArray, alpha: float) -> FloatArray:
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0.0)), x)


def _gelu(x: FloatArray) -> FloatArray:
    return 0.5 * x * (1.0 + np.asarray(_erf(x * math.sqrt(0.5)), np.float64))


def _gelu_tanh(x: FloatArray) -> FloatArray:
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * np.clip(x, -1e3, 1e3) ** 3)
    return np.asarray(0.5 * x * (1.0 + np.tanh(inner)))


def _hard_sigmoid(x: FloatArray, alpha: float, beta: float) -> FloatArray:
    return np.clip(alpha * x + beta, 0.0, 1.0)


def _hard_sigmoid_kinks(alpha: float, beta: float) -> tuple[float, ...]:
    return (-beta / alpha, (1.0 - beta) / alpha) if alpha else ()


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


# The suprema of the second derivatives, rounded up: sigmoid's is 1 / (6 sqrt 3), that of tanh
# 4 / (3 sqrt 3), GELU's sqrt(2 / pi), ELU's alpha at 0 from below.
FUNCTIONS: Registry[Function] = Registry(
    "function",
    elu=Function(
        "Elu",
        6,
        {"alpha": 1.0},
        _elu,
        abs,
        lambda _: (0.0,),
    ),
    gelu=Function(
        "Gelu",
        20,
        {},
        _gelu,
        lambda: 0.798,
        turns=(-0.7517915246935645,),
        texts=(("approximate", "none"),),
    ),
    gelu_tanh=Function(
        "Gelu",
        20,
        {},
        _gelu_tanh,
        lambda: 0.85,
        turns=(-0.7524614220710162,),
        texts=(("approximate", "tanh"),),
    ),
    hard_sigmoid=Function(
        "HardSigmoid",
        6,
        {"alpha": 0.2, "beta": 0.5},
        _hard_sigmoid,
        lambda *_: 0.0,
        _hard_sigmoid_kinks,
    ),
    hard_swish=Function(
        "HardSwish",
        14,
        {},
        lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
        lambda: 0.334,
        lambda: (-3.0, 3.0),
        (-1.5,),
    ),
    leaky_relu=Function(
        "LeakyRelu",
        6,
        {"alpha": 0.01},
        lambda x, alpha: np.where(x < 0, alpha * x, x),
        lambda _: 0.0,
        lambda _: (0.0,),
    ),
    sigmoid=Function("Sigmoid", 6, {}, _sigmoid, lambda: 0.0963),
    tanh=Function("Tanh", 6, {}, np.tanh, lambda: 0.7699),
)


def function_of(operator: str, attributes: Mapping[str, Any]) -> tuple[str, tuple[float, ...]]:
    """Return the name and the parameters of an ONNX operator's function.

    Raises:
        UnsupportedOperatorError: No function is known by that operator and these attributes.
    """
    for name in FUNCTIONS:
        known = FUNCTIONS.get(name)
        texts = ((attributes.get(key, b"none").decode(), text) for key, text in known.texts)
        if known.onnx == operator and all(given == text for given, text in texts):
            parameters = known.parameters.items()
            return name, tuple(float(attributes.get(key, usual)) for key, usual in parameters)
    raise UnsupportedOperatorError("its attributes name no function that is known")
