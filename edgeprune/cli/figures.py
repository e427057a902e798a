"""Records and figures as the verbs show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeprune.evidence import Quantity
    from edgeprune.pipeline.build import BuildResult


def record_of(result: BuildResult, stage: str, file: str, kind: Any) -> Any:
    """Read a record of a finished stage."""
    from edgeprune.pipeline.products import load_record

    return load_record(result.stages[stage].file(file), kind)


def plain(record: object) -> Any:
    """Return a record as JSON values."""
    from edgeprune.evidence.codec import encode

    return encode(record)


def text(quantity: Quantity | None) -> str:
    """Return a figure with its interval as a person reads it."""
    if quantity is None:
        return "not tested"
    if quantity.value is None:
        return "undefined"
    if quantity.unit != "1" or isinstance(quantity.value, int):
        return f"{quantity.value:,}"
    if quantity.interval is None:
        return f"{quantity.value:.3f}"
    return f"{quantity.value:.3f} ({quantity.interval.low:.3f} to {quantity.interval.high:.3f})"
