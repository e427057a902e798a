"""What is proved of an IntegerNetwork, and what other implementations make of it.

`edgeprune.verification.runtimes` compares other implementations; it loads onnx, so that it is
imported by those who need it.
"""

from edgeprune.verification.interval import box, decides, interval_bounds, output_bounds

__all__ = [
    "box",
    "decides",
    "interval_bounds",
    "output_bounds",
]
