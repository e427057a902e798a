"""Reads what Conv and the pools say of their windows."""

from __future__ import annotations

from edgeprune.network.qdq_sketch import Node
from edgeprune.network.windows import Sliding


def sliding_of(node: Node, length: int, spatial: int, kernel: int | None = None) -> Sliding:
    """Return the geometry that a node's attributes describe.

    Args:
        node: A Conv or pool.
        length: Cells along the length.
        spatial: Spatial axes: 1, or 2 where the first is a height of 1.
        kernel: The kernel where it is known from weights.
    """

    def along_length(attribute: str, default: int) -> int:
        numbers = node.attributes.get(attribute) or [default] * spatial
        node.require(len(numbers) == spatial, f"its {attribute} are {numbers}")
        return int(numbers[-1])

    shape = list(node.attributes.get("kernel_shape", [1] * (spatial - 1) + [kernel]))
    node.require(
        len(shape) == spatial and shape[:-1] in ([], [1]), f"its kernel {shape} is not 1-D"
    )
    size = int(shape[-1])
    stride, dilation = along_length("strides", 1), along_length("dilations", 1)
    unpadded = Sliding(size, stride, dilation)
    padding = _padding(node, unpadded, length, spatial)
    if node.attributes.get("ceil_mode", 0):
        room = length + sum(padding) - unpadded.span
        padding = padding[0], padding[1] + -room % stride
    return Sliding(size, stride, dilation, padding)


def _padding(node: Node, unpadded: Sliding, length: int, spatial: int) -> tuple[int, int]:
    scheme = node.attributes.get("auto_pad", b"NOTSET").decode()
    if scheme in ("SAME_UPPER", "SAME_LOWER"):
        windows = -(-length // unpadded.stride)
        total = max((windows - 1) * unpadded.stride + unpadded.span - length, 0)
        less, more = total // 2, total - total // 2
        return (less, more) if scheme == "SAME_UPPER" else (more, less)
    if scheme == "VALID":
        return 0, 0
    pads = node.attributes.get("pads") or [0] * 2 * spatial
    node.require(len(pads) == 2 * spatial, f"its pads are {pads}")
    node.require(spatial == 1 or (pads[0], pads[2]) == (0, 0), "it pads the height")
    return int(pads[spatial - 1]), int(pads[-1])
