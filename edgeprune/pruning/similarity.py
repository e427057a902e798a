"""How far two networks' representations of the same windows are apart, by several measures.

A representation is float64 [n, features]: what the last layer reads. Every measure is 0 for equal
ones and does not mind what it is called invariant to; all but the Wasserstein distance centre the
features first. Angles are of the shape metrics of Williams et al. (NeurIPS 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance

from edgeprune.registry import Registry

Representation = NDArray[np.float64]
Distance = Callable[[Representation, Representation], float]


def unaligned_kernels(one: Representation, other: Representation) -> float:
    """Return 1 minus the linear CKA (Kornblith et al. 2019), 0 to 1.

    Invariant to rotations and to one factor on all features.
    """
    one, other = _centred(one), _centred(other)
    norms = np.linalg.norm(one.T @ one) * np.linalg.norm(other.T @ other)
    if norms == 0:
        return float(bool(one.any()) or bool(other.any()))
    return max(0.0, 1 - float(np.linalg.norm(one.T @ other) ** 2 / norms))


def permuted_angle(one: Representation, other: Representation) -> float:
    """Return the angle left after the best reordering of the features, 0 to pi/2."""
    one, other = _centred(one), _centred(other)
    products = one.T @ other
    return _angle(products[linear_sum_assignment(products, maximize=True)].sum(), one, other)


def rotated_angle(one: Representation, other: Representation) -> float:
    """Return the angle left after the best rotation (orthogonal Procrustes), 0 to pi/2."""
    one, other = _centred(one), _centred(other)
    return _angle(np.linalg.svd(one.T @ other, compute_uv=False).sum(), one, other)


def linear_angle(one: Representation, other: Representation) -> float:
    """Return the angle left after the best invertible linear map (CCA), 0 to pi/2."""
    return rotated_angle(_whitened(one), _whitened(other))


def transported(one: Representation, other: Representation) -> float:
    """Return the Wasserstein distance of all activations, whatever feature they are of."""
    return float(wasserstein_distance(one.ravel(), other.ravel()))


DISTANCES: Registry[Distance] = Registry(
    "representation distance",
    cka=unaligned_kernels,
    permutation=permuted_angle,
    rotation=rotated_angle,
    linear=linear_angle,
    wasserstein=transported,
)


def _centred(value: Representation) -> Representation:
    centred: Representation = value - value.mean(axis=0)
    return centred


def _whitened(value: Representation) -> Representation:
    left, sizes, _ = np.linalg.svd(_centred(value), full_matrices=False)
    certain = sizes > sizes.max(initial=0.0) * max(value.shape) * np.finfo(np.float64).eps
    whitened: Representation = left[:, certain]
    return whitened


def _angle(product: float, one: Representation, other: Representation) -> float:
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    if norms == 0:
        return math.pi / 2 if one.any() or other.any() else 0.0
    return math.acos(min(1.0, max(-1.0, float(product) / norms)))
