"""What is in the TFLite file."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgeprune.network import Conv1d, IntegerNetwork, MaxPool1d, Operation, Tensor, write_tflite
from tests.network.builders import dense_network, header, network_of, tensor

NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if name[0] != "_"}


def parse(content: bytes) -> schema.ModelT:
    return schema.ModelT.InitFromPackedBuf(content, 0)


def operators(content: bytes) -> list[str]:
    model = parse(content)
    codes = [NAMES[code.builtinCode] for code in model.operatorCodes]
    return [codes[operator.opcodeIndex] for operator in model.subgraphs[0].operators]


def conv(padding: tuple[int, int], **clamp: int) -> IntegerNetwork:
    fields = {"weights": np.ones((2, 3, 1)), "bias": [1, 2], "weight_scales": [0.5, 0.25]}
    operation = Conv1d(**header("y", "x"), **fields, padding=padding, **clamp)
    return network_of(*sized(operation, tensor("x", 9, 1, zero_point=-5)))


def sized(operation: Operation, source: Tensor) -> tuple[Operation, Tensor, Tensor]:
    shape = operation.output_shape(source.shape)
    return operation, tensor("y", *shape, zero_point=source.zero_point), source


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (conv((0, 0)), ["CONV_2D"]),
        (conv((1, 0)), ["PAD", "CONV_2D"]),
        (conv((0, 0), clamp_low=-5), ["CONV_2D"]),
        (conv((0, 0), clamp_low=-6), ["CONV_2D", "MAXIMUM"]),
        (conv((0, 0), clamp_high=6), ["CONV_2D", "MINIMUM"]),
        (conv((0, 0), clamp_low=-6, clamp_high=6), ["CONV_2D", "MAXIMUM", "MINIMUM"]),
        (dense_network([[1]], [0]), ["RESHAPE", "CONV_2D", "RESHAPE"]),
        (
            network_of(
                *sized(MaxPool1d(**header("y", "x"), kernel=3, padding=(1, 1)), tensor("x", 9, 1))
            ),
            ["PADV2", "MAX_POOL_2D"],
        ),
    ],
)
def test_operators_are_those_that_agree_everywhere(
    network: IntegerNetwork, expected: list[str]
) -> None:
    assert operators(write_tflite(network)) == expected


def test_relu_is_fused() -> None:
    fused = Counter(
        operator.builtinOptions.fusedActivationFunction
        for network in (conv((0, 0)), conv((0, 0), clamp_low=-5))
        for operator in parse(write_tflite(network)).subgraphs[0].operators
    )
    kinds = schema.ActivationFunctionType
    assert fused == {kinds.NONE: 1, kinds.RELU: 1}


def test_inputs_and_output_keep_names_shapes_and_ranges() -> None:
    network = conv((1, 1))
    graph = parse(write_tflite(network, batch=3)).subgraphs[0]
    source, target = (graph.tensors[index] for index in (graph.inputs[0], graph.outputs[0]))
    assert (source.name, list(source.shape)) == (b"x", [3, 1, 9, 1])
    assert (target.name, list(target.shape)) == (b"y", [3, 1, 9, 2])
    for described in source, target:
        assert described.type == schema.TensorType.INT8
        assert described.quantization.scale.tolist() == [0.5]
        assert described.quantization.zeroPoint.tolist() == [-5]


def test_the_file_names_its_network_and_is_always_the_same() -> None:
    network = conv((1, 1))
    content = write_tflite(network)
    assert content == write_tflite(conv((1, 1)))
    assert content[4:8] == b"TFL3"
    assert network.sha256.encode() in content
