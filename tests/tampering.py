"""Files of certificates that somebody changed: each kind of change must be noticed.

`tamper(...)` writes one changed copy of a run's files for each kind that the run has something to
offer for; `notice(...)` lets the checker look at all of them.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.certificate_checker import check
from edgeprune.verification.certificates import CertificateFile, encode, read_certificates

PROVED, FALSIFIED, UNKNOWN, TIMEOUT = range(4)
INTERVAL, LINEAR, BRANCHING, ATTACK = range(4)
# Within this reach every window is decided in every way.
WIDE = "linf:3000uV"
# These change how a claim is shown, and not the claim. A checker that shows it without them is
# right to accept: so they are tried on several windows, and one that needs them must be refused.
HINTS = frozenset(
    {
        "slopes of 0 below and 2 above",
        "no accumulator bounded by a pass of its own",
        "the method interval instead of linear",
        "a negative multiplier",
    }
)
_TURNS = 12


@dataclass(frozen=True)
class Tampering:
    """A changed copy.

    Attributes:
        kind: What was changed.
        certificates: The file of certificates.
        network: The network's file.
        chosen: Certificates worth looking at; the others are as they were.
        with_data: Whether only a comparison with the data set's windows can tell: the statement is
            then about another beat, and may well be true of that one.
    """

    kind: str
    certificates: Path
    network: Path
    chosen: tuple[int, ...]
    with_data: bool


@dataclass(frozen=True)
class Noticed:
    """What the checker said of a tampering."""

    kind: str
    rejected: bool
    reason: str


@dataclass
class _Copy:
    """Header, columns and network bytes that a tampering may change."""

    header: dict[str, Any]
    columns: dict[str, npt.NDArray[Any]]
    network: bytearray
    chosen: tuple[int, ...] = (0,)
    with_data: bool = False
    raw: bytes | None = None
    turn: int = 0

    def first(self, outcome: int, method: int | None = None) -> int | None:
        """Return the first window of an outcome (and method), or another at another turn."""
        found = self.columns["outcome"] == outcome
        if method is not None:
            found = found & (self.columns["method"] == method)
        return self.taken(np.flatnonzero(found))

    def taken(self, windows: npt.NDArray[np.int64]) -> int | None:
        """Return the window whose turn it is, of all that would do."""
        place = self.turn * max(1, len(windows) // _TURNS)
        return int(windows[place]) if place < len(windows) else None

    def recount(self) -> None:
        """Make the header's tally fit the columns again, as a careful forger would."""
        outcome = self.columns["outcome"]
        right = (self.columns["decision"] == self.columns["label"]) & (outcome == PROVED)
        names = ("proved", "falsified", "unknown", "timeout")
        self.header["tally"] = {name: int((outcome == k).sum()) for k, name in enumerate(names)}
        self.header["tally"] |= {"n": len(outcome), "proved_and_right": int(right.sum())}

    def drop(self, table: str, keep: npt.NDArray[np.bool_]) -> None:
        """Keep some rows of the columns of a table."""
        for name in [each for each in self.columns if each.startswith(table)]:
            self.columns[name] = self.columns[name][keep]


Change = Callable[[_Copy], bool]
_KINDS: dict[str, Change] = {}


def _kind(name: str) -> Callable[[Change], Change]:
    def file(change: Change) -> Change:
        _KINDS[name] = change
        return change

    return file


def kinds() -> tuple[str, ...]:
    """Return the names of all kinds."""
    return tuple(_KINDS)


def tamper(certificates: Path, network: Path, folder: Path) -> Iterator[Tampering]:
    """Write a changed copy for each kind that the run has something to offer for."""
    folder.mkdir(parents=True, exist_ok=True)
    turns = [(kind, turn) for kind in _KINDS for turn in range(_TURNS if kind in HINTS else 1)]
    for number, (kind, turn) in enumerate(turns):
        file = read_certificates(certificates)
        columns = {name: values.copy() for name, values in file.columns.items()}
        header = json.loads(json.dumps(file.header))
        copy = _Copy(header, columns, bytearray(network.read_bytes()), turn=turn)
        if not _KINDS[kind](copy):
            continue
        changed = folder / f"{number}.npz"
        changed.write_bytes(copy.raw or encode(CertificateFile(copy.header, copy.columns)))
        other = folder / f"{number}.safetensors"
        other.write_bytes(bytes(copy.network))
        yield Tampering(kind, changed, other, copy.chosen, copy.with_data)


def notice(certificates: Path, network: Path, windows: Path | None, folder: Path) -> list[Noticed]:
    """Let the checker look at every tampering of a run; of hints, until it refuses one.

    Args:
        certificates: The run's certificates, which the checker accepts.
        network: Their network.
        windows: The data set's windows; without them the kinds that need them are left out.
        folder: Where the copies go.
    """
    found: dict[str, Noticed] = {}
    for each in tamper(certificates, network, folder):
        if each.with_data and windows is None:
            continue
        if each.kind in found and found[each.kind].rejected:
            continue
        data = windows if each.with_data else None
        report = check(each.certificates, each.network, data, chosen=each.chosen)
        reasons = [verdict.reason for verdict in report.verdicts if not verdict.accepted]
        reason = report.problem or (reasons[0] if reasons else "")
        found[each.kind] = Noticed(each.kind, not report.accepted, reason)
    return [*found.values()]


def _sections(network: bytearray) -> tuple[dict[str, Any], int]:
    (length,) = struct.unpack_from("<Q", network)
    return json.loads(bytes(network[8 : 8 + length])), 8 + length


def _flip(network: bytearray, suffix: str, places: int = 1) -> bool:
    table, start = _sections(network)
    names = [name for name in table if name.endswith(suffix)]
    for place in range(places):
        network[start + table[names[0]]["data_offsets"][0] + place] ^= 1
    return True


@_kind("a byte of a weight")
def _(copy: _Copy) -> bool:
    return _flip(copy.network, "/weights")


@_kind("a bias")
def _(copy: _Copy) -> bool:
    return _flip(copy.network, "/bias")


@_kind("weights of two layers' files exchanged")
def _(copy: _Copy) -> bool:
    table, start = _sections(copy.network)
    first, last = (table[name]["data_offsets"] for name in sorted(table)[-2:])
    a, b = start + first[0], start + last[0]
    copy.network[a], copy.network[b] = copy.network[b] ^ 3, copy.network[a] ^ 5
    return True


@_kind("the network's hash")
def _(copy: _Copy) -> bool:
    copy.header["network_sha256"] = "0" * 64
    return True


@_kind("the set enlarged")
def _(copy: _Copy) -> bool:
    window, text = copy.first(PROVED), copy.header["perturbation"]
    wide = WIDE if text.startswith("linf") else f"{text}+{WIDE}"
    copy.header["perturbation"] = "linf:90lsb" if text.endswith("lsb") else wide
    copy.chosen = (window or 0,)
    return window is not None


@_kind("the unit of the set")
def _(copy: _Copy) -> bool:
    window, text = copy.first(PROVED), copy.header["perturbation"]
    copy.header["perturbation"] = text.replace("uV", "mV")
    copy.chosen = (window or 0,)
    return window is not None and "uV" in text


@_kind("another kind of set")
def _(copy: _Copy) -> bool:
    window, text = copy.first(PROVED), copy.header["perturbation"]
    copy.header["perturbation"] = f"offset:5uV+{WIDE}" if text.startswith("linf") else WIDE
    copy.chosen = (window or 0,)
    return window is not None


@_kind("a set that there is not")
def _(copy: _Copy) -> bool:
    copy.header["perturbation"] = "nothing:1uV"
    return True


@_kind("raw counts of another window")
def _(copy: _Copy) -> bool:
    copy.with_data = True
    name = "raw" if "raw" in copy.columns else "input0"
    copy.columns[name] = np.roll(copy.columns[name], 1, axis=0)
    return "raw" in copy.columns


@_kind("the template")
def _(copy: _Copy) -> bool:
    copy.with_data = True
    if "template" in copy.columns:
        copy.columns["template"][0, :10] += 40
    return "template" in copy.columns


@_kind("the gain")
def _(copy: _Copy) -> bool:
    if "gain" in copy.columns:
        copy.columns["gain"][0] += 1
    return "gain" in copy.columns


@_kind("an RR feature")
def _(copy: _Copy) -> bool:
    copy.with_data = True
    if "intervals" in copy.columns:
        copy.columns["intervals"][0, 3] ^= 8
    return "intervals" in copy.columns


@_kind("a count beyond the converter")
def _(copy: _Copy) -> bool:
    if "raw" in copy.columns:
        copy.columns["raw"][0, 0] = 32767
    return "raw" in copy.columns and copy.header["converter"]["bits"] < 16


@_kind("the converter's rate")
def _(copy: _Copy) -> bool:
    if copy.header["converter"] is not None:
        copy.header["converter"]["rate_hz"] *= 2
    return copy.header["converter"] is not None


@_kind("the converter's step")
def _(copy: _Copy) -> bool:
    window = copy.first(PROVED)
    copy.chosen = (window or 0,)
    if copy.header["converter"] is not None:
        copy.header["converter"]["microvolt_per_count"] /= 100
    return copy.header["converter"] is not None and window is not None


@_kind("the reference class")
def _(copy: _Copy) -> bool:
    copy.with_data = "raw" in copy.columns
    copy.columns["label"][0] ^= 1
    if copy.with_data:
        copy.recount()
    elif copy.columns["outcome"][0] != PROVED:
        return False
    return True


@_kind("the decision")
def _(copy: _Copy) -> bool:
    copy.columns["decision"][0] ^= 1
    copy.recount()
    return True


@_kind("slopes of 0 below and 2 above")
def _(copy: _Copy) -> bool:
    window = copy.first(PROVED, LINEAR)
    copy.chosen = (window or 0,)
    if window is None or not len(copy.columns["slope_leaf"]):
        return False
    copy.columns["slope_lower"][:] = 0
    copy.columns["slope_upper"][:] = 32767
    # Every class and neuron: a single neuron may not matter.
    return bool(np.isin(copy.columns["slope_leaf"], _leaves(copy, window)).any())


@_kind("no accumulator bounded by a pass of its own")
def _(copy: _Copy) -> bool:
    window = copy.first(PROVED, LINEAR)
    copy.chosen = (window or 0,)
    if window is None or not len(copy.columns["refined_set"]):
        return False
    copy.drop("refined_", np.zeros(len(copy.columns["refined_set"]), np.bool_))
    copy.drop("slope_", np.zeros(len(copy.columns["slope_leaf"]), np.bool_))
    copy.columns["leaf_method"][:] = INTERVAL
    copy.columns["method"][window] = INTERVAL
    return True


@_kind("the method interval instead of linear")
def _(copy: _Copy) -> bool:
    window = copy.first(PROVED, LINEAR)
    copy.chosen = (window or 0,)
    if window is not None:
        copy.columns["method"][window] = INTERVAL
        copy.columns["leaf_method"][_leaves(copy, window)] = INTERVAL
    return window is not None


@_kind("a leaf missing")
def _(copy: _Copy) -> bool:
    return _without(copy, _branched(copy, "split_leaf"), duplicate=False)


@_kind("a leaf twice")
def _(copy: _Copy) -> bool:
    return _without(copy, _branched(copy, "split_leaf"), duplicate=True)


@_kind("a leaf on the other side")
def _(copy: _Copy) -> bool:
    window = _branched(copy, "split_leaf")
    if window is None:
        return False
    row = np.flatnonzero(np.isin(copy.columns["split_leaf"], _leaves(copy, window)))[-1]
    copy.columns["split_upper"][row] ^= 1
    return True


@_kind("a split moved, so that a gap is left")
def _(copy: _Copy) -> bool:
    window = _branched(copy, "split_leaf")
    if window is None:
        return False
    rows = np.flatnonzero(np.isin(copy.columns["split_leaf"], _leaves(copy, window)))
    copy.columns["split_at"][rows[copy.columns["split_upper"][rows] == 1]] += 1
    return True


@_kind("a negative multiplier")
def _(copy: _Copy) -> bool:
    window = _branched(copy, "split_leaf")
    if window is None:
        return False
    copy.columns["multiplier"][:] = -(2**60)
    return bool((copy.columns["leaf_method"][_leaves(copy, window)] == LINEAR).any())


@_kind("a piece removed")
def _(copy: _Copy) -> bool:
    return _without(copy, _branched(copy, "leaf_piece"), duplicate=False)


@_kind("a piece shifted")
def _(copy: _Copy) -> bool:
    window = _branched(copy, "leaf_piece")
    if window is None:
        return False
    piece = copy.columns["leaf_piece"][_leaves(copy, window)[0]]
    ends = copy.columns["pieces"][piece]
    axis = int(np.argmax(ends[1] - ends[0]))
    ends[:, axis] += 0.25 * (ends[1] - ends[0])[axis]
    return True


@_kind("a piece narrowed")
def _(copy: _Copy) -> bool:
    window = _branched(copy, "leaf_piece")
    if window is None:
        return False
    piece = copy.columns["leaf_piece"][_leaves(copy, window)[0]]
    ends = copy.columns["pieces"][piece]
    ends[1] -= 0.25 * (ends[1] - ends[0])
    return True


@_kind("a piece that is not a number")
def _(copy: _Copy) -> bool:
    window = _branched(copy, "leaf_piece")
    if window is not None:
        copy.columns["pieces"][0, 0, 0] = np.nan
    return window is not None


@_kind("every runtime instead of the firmware")
def _(copy: _Copy) -> bool:
    # A window that is close: only for the exact arithmetic did it need more than intervals.
    window = copy.first(PROVED, BRANCHING)
    window = copy.first(PROVED, LINEAR) if window is None else window
    copy.chosen = (window or 0,)
    firmware = copy.header["runtime"] == "firmware"
    copy.header["runtime"] = "any"
    if window is not None:
        copy.columns["method"][window] = INTERVAL
        copy.columns["leaf_method"][_leaves(copy, window)] = INTERVAL
    return firmware and window is not None


@_kind("a runtime that there is not")
def _(copy: _Copy) -> bool:
    copy.header["runtime"] = "some"
    return True


@_kind("proved instead of unknown")
def _(copy: _Copy) -> bool:
    window = copy.first(UNKNOWN)
    window = copy.first(TIMEOUT) if window is None else window
    return _forged(copy, window)


@_kind("proved instead of falsified")
def _(copy: _Copy) -> bool:
    window = copy.first(FALSIFIED)
    if window is not None:
        copy.drop("counterexample_", copy.columns["counterexample_window"] != window)
    return _forged(copy, window)


@_kind("a counterexample outside of the set")
def _(copy: _Copy) -> bool:
    window = copy.first(FALSIFIED)
    copy.chosen = (window or 0,)
    if window is not None:
        raw = copy.columns["counterexample_raw"]
        row = copy.columns["counterexample_window"] == window
        raw[row] = np.where(raw[row] > 0, raw[row] - 110, raw[row] + 110)
    return window is not None


@_kind("a counterexample that changes nothing")
def _(copy: _Copy) -> bool:
    window = copy.first(FALSIFIED)
    copy.chosen = (window or 0,)
    if window is not None:
        name = "input0" if copy.header["perturbation"].endswith("lsb") else "raw"
        row = copy.columns["counterexample_window"] == window
        held = copy.columns.get(name)
        if held is None:
            return False
        copy.columns["counterexample_raw"][row] = held[window].reshape(-1)
        copy.columns["counterexample_parameters"][row] = 0
    return window is not None


@_kind("no counterexample")
def _(copy: _Copy) -> bool:
    window = copy.first(FALSIFIED)
    copy.chosen = (window or 0,)
    if window is not None:
        copy.drop("counterexample_", copy.columns["counterexample_window"] != window)
    return window is not None


@_kind("falsified instead of proved")
def _(copy: _Copy) -> bool:
    window = copy.first(PROVED)
    copy.chosen = (window or 0,)
    if window is not None:
        copy.columns["outcome"][window] = FALSIFIED
        copy.recount()
    return window is not None


@_kind("the header's tally")
def _(copy: _Copy) -> bool:
    copy.header["tally"]["proved"] += 1
    return True


@_kind("a window left out")
def _(copy: _Copy) -> bool:
    for name in ("outcome", "method"):
        copy.columns[name] = copy.columns[name][:-1]
    return True


@_kind("the version")
def _(copy: _Copy) -> bool:
    copy.header["version"] = 99
    return True


@_kind("a column of another type")
def _(copy: _Copy) -> bool:
    copy.columns["decision"] = np.full(len(copy.columns["decision"]), np.nan)
    return True


@_kind("a column missing")
def _(copy: _Copy) -> bool:
    del copy.columns["leaf_window"]
    return True


@_kind("the file cut short")
def _(copy: _Copy) -> bool:
    content = encode(CertificateFile(copy.header, copy.columns))
    copy.raw = content[: len(content) // 2]
    return True


@_kind("a byte of the file")
def _(copy: _Copy) -> bool:
    content = bytearray(encode(CertificateFile(copy.header, copy.columns)))
    content[len(content) // 3] ^= 255
    copy.raw = bytes(content)
    return True


@_kind("pickled objects in the file")
def _(copy: _Copy) -> bool:
    buffer = io.BytesIO()
    np.savez(buffer, header=np.array([{"schema": 1}], dtype=object))
    copy.raw = buffer.getvalue()
    return True


def _leaves(copy: _Copy, window: int) -> npt.NDArray[np.int64]:
    return np.flatnonzero(copy.columns["leaf_window"] == window)


def _branched(copy: _Copy, by: str) -> int | None:
    """Return a proved window with several leaves by splits, or by pieces."""
    fitting = []
    for window in np.flatnonzero(copy.columns["outcome"] == PROVED).tolist():
        leaves = _leaves(copy, window)
        if by == "split_leaf":
            found = bool(np.isin(copy.columns["split_leaf"], leaves).any())
        else:
            found = len(np.unique(copy.columns["leaf_piece"][leaves])) > 1
        if found:
            fitting.append(window)
    window = copy.taken(np.array(fitting, np.int64))
    copy.chosen = (window or 0,)
    return window


def _without(copy: _Copy, window: int | None, *, duplicate: bool) -> bool:
    """Drop a leaf of a window, or put a copy of its neighbour in its place."""
    if window is None:
        return False
    leaves = _leaves(copy, window)
    last, other = int(leaves[-1]), int(leaves[-2])
    if not duplicate:
        copy.columns["leaf_window"][last] = _elsewhere(copy, window)
        return copy.columns["leaf_window"][last] >= 0
    for name in ("leaf_method", "leaf_piece", "leaf_refined"):
        copy.columns[name][last] = copy.columns[name][other]
    for owner, table in (("split_leaf", ("split_", "multiplier")), ("slope_leaf", ("slope_",))):
        names = [name for name in copy.columns if name.startswith(table)]
        kept = copy.columns[owner] != last
        again = copy.columns[owner] == other
        for name in names:
            values = copy.columns[name]
            twice = np.full(int(again.sum()), last) if name == owner else values[again]
            copy.columns[name] = np.concatenate([values[kept], twice.astype(values.dtype)])
    return True


def _elsewhere(copy: _Copy, window: int) -> int:
    """Return another proved window, which gets a leaf too many."""
    others = np.flatnonzero(copy.columns["outcome"] == PROVED)
    others = others[others != window]
    return int(others[0]) if len(others) else -1


def _forged(copy: _Copy, window: int | None) -> bool:
    """Claim a proof by intervals of a window that has none."""
    copy.chosen = (window or 0,)
    if window is None:
        return False
    copy.columns["outcome"][window] = PROVED
    copy.columns["method"][window] = INTERVAL
    for name, value in (("window", window), ("method", INTERVAL), ("piece", -1), ("refined", -1)):
        column = copy.columns[f"leaf_{name}"]
        copy.columns[f"leaf_{name}"] = np.append(column, value).astype(column.dtype)
    copy.recount()
    return True
