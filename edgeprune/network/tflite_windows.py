"""Reads what the convolutions and pools of a TFLite file say of their windows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from edgeprune.network.operation import Shape
from edgeprune.network.tflite_file import FileOperator
from edgeprune.network.tflite_sketch import Padding, TfliteSketch
from edgeprune.network.windows import Sliding

_LETTERS = ("H", "W")
_SIDES = ("Height", "Width")
# More than any device's windows read: a damaged file must not take the memory.
_MOST_CELLS = 1 << 20
_MOST_WORK = 1 << 26


@dataclass(frozen=True)
class Geometry:
    """Windows over a map of one axis or of two, and the map that they slide over.

    Attributes:
        number: The file's tensor that is read, padding left out.
        shape: Its shape as the operation takes it.
        axes: The axes, 1 and 2 of the file's tensor, along which something slides.
        slides: The geometry along them.
    """

    number: int
    shape: Shape
    axes: tuple[int, ...]
    slides: tuple[Sliding, ...]

    @property
    def is_flat(self) -> bool:
        """Whether they slide over a length alone."""
        return len(self.slides) == 1

    def fields(self, *names: str) -> dict[str, Any]:
        """Return fields of an operation: plain over a length, tuples over a map."""
        return {
            name: getattr(self.slides[0], name)
            if self.is_flat
            else tuple(getattr(slide, name) for slide in self.slides)
            for name in names
        }


def geometry_of(
    sketch: TfliteSketch, operator: FileOperator, kernel: tuple[int, int] | None, fill: int | None
) -> Geometry:
    """Return the windows of a convolution or pool.

    Args:
        sketch: What is read so far.
        operator: The operator.
        kernel: Height and width, from a convolution's weights; None for a pool's own.
        fill: The integer that its padding holds; None where padding is not counted.

    Raises:
        UnsupportedOperatorError: They cannot be.
    """
    number, options = operator.inputs[0], operator.options
    shape = sketch.file.tensors[number].shape
    sketch.require(len(shape) == 4, f"its input has the shape {list(shape)}")
    taken = ((0, 0), (0, 0))
    value = sketch.values.get(number)
    if isinstance(value, Padding) and value.fill == fill:
        amounts = value.amounts
        if len(amounts) == 4 and amounts[0] == amounts[3] == (0, 0):
            taken, number = (amounts[1], amounts[2]), value.source
    slides = []
    for place, (letter, side) in enumerate(zip(_LETTERS, _SIDES, strict=True)):
        cells = kernel[place] if kernel else int(options.get(f"Filter{side}", 1))
        stride = int(options.get(f"Stride{letter}", 1))
        dilation = int(options.get(f"Dilation{letter}Factor", 1))
        possible = all(0 < each < _MOST_CELLS for each in (cells, stride, dilation))
        span = (cells - 1) * dilation + 1
        size = shape[1 + place]
        sketch.require(
            possible and span <= 2 * size + 16 and size * cells <= _MOST_WORK,
            f"its window of {cells} cells every {stride} does not suit {size} cells",
        )
        plain = Sliding(cells, stride, dilation)
        before, after = taken[place]
        if options.get("Padding") == "SAME":
            # Zeros around zeros are one padding.
            more = plain.same_padding(size)
            before, after = before + more[0], after + more[1]
        else:
            sketch.require(options.get("Padding") == "VALID", "its padding is unknown")
        slides.append(Sliding(cells, stride, dilation, (before, after)))
    return _narrowed(sketch, number, slides)


def _narrowed(sketch: TfliteSketch, number: int, slides: list[Sliding]) -> Geometry:
    """Leave out an axis of one cell along which nothing slides."""
    _, *sizes, channels = sketch.file.tensors[number].shape
    for axis, other in ((2, 1), (1, 2)):
        still = slides[other - 1]
        if sizes[other - 1] == 1 and still.kernel == 1 and still.padding == (0, 0):
            shape = (sizes[axis - 1], channels)
            return Geometry(number, shape, (axis,), (slides[axis - 1],))
    sketch.require(math.prod(sizes) <= _MOST_WORK, "its map is impossibly large")
    return Geometry(number, (*sizes, channels), (1, 2), tuple(slides))
