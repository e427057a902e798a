"""What `edgeprune verify twins` shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgeprune.cli.console import Answer, Console
from edgeprune.config import RUNTIMES
from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.pipeline.twins import compare_over, count, load_held, load_twin
from edgeprune.verification.outcomes import Outcome, Runtime
from edgeprune.verification.perturbations import parse_perturbation


def twins(
    console: Console,
    first: Path,
    second: Path,
    held: Path | None,
    texts: tuple[str, ...],
    runtime: str | None,
    windows: int | None,
    seed: int,
) -> Answer:
    """Compare two networks under each perturbation and print a line for each.

    Raises:
        EdgepruneError: A file or a value cannot be used.
    """
    if runtime is not None and runtime not in RUNTIMES:
        raise UnknownNameError("runtime", runtime, RUNTIMES, where="--runtime")
    if windows is not None and windows < 1:
        raise ConfigurationError(
            f"{windows} windows cannot be", where="--windows", hint="1 or more"
        )
    perturbations = [parse_perturbation(text) for text in texts]
    place = held or first.parent / "certificates" / "held.npz"
    tried = load_held(place).select(slice(0, windows))
    arithmetic = Runtime(runtime or "firmware")
    reference, other = (load_twin(path, tried, arithmetic) for path in (first, second))
    rows: list[dict[str, Any]] = []
    for perturbation in perturbations:
        runs = compare_over(reference, other, tried, perturbation, seed=seed, progress=console)
        loss = np.concatenate([run.loss_bound for run in runs])
        found = np.concatenate([run.loss_found for run in runs])
        implied = np.concatenate([run.implied for run in runs])
        rows.append(
            {
                "perturbation": perturbation.text,
                "windows": len(tried),
                "proved_alike": count(runs, Outcome.PROVED),
                "decided_differently": count(runs, Outcome.FALSIFIED),
                "unknown": count(runs, Outcome.UNKNOWN),
                "implied": int(implied.sum()),
                "largest_margin_loss_bound": float(loss.max()),
                "largest_margin_loss_found": float(found.max()),
            }
        )
    console.line(f"{reference.name} (reference) and {other.name}, margins in logits")
    console.table(
        (
            *("set", "windows", "proved alike", "decided differently", "unknown"),
            *("second follows first", "margin loss at most", "found"),
        ),
        [
            (
                *list(row.values())[:6],
                f"{row['largest_margin_loss_bound']:.3f}",
                f"{row['largest_margin_loss_found']:.3f}",
            )
            for row in rows
        ],
    )
    different = sum(row["decided_differently"] for row in rows)
    alike = ", ".join(f"{row['proved_alike']} under {row['perturbation']}" for row in rows)
    return Answer(
        {"first": str(first), "second": str(second), "held": str(place), "twins": rows},
        passed=different == 0,
        verdict=f"proved alike: {alike} (of {len(tried)} windows)"
        + (f"; {different} decided differently" if different else ""),
    )
