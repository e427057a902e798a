"""Attacks held against proofs: what is proved of a window, no change within the set may turn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeprune.data import Windows
from edgeprune.data.held import HeldWindows
from edgeprune.errors import ContradictionError
from edgeprune.evidence import ProofCheck
from edgeprune.pipeline.products import load_windows
from edgeprune.pipeline.prove import FILES
from edgeprune.pipeline.store import Stage
from edgeprune.pipeline.turned import Turned
from edgeprune.verification.certificates import OUTCOMES, read_certificates
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.outcomes import Outcome
from edgeprune.verification.perturbations import Perturbation, parse_perturbation

Int16Array = npt.NDArray[np.int16]
Bools = npt.NDArray[np.bool_]


def check_proofs(
    verified: Stage, windows: Windows, held: HeldWindows, turned: Turned
) -> ProofCheck:
    """Look for a change that turned a decision within a set that was proved for its window.

    Args:
        verified: The stage with the certificates.
        windows: The windows that were attacked.
        held: The same as raw samples.
        turned: The changes that turned the int8 network's decisions.

    Raises:
        ContradictionError: There is one; the attack or the proof is wrong.
    """
    proved_windows = load_windows(verified.file(f"{FILES}/windows.npz"))
    places = _places(proved_windows)
    row_of = np.array([places.get(key, -1) for key in _keys(windows)], np.int64)
    compared = proved = 0
    for path in sorted(verified.file(FILES).glob("*.npz")):
        if path.name in ("held.npz", "windows.npz"):
            continue
        content = read_certificates(path)
        outcomes = np.array(OUTCOMES)[content.columns["outcome"]]
        known = row_of >= 0
        holds = np.zeros(len(windows), np.bool_)
        holds[known] = outcomes[row_of[known]] == Outcome.PROVED
        proved += int(holds.sum())
        text = content.header["perturbation"]
        mask = known[turned.window]
        member = np.zeros(len(turned), np.bool_)
        if mask.any():
            rows = turned.window[mask]
            member[mask] = members(parse_perturbation(text), held.select(rows), turned.raw[mask])
        compared += int(member.sum())
        for found in np.flatnonzero(member & holds[turned.window]).tolist():
            _raise(windows, int(turned.window[found]), text, turned.attack[found])
    return ProofCheck(compared=compared, proved=proved, contradictions=0)


def members(perturbation: Perturbation, held: HeldWindows, raw: Int16Array) -> Bools:
    """Return which changed windows [n, reach] lie within a set, whatever it is about."""
    place = perturbation.place(held)
    if isinstance(place, HeldInputs):
        raw = HeldInputs(held.inputs(raw)).raw
    elif place.raw.shape[1] > raw.shape[1]:
        # The set may move RR intervals too; attacks hold them.
        raw = np.concatenate([raw, place.raw[:, raw.shape[1] :]], axis=1)
    return perturbation.contains(held, raw)


def _keys(windows: Windows) -> list[tuple[str, int]]:
    names = [windows.record_names[record] for record in windows.record.tolist()]
    return list(zip(names, windows.beat.tolist(), strict=True))


def _places(windows: Windows) -> dict[tuple[str, int], int]:
    return {key: row for row, key in enumerate(_keys(windows))}


def _raise(windows: Windows, row: int, text: str, attack: str) -> None:
    name, sample = _keys(windows)[row]
    raise ContradictionError(
        f"the attack '{attack}' turned a decision within '{text}', which was proved to hold there",
        where=f"record {name}, beat at sample {sample}, set {text}",
        hint="this is a bug of edgeprune: report it with the result directory; trust neither",
    )
