"""The provers of the package, as the harness of `tests.verification.soundness` calls them."""

from __future__ import annotations

from edgeprune.network.operation import Bounds
from edgeprune.verification import decides
from tests.verification.soundness import Claims
from tests.verification.tiny_networks import TinyCase


def interval(case: TinyCase) -> Claims:
    """Exact interval bounds of every tensor."""
    network = case.network
    boxes = zip(case.low, case.high, strict=True)
    bounds: dict[str, Bounds] = dict(zip(network.inputs, boxes, strict=True))
    for operation in network.operations:
        operands = (bounds[name] for name in operation.inputs)
        bounds[operation.output] = operation.interval(network.tensors, *operands)
    low, high = (each.astype(int) for each in bounds[network.output])
    return Claims(
        proved=decides(low, high, case.decisions),
        low={name: each[0] for name, each in bounds.items()},
        high={name: each[1] for name, each in bounds.items()},
    )
