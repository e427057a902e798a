"""The file of certificates: what someone else needs to check a verification, and nothing more.

One `.npz` (a zip of plain arrays; no pickled objects) for a run: a JSON header with what all
windows share, and columns. `edgeprune.certificate_checker` reads it and believes nothing of it but
what it can recompute, so that no bound is stored:

- every window: its raw counts and what the front end remembered, class, decision, outcome, method;
- interval proofs: nothing more;
- linear proofs: which accumulators were bounded by backward passes of their own, and the slopes of
  the relaxation lines, as shares of the layer's factor in 1/2^14, where a line is not flat;
- branching: the pieces of a low-dimensional set, the splits of each leaf from the root down, and
  the multipliers of its splits, in 1/2^44;
- falsified windows: the counterexample's raw counts.

The threat model is that of `HeldWindows`: the raw samples of the beat's own window move, what the
device remembers of earlier beats (template, gain, RR history) is held.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.data.held import HeldWindows
from edgeprune.data.held_segments import HeldSegments
from edgeprune.errors import ModelError
from edgeprune.files import write_bytes
from edgeprune.network import IntegerNetwork
from edgeprune.verification.bound_graph import bound_graph
from edgeprune.verification.bound_nodes import BoundGraph, Source, Step
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.outcomes import Counterexample, Leaf, Lines, Outcome, VerificationRun
from edgeprune.verification.perturbations import parse_perturbation
from edgeprune.verification.witness import explain

SCHEMA = "edgeprune.certificates"
VERSION = 1
RATIO_BITS = 14
MULTIPLIER_BITS = 44

OUTCOMES = ("proved", "falsified", "unknown", "timeout")
_METHODS = ("interval", "linear", "branching", "attack")
_EPOCH = (1980, 1, 1, 0, 0, 0)

Columns = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class CertificateFile:
    """A file's header and columns, as they stand in it.

    Attributes:
        header: What all windows share.
        columns: Arrays by name.
    """

    header: Mapping[str, Any]
    columns: Columns

    @property
    def count(self) -> int:
        """Windows."""
        return len(self.columns["outcome"])


def write_certificates(run: VerificationRun, network: IntegerNetwork, path: Path) -> int:
    """Write a run's certificates; the same run always gives the same bytes.

    Args:
        run: Outcomes with their proofs (`VerifySettings.keeps_proofs`).
        network: The network that they are about.
        path: Where to write.

    Returns:
        Bytes written.

    Raises:
        ModelError: The run is about another network, or a proof is missing.
        DiskError: The file cannot be written.
    """
    content = encode(assemble(run, network))
    write_bytes(path, content)
    return len(content)


def read_certificates(path: Path) -> CertificateFile:
    """Read a file of certificates, for reports; `certificate_checker` is what checks it.

    Raises:
        ModelError: The file is absent, damaged, or of another kind or version.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            columns = {name: content[name] for name in content.files}
        header = json.loads(columns.pop("header").tobytes())
        found = header["schema"], header["version"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f"this is no file of certificates ({error})", where=str(path)) from error
    if found != (SCHEMA, VERSION):
        raise ModelError(
            f"the file holds {found[0]} version {found[1]}",
            where=str(path),
            hint=f"this edgeprune reads {SCHEMA} version {VERSION}",
        )
    return CertificateFile(header, columns)


def encode(file: CertificateFile) -> bytes:
    """Return the bytes of a file: deflated, with names in order and without times."""
    text = json.dumps(file.header, sort_keys=True, separators=(",", ":")).encode()
    columns = {**file.columns, "header": np.frombuffer(text, np.uint8)}
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(columns):
            array = BytesIO()
            np.save(array, np.ascontiguousarray(columns[name]), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, array.getvalue())
    return stream.getvalue()


def assemble(run: VerificationRun, network: IntegerNetwork) -> CertificateFile:
    """Return what a run's file holds; see `write_certificates`."""
    if run.network_sha256 != network.sha256:
        raise ModelError("the run is about another network", where=f"network {network.sha256[:12]}")
    table = _Table(bound_graph(network, 1 if run.runtime == "any" else 0), run)
    outcomes = np.array([OUTCOMES.index(each.outcome) for each in run.results], np.int8)
    right = run.decisions == run.windows.label
    tally = {name: int((outcomes == number).sum()) for number, name in enumerate(OUTCOMES)}
    header = {
        "schema": SCHEMA,
        "version": VERSION,
        "network_sha256": run.network_sha256,
        "runtime": str(run.runtime),
        "perturbation": run.perturbation,
        "classes": list(run.windows.class_names),
        "records": list(run.windows.record_names),
        "steps": list(table.steps),
        "tally": tally
        | {"n": len(outcomes), "proved_and_right": int((right & (outcomes == 0)).sum())},
        "converter": _converter(run.held),
    }
    columns: dict[str, npt.NDArray[Any]] = {
        "outcome": outcomes,
        "method": np.array([_METHODS.index(each.method) for each in run.results], np.int8),
        "decision": run.decisions.astype(np.int16),
        "label": run.windows.label.astype(np.int16),
        "record": run.windows.record.astype(np.int32),
        "beat": run.windows.beat.astype(np.int64),
        **_held(run.held),
    }
    return CertificateFile(header, columns | table.columns())


def _converter(held: Any) -> dict[str, Any] | None:
    if not isinstance(held, HeldWindows):
        return None
    adc = held.adc
    described: dict[str, Any] = {
        "rate_hz": adc.rate_hz,
        "bits": adc.bits,
        "microvolt_per_count": adc.microvolt_per_count,
    }
    if isinstance(held, HeldSegments):
        described |= {"unit": adc.unit, "segments": dict(held.front_end.constants())}
    return described


def _held(held: HeldWindows | HeldInputs) -> dict[str, npt.NDArray[Any]]:
    if isinstance(held, HeldInputs):
        return {f"input{number}": values for number, values in enumerate(held.values)}
    if isinstance(held, HeldSegments):
        return {"raw": held.raw}
    return {
        "raw": held.raw,
        "template": held.template.astype(np.int32),
        "gain": held.gain.astype(np.int32),
        "intervals": held.intervals,
    }


@dataclass
class _Table:
    """The rows of all proofs and counterexamples, under construction."""

    graph: BoundGraph
    run: VerificationRun
    steps: dict[str, int] = field(default_factory=dict)
    sets: int = -1

    def __post_init__(self) -> None:
        names = [self.graph.nodes[number].name for number in self.graph.steps]
        self.steps = {name: place for place, name in enumerate(names)}
        self._rows: dict[str, list[Any]] = {
            name: []
            for name in (
                *("leaf_window", "leaf_method", "leaf_piece", "leaf_refined", "pieces"),
                *("split_leaf", "split_step", "split_neuron", "split_at", "split_upper"),
                *("multiplier", "refined_set", "refined_step", "refined_neuron"),
                *("slope_leaf", "slope_class", "slope_step", "slope_neuron"),
                *("slope_lower", "slope_upper", "counterexample_window", "counterexample_raw"),
                "counterexample_parameters",
            )
        }

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns of all windows."""
        for window, result in enumerate(self.run.results):
            if result.outcome == Outcome.PROVED:
                if result.proof is None:
                    raise ModelError(
                        "a proved window has no proof",
                        where=f"window {window}",
                        hint="verify with keeps_proofs",
                    )
                self._proof(window, result.decision, result.proof.leaves)
            elif result.outcome == Outcome.FALSIFIED and result.counterexample is not None:
                self._rows["counterexample_window"].append(window)
                self._rows["counterexample_raw"].append(self._moved(result.counterexample))
                self._rows["counterexample_parameters"].append(
                    self._parameters(window, result.counterexample)
                )
        return {name: self._column(name, rows) for name, rows in self._rows.items()}

    def _parameters(self, window: int, found: Counterexample) -> npt.NDArray[np.float64]:
        """Return the parameters of a counterexample in a low-dimensional set; 0 if unknown."""
        set_ = parse_perturbation(self.run.perturbation)
        if not set_.dimensions:
            return np.zeros(0)
        held = set_.place(self.run.held).select(np.array([window]))
        parameters = explain(set_, held, self._moved(found))
        return np.zeros(set_.dimensions) if parameters is None else parameters

    def _moved(self, found: Counterexample) -> npt.NDArray[Any]:
        """Return the raw counts of a counterexample, or its first input where that itself moves."""
        counts = isinstance(self.run.held, HeldWindows) and not self.run.perturbation.endswith(
            "lsb"
        )
        moved = found.raw if counts else found.inputs[0].reshape(-1)
        assert moved is not None
        return moved

    def _column(self, name: str, rows: list[Any]) -> npt.NDArray[Any]:
        classes = len(self.run.windows.class_names)
        empty = {"multiplier": (0, classes), "pieces": (0, 2, 0), "counterexample_raw": (0, 1)}
        empty["counterexample_parameters"] = (0, 0)
        types: dict[str, Any] = {"pieces": np.float64, "multiplier": np.int64, "split_at": np.int64}
        types |= {"counterexample_parameters": np.float64}
        types |= {"slope_lower": np.int16, "slope_upper": np.int16, "counterexample_raw": np.int16}
        kind = types.get(name, np.int32)
        if not rows:
            return np.zeros(empty.get(name, (0,)), kind)
        joined = np.concatenate if name.startswith(("slope_", "refined_")) else np.stack
        column: npt.NDArray[Any] = joined(rows).astype(kind)
        return column

    def _proof(self, window: int, decision: int, leaves: Sequence[Leaf]) -> None:
        pieces: dict[bytes, int] = {}
        refined: dict[bytes, int] = {}
        for leaf in sorted(leaves, key=_order):
            number = len(self._rows["leaf_window"])
            self._rows["leaf_window"].append(window)
            self._rows["leaf_method"].append(_METHODS.index(leaf.method))
            self._rows["leaf_piece"].append(self._piece(leaf, pieces))
            self._rows["leaf_refined"].append(self._refinement(leaf.lines, refined))
            self._splits(number, decision, leaf)
            if leaf.lines is not None:
                self._slopes(number, decision, leaf.lines)

    def _piece(self, leaf: Leaf, known: dict[bytes, int]) -> int:
        if leaf.piece is None:
            return -1
        key = leaf.piece.tobytes()
        if key not in known:
            known[key] = len(self._rows["pieces"])
            self._rows["pieces"].append(leaf.piece)
        return known[key]

    def _refinement(self, lines: Lines | None, known: dict[bytes, int]) -> int:
        if lines is None or not any(mask.any() for mask in lines.refined.values()):
            return -1
        masks = [(self._step(each), lines.refined[each]) for each in sorted(lines.refined)]
        key = b"".join(mask.tobytes() for _, mask in masks)
        if key not in known:
            self.sets += 1
            known[key] = self.sets
            for step, mask in masks:
                neurons = np.flatnonzero(mask)
                self._rows["refined_set"].append(np.full(len(neurons), self.sets))
                self._rows["refined_step"].append(np.full(len(neurons), step))
                self._rows["refined_neuron"].append(neurons)
        return known[key]

    def _step(self, number: int) -> int:
        """Return the place of a Step node among the steps."""
        return self.steps[self.graph.nodes[number].name]

    def _split(self, number: int) -> int:
        """Return the place of what is split among the inputs (two places) and the steps."""
        node = self.graph.nodes[number]
        return node.position if isinstance(node, Source) else 2 + self._step(number)

    def _splits(self, number: int, decision: int, leaf: Leaf) -> None:
        classes = len(self.run.windows.class_names)
        others = [each for each in range(classes) if each != decision]
        multipliers = iter(() if leaf.lines is None else leaf.lines.multipliers)
        for split in leaf.splits:
            # Values are whole numbers: `<= t - 1` and `>= t` part them for any t.
            at = np.ceil(split.threshold) if split.above else np.ceil(split.threshold + 1) - 1
            self._rows["split_leaf"].append(number)
            self._rows["split_step"].append(self._split(split.node))
            self._rows["split_neuron"].append(split.neuron)
            self._rows["split_at"].append(int(at))
            self._rows["split_upper"].append(split.above)
            weights = np.zeros(classes)
            if not isinstance(self.graph.nodes[split.node], Source) and leaf.lines is not None:
                weights[others] = next(multipliers)
            self._rows["multiplier"].append(np.rint(np.ldexp(weights, MULTIPLIER_BITS)))

    def _slopes(self, leaf: int, decision: int, lines: Lines) -> None:
        classes = [each for each in range(len(self.run.windows.class_names)) if each != decision]
        for number in sorted(lines.lower):
            node = self.graph.nodes[number]
            assert isinstance(node, Step)
            for row, neurons, lower, upper in _sloped(node, lines, number):
                shared = len(lines.lower[number]) == 1
                for name, values in (
                    ("leaf", np.full(len(neurons), leaf)),
                    ("class", np.full(len(neurons), -1 if shared else classes[row])),
                    ("step", np.full(len(neurons), self.steps[node.name])),
                    ("neuron", neurons),
                    ("lower", lower),
                    ("upper", upper),
                ):
                    self._rows[f"slope_{name}"].append(values)


def _order(leaf: Leaf) -> tuple[Any, ...]:
    piece = () if leaf.piece is None else tuple(leaf.piece.reshape(-1).tolist())
    return piece, leaf.splits


def _sloped(step: Step, lines: Lines, number: int) -> Iterator[tuple[int, Any, Any, Any]]:
    """Yield, for each objective, neurons with a line that is not flat, and the shares."""
    factor = np.where(step.factor > 0, step.factor, 1.0)
    one = 1 << RATIO_BITS
    for row, (lower, upper) in enumerate(
        zip(lines.lower[number], lines.upper[number], strict=True)
    ):
        ratios = [np.clip(np.rint(each / factor * one), 0, 2 * one - 1) for each in (lower, upper)]
        neurons = np.flatnonzero((ratios[0] > 0) | (ratios[1] > 0))
        yield row, neurons, ratios[0][neurons], ratios[1][neurons]
