"""Quantization: torch to float ONNX, float ONNX to QDQ ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprune.late import late_names

if TYPE_CHECKING:
    from edgeprune.quantization.float_onnx import to_float_onnx
    from edgeprune.quantization.graph import clean_float_onnx
    from edgeprune.quantization.inputs import float_inputs
    from edgeprune.quantization.quantizer import QUANTIZERS, QuantizationResult, Trial, quantize

_HOMES = {
    "QUANTIZERS": "quantizer",
    "QuantizationResult": "quantizer",
    "Trial": "quantizer",
    "clean_float_onnx": "graph",
    "float_inputs": "inputs",
    "quantize": "quantizer",
    "to_float_onnx": "float_onnx",
}

__all__ = [
    "QUANTIZERS",
    "QuantizationResult",
    "Trial",
    "clean_float_onnx",
    "float_inputs",
    "quantize",
    "to_float_onnx",
]

__getattr__ = late_names(__name__, _HOMES)
