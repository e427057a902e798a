"""A float ONNX graph as a torch module whose weights can be trained and pruned."""

from edgeprune.classifiers.onnx_import.reader import OnnxClassifier, module_of_onnx

__all__ = ["OnnxClassifier", "module_of_onnx"]
