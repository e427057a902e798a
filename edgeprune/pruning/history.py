"""The history of a pruning in a file, by which it can be repeated.

`<name>.json` lists every edit of every step with the counts before and after it; arrays (positions
of zeros, new weights) lie in `<name>.safetensors` beside it, under "<step>.<edit>.<field>".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from edgeprune.errors import DataError, UnknownNameError
from edgeprune.files import write_bytes, write_text
from edgeprune.pruning.counts import Counts
from edgeprune.pruning.edits import EDITS, Edit
from edgeprune.pruning.pruner import Cost, PruningStep

FORMAT = "edgeprune-pruning-history 2"
ARRAYS = ".safetensors"
_ARRAY = "array"

Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class History:
    """What was done to a classifier.

    Attributes:
        steps: The rounds, in order; `replay` repeats them.
        stopped: Why the guard ended the pruning early; empty where it did not.
    """

    steps: tuple[PruningStep, ...]
    stopped: str = ""


def save_history(history: History, path: Path) -> None:
    """Write a history; equal histories, equal bytes.

    Args:
        history: What was done.
        path: The JSON file; arrays go beside it, if there are any.

    Raises:
        DiskError: The files cannot be written.
    """
    arrays: Arrays = {}
    steps = []
    for number, step in enumerate(history.steps, start=1):
        edits = [
            _edit_facts(edit, f"{number}.{place}", arrays) for place, edit in enumerate(step.edits)
        ]
        steps.append(
            {
                "before": asdict(step.before),
                "after": asdict(step.after),
                "cost": asdict(step.cost) if step.cost else None,
                "edits": edits,
            }
        )
    content = {"format": FORMAT, "stopped": history.stopped, "steps": steps}
    if arrays:
        write_bytes(path.with_suffix(ARRAYS), save(arrays))
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def load_history(path: Path) -> History:
    """Read a history that `save_history` wrote.

    Raises:
        DataError: The file is absent, damaged or of another version.
    """
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError(f"it is of format '{content['format']}', this version reads {FORMAT}")
        beside = path.with_suffix(ARRAYS)
        arrays = load_file(beside) if beside.exists() else {}
        steps = tuple(
            PruningStep(
                tuple(_edit(facts, arrays) for facts in step["edits"]),
                Counts(**step["before"]),
                Counts(**step["after"]),
                Cost(**step["cost"]) if step["cost"] else None,
            )
            for step in content["steps"]
        )
        return History(steps, content["stopped"])
    except (OSError, SafetensorError, UnknownNameError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"this is not a pruning history: {error}",
            where=str(path),
            hint="give a pruning-history.json of a result, with the arrays that lie beside it",
        ) from error


def _edit_facts(edit: Edit, key: str, arrays: Arrays) -> dict[str, Any]:
    assert is_dataclass(edit)
    facts: dict[str, Any] = {"kind": edit.kind}
    for field in fields(edit):
        value = getattr(edit, field.name)
        if isinstance(value, np.ndarray):
            name = f"{key}.{field.name}"
            arrays[name] = np.ascontiguousarray(value)
            value = {_ARRAY: name}
        facts[field.name] = value
    return facts


def _edit(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> Edit:
    kind = EDITS.get(facts["kind"], where="pruning history").edit_class()
    values = {name: _value(value, arrays) for name, value in facts.items() if name != "kind"}
    return kind(**values)


def _value(value: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    if isinstance(value, dict):
        return arrays[value[_ARRAY]]
    return tuple(_value(item, arrays) for item in value) if isinstance(value, list) else value
