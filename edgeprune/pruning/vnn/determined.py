"""Neurons whose rows leave one solution: equalities of full column rank, all solved at once.

At epsilon 0 a dense layer with fewer living inputs than samples has only its own weights: no
program is needed, and the duals that prove it come out of the same factorisation.
"""

from __future__ import annotations

import numpy as np

from edgeprune.pruning.vnn.checks import Floats, without_noise

_CONDITION = 1e8


def determined(matrix: Floats, targets: Floats) -> tuple[Floats, Floats] | None:
    """Return what solves `matrix v = target` and duals that prove its 1-norm, for each target.

    Args:
        matrix: Float64 [rows, columns].
        targets: Float64 [rows, neurons].

    Returns:
        Values [columns, neurons] and duals [rows, neurons], to be checked; None where the columns
        do not determine them.
    """
    rows, columns = matrix.shape
    if rows < columns or columns == 0:
        return None
    orthogonal, triangle = np.linalg.qr(matrix)
    left, singular, right = np.linalg.svd(triangle)
    if singular[-1] * _CONDITION < singular[0]:
        return None
    values = right.T @ ((left.T @ (orthogonal.T @ targets)) / singular[:, None])
    values = np.apply_along_axis(without_noise, 0, values)
    duals = orthogonal @ (left @ ((right @ np.sign(values)) / singular[:, None]))
    return values, duals
