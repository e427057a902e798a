"""Quantization: torch to float ONNX, float ONNX to QDQ ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the room stays cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
