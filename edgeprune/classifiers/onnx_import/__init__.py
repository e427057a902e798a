"""A float ONNX graph as a torch module whose weights can be trained and pruned."""

from edgeprune.classifiers.onnx_import.reader import (
    OnnxClassifier,
    load_onnx_classifier,
    module_of_onnx,
)

__all__ = ["OnnxClassifier", "load_onnx_classifier", "module_of_onnx"]
