"""IntegerNetwork -> TFLite file."""

from __future__ import annotations

from edgeprune.network.integer_network import IntegerNetwork
from edgeprune.network.tflite_graph import TfliteGraph


def write_tflite(network: IntegerNetwork, *, expose_layers: bool = False, batch: int = 1) -> bytes:
    """Return a TFLite file that computes the network, int8 in and out.

    Args:
        network: The network.
        expose_layers: Make the output of every operation an output of the file, in the order of
            the operations, so that a runtime can be compared layer by layer.
        batch: Windows that one invocation computes.
    """
    graph = TfliteGraph(batch)
    for name in network.inputs:
        graph.activation(network.tensors[name])
    for operation in network.operations:
        operation.write_tflite(graph, network.tensors)
    layers = tuple(operation.output for operation in network.operations)
    outputs = layers if expose_layers else (network.output,)
    return graph.finish(network.inputs, outputs, f"edgeprune {network.sha256}")
