"""Layers over maps of two axes [length, height, channels], written out as windows over the length.

What lies at one position of the length, [height, channels], is one row of numbers; what a window
does across the height is part of the weights of each of its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgeprune.certificate_checker.stairs import Ints, Linear


def reads(entry: Mapping[str, Any], axis: int, kernel: int, size: int, windows: int) -> Ints:
    """Return the cells [windows, kernel] that windows read along an axis; -1 is padding."""
    stride, before = entry["stride"][axis], entry["padding"][axis][0]
    step = entry.get("dilation", (1, 1))[axis]
    cells = np.arange(windows)[:, None] * stride - before + np.arange(kernel) * step
    return np.where((cells >= 0) & (cells < size), cells, -1)


def convolution(entry: Mapping[str, Any], source: Any, output: Any, weights: Ints) -> Linear:
    """Return the map of a conv2d or depthwise_conv2d, its weights as the file has them."""
    length, height, channels = source["shape"]
    if entry["kind"] == "conv2d":
        outputs, rows, across, width = weights.shape
        full = np.zeros((rows, across, channels, outputs), np.int64)
        for channel in range(outputs):
            first = channel // (outputs // entry["groups"]) * width
            full[:, :, first : first + width, channel] = weights[channel]
    else:
        rows, across, outputs = weights.shape
        full = np.zeros((rows, across, channels, outputs), np.int64)
        for channel in range(outputs):
            full[:, :, channel // entry["channel_multiplier"], channel] = weights[:, :, channel]
    return _over_rows(entry, full, (length, height), output["shape"])


def average(entry: Mapping[str, Any], source: Any, output: Any) -> tuple[Linear, Ints]:
    """Return the sums of an average_pool2d, and how many cells each output is the mean of."""
    length, height, channels = source["shape"]
    rows, across = entry["kernel"]
    full = np.broadcast_to(np.eye(channels, dtype=np.int64), (rows, across, channels, channels))
    inside = [
        (reads(entry, axis, entry["kernel"][axis], size, output["shape"][axis]) >= 0).sum(axis=1)
        for axis, size in enumerate((length, height))
    ]
    counts = np.repeat(np.outer(*inside).reshape(-1), channels)
    return _over_rows(entry, full, (length, height), output["shape"]), counts


def maximum(entry: Mapping[str, Any], source: Any, output: Any) -> Ints:
    """Return the elements [outputs, cells] that a max_pool2d compares; -1 is none."""
    length, height, channels = source["shape"]
    along, across = (
        reads(entry, axis, entry["kernel"][axis], size, output["shape"][axis])
        for axis, size in enumerate((length, height))
    )
    # [windows, windows across, channels, kernel, kernel across]
    one = along[:, None, None, :, None]
    other = across[None, :, None, None, :]
    cells = (one * height + other) * channels + np.arange(channels)[:, None, None]
    cells = np.where((one >= 0) & (other >= 0), cells, -1)
    return cells.reshape(int(np.prod(output["shape"])), -1)


def _over_rows(
    entry: Mapping[str, Any], full: Ints, sizes: tuple[int, int], shape: list[int]
) -> Linear:
    """Return a window [rows, across, in, out] as one over rows of height times channels."""
    rows, across, channels, outputs = full.shape
    wide = np.zeros((rows, sizes[1], channels, shape[1], outputs), np.int64)
    for window, cells in enumerate(reads(entry, 1, across, sizes[1], shape[1])):
        for cell, place in enumerate(cells):
            if place >= 0:
                wide[:, place, :, window] += full[:, cell]
    return Linear(
        wide.reshape(rows, sizes[1] * channels, shape[1] * outputs),
        sizes[0],
        shape[0],
        entry["stride"][0],
        entry.get("dilation", (1, 1))[0],
        entry["padding"][0][0],
    )
