"""Windows as a float graph takes them, and which of them calibrate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeprune.errors import ModelError

if TYPE_CHECKING:
    from edgeprune.data.front_ends import FrontEnd
    from edgeprune.data.windows import Windows

Floats = NDArray[np.float32]
Feeds = Mapping[str, Floats]


def float_inputs(windows: Windows, front_end: FrontEnd) -> tuple[Floats, Floats]:
    """Return the real numbers that the int8 windows stand for.

    Args:
        windows: Signal int8 [n, length, channels], rhythm int8 [n, features].
        front_end: Holds scale and zero point of both.

    Returns:
        Signal float32 [n, channels, length] and rhythm float32 [n, features].
    """
    signal = np.ascontiguousarray(windows.signal.transpose(0, 2, 1)).astype(np.float32)
    rhythm = windows.rhythm.astype(np.float32)
    return (
        (signal - np.float32(front_end.signal_zero_point)) * np.float32(front_end.signal_scale),
        (rhythm - np.float32(front_end.rhythm_zero_point)) * np.float32(front_end.rhythm_scale),
    )


def graph_inputs(model: onnx.ModelProto, *, where: str = "") -> tuple[str, str | None]:
    """Return the names of a graph's signal input and, where it has one, its rhythm input.

    An input called `signal` or `rhythm` is that; else the one of rank 3 or 4 is the signal and the
    one of rank 2 the rhythm.

    Raises:
        ModelError: The inputs are not one signal and at most one rhythm.
    """
    ranks = {i.name: len(i.type.tensor_type.shape.dim) for i in model.graph.input}
    signals = [name for name in ranks if name == "signal"] or [n for n in ranks if ranks[n] > 2]
    rhythms = [name for name in ranks if name not in signals]
    if len(signals) != 1 or len(rhythms) > 1:
        raise ModelError(
            f"the graph's inputs {list(ranks)} are not one signal and at most one rhythm",
            where=where,
            hint="signal [n, channels, length] or [n, channels, 1, length], rhythm [n, features]",
        )
    return signals[0], rhythms[0] if rhythms else None


def feeds(model: onnx.ModelProto, windows: Windows, front_end: FrontEnd) -> Feeds:
    """Return the windows as the inputs of a float or QDQ graph, by input name."""
    signal_name, rhythm_name = graph_inputs(model)
    signal, rhythm = float_inputs(windows, front_end)
    rank = next(
        len(value.type.tensor_type.shape.dim)
        for value in model.graph.input
        if value.name == signal_name
    )
    fed = {signal_name: signal[:, :, None, :] if rank == 4 else signal}
    if rhythm_name is not None:
        fed[rhythm_name] = rhythm
    return fed


def draw_calibration(windows: Windows, count: int, seed: int) -> Windows:
    """Return at most `count` windows, drawn so that rare classes are seen as often as they can be.

    Each class gives an equal share; what a rare class cannot give is shared among the others.
    """
    if len(windows.label) <= count:
        return windows
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(windows.label))
    labels = windows.label[order]
    # The k-th window of its class comes in round k: rounds fill up class after class.
    rounds = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        mine = labels == label
        rounds[mine] = np.arange(mine.sum())
    chosen = np.sort(order[np.argsort(rounds, kind="stable")[:count]])
    mask: NDArray[Any] = np.zeros(len(labels), bool)
    mask[chosen] = True
    return windows.select(mask)
