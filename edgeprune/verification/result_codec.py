"""Results of windows as bytes: one `.npz`, without pickled objects."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.verification.outcomes import (
    Counterexample,
    Leaf,
    Lines,
    Method,
    Outcome,
    Proof,
    Split,
    WindowResult,
)

Array = npt.NDArray[Any]


def encode_results(results: tuple[WindowResult, ...]) -> bytes:
    """Return the bytes of some results."""
    arrays: list[Array] = []

    def keep(array: Array) -> int:
        arrays.append(array)
        return len(arrays) - 1

    def by_node(values: dict[int, Array]) -> list[tuple[int, int]]:
        return [(node, keep(array)) for node, array in values.items()]

    def lines(each: Lines | None) -> Any:
        if each is None:
            return None
        return {
            "lower": by_node(each.lower),
            "upper": by_node(each.upper),
            "multipliers": keep(each.multipliers),
            "refined": by_node(each.refined),
        }

    def leaf(each: Leaf) -> Any:
        return {
            "method": each.method,
            "piece": None if each.piece is None else keep(each.piece),
            "splits": [list(split) for split in each.splits],
            "lines": lines(each.lines),
            "lower": keep(each.lower),
        }

    def counterexample(each: Counterexample | None) -> Any:
        if each is None:
            return None
        return {
            "raw": None if each.raw is None else keep(each.raw),
            "inputs": [keep(values) for values in each.inputs],
            "logits": keep(each.logits),
            "decision": each.decision,
        }

    described = [
        {
            "outcome": result.outcome,
            "method": result.method,
            "decision": result.decision,
            "seconds": result.seconds,
            "margin": result.margin,
            "counterexample": counterexample(result.counterexample),
            "proof": None if result.proof is None else [leaf(each) for each in result.proof.leaves],
        }
        for result in results
    ]
    buffer = BytesIO()
    text = np.frombuffer(json.dumps(described).encode(), np.uint8)
    np.savez(buffer, text=text, **{f"a{number}": array for number, array in enumerate(arrays)})
    return buffer.getvalue()


def decode_results(content: bytes) -> tuple[WindowResult, ...]:
    """Return the results of what `encode_results` gave."""
    with np.load(BytesIO(content), allow_pickle=False) as arrays:
        described = json.loads(arrays["text"].tobytes())

        def by_node(pairs: list[list[int]]) -> dict[int, Array]:
            return {node: arrays[f"a{number}"] for node, number in pairs}

        def lines(each: Any) -> Lines | None:
            if each is None:
                return None
            return Lines(
                by_node(each["lower"]),
                by_node(each["upper"]),
                arrays[f"a{each['multipliers']}"],
                by_node(each["refined"]),
            )

        def leaf(each: Any) -> Leaf:
            return Leaf(
                Method(each["method"]),
                None if each["piece"] is None else arrays[f"a{each['piece']}"],
                tuple(Split(*split) for split in each["splits"]),
                lines(each["lines"]),
                arrays[f"a{each['lower']}"],
            )

        def counterexample(each: Any) -> Counterexample | None:
            if each is None:
                return None
            return Counterexample(
                None if each["raw"] is None else arrays[f"a{each['raw']}"],
                tuple(arrays[f"a{number}"] for number in each["inputs"]),
                arrays[f"a{each['logits']}"],
                each["decision"],
            )

        return tuple(
            WindowResult(
                Outcome(each["outcome"]),
                Method(each["method"]),
                each["decision"],
                each["seconds"],
                each["margin"],
                counterexample(each["counterexample"]),
                None if each["proof"] is None else Proof(tuple(map(leaf, each["proof"]))),
            )
            for each in described
        )
