"""IntegerNetwork -> QDQ ONNX file."""

from __future__ import annotations

from edgeprune.network.integer_network import IntegerNetwork
from edgeprune.network.qdq_graph import QdqGraph


def write_qdq(network: IntegerNetwork, *, expose_layers: bool = False) -> bytes:
    """Return an ONNX file that computes the network in float between quantizations.

    Inputs and output are float; feature maps are [batch, channels, length]. `read_qdq` gives an
    equal network back. onnxruntime computes it with float multipliers and may differ by one LSB a
    layer; on AVX2 without VNNI it needs the session entry `session.x64quantprecision=1`.

    Args:
        network: The network.
        expose_layers: Make the integers of every operation's output an output of the file too.
    """
    graph = QdqGraph()
    for tensor in network.input_tensors:
        graph.quantized(tensor)
    for operation in network.operations:
        operation.write_qdq(graph, network.tensors)
    layers = [network.tensors[operation.output] for operation in network.operations]
    return graph.finish(
        network.input_tensors, network.output_tensor, layers if expose_layers else (), "edgeprune"
    )
