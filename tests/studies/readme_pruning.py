"""The README's tables of the pruning study."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

STUDIES = Path(__file__).resolve().parent
# A quarter is left, and of layers, which cannot go further, a half.
_SHOWN = (
    "the parent",
    ", 75.00%",
    "layer, pls, one-shot, 50.00%",
    "layer, consensus, one-shot, 50.00%",
)
_COLUMNS = (
    ("macro_f1", "macro-F1", "{:.3f}"),
    ("recall S", "S recall", "{:.3f}"),
    ("recall V", "V recall", "{:.3f}"),
    ("calibration_error", "ECE", "{:.3f}"),
    ("attack_success linf:50uV", "turned at 50 µV", "{:.2f}"),
    ("least_change l2", "L2, µV", "{:,.0f}"),
    ("certified_share linf:5uV", "proved at 5 µV", "{:.2f}"),
    ("instructions", "instructions", "{:,.0f}"),
    ("flash", "flash, B", "{:,.0f}"),
)
_TUNED = "not counting none"
# What a claim is called, and what the names of its figures hold.
_CLAIMS = (
    ("VNN proves more than magnitude pruning at equal sparsity", ("VNN at", "certified share")),
    ("VNN is right more often than magnitude pruning at equal sparsity", ("VNN at", "accuracy")),
    ("the same of macro-F1", ("VNN at", "macro f1")),
    ("robustness is best at a compression of 2 to 4", ("at 2 to 4 times",)),
    ("L-infinity robustness falls before accuracy", ("falls before accuracy",)),
    ("fine-tuning moves macro-F1 more than the criterion", ("moves macro f1 more",)),
    ("the same of attack success", ("moves attack success",)),
    ("... macro-F1, of those that are fine-tuned at all", ("macro f1", _TUNED)),
    ("without layers, attacks succeed less often", ("layer, ", "less attack success")),
    ("without channels too", ("channel, ", "less attack success")),
)
_NETWORKS = (
    ("original", "original"),
    ("vnn 0.1", "VNN, epsilon .1"),
    ("vnn as released 0.1", "VNN as released, epsilon .1"),
    ("magnitude 0.1", "magnitude, as sparse"),
    ("magnitude, fine-tuned 0.1", "magnitude, as sparse, fine-tuned"),
)
_PAPER = {"original": "85.7", "vnn 0.1": "82.5", "magnitude 0.1": "68.4"}


def pruning_table(study: dict[str, Any]) -> str:
    """Return methods at one compression, the seeds' claims, and the CHB-MIT windows."""
    return "\n".join([*_methods(), "", *_claims(study), "", *_chb(study), ""])


def _methods() -> list[str]:
    table = json.loads((STUDIES / "pruning_table.json").read_text(encoding="utf-8"))
    places = [table["columns"].index(name) for name, _, _ in _COLUMNS]
    lines = [
        "MIT-BIH, test patients, int8 as flashed on Cortex-M7: means over the seeds of short "
        "trainings, a quarter of the",
        "weights and biases left (of layers a half), from `make study-pruning`; all ratios and "
        "intervals are in",
        "`tests/studies/pruning_table.json`.",
        "",
        f"| pruned by | compression | {' | '.join(title for _, title, _ in _COLUMNS)} |",
        f"| --- | ---: |{' ---: |' * len(_COLUMNS)}",
    ]
    for row in table["rows"]:
        if "figures" not in row or not any(words in row["setting"] for words in _SHOWN):
            continue
        cells = [
            "" if row["figures"][place] is None else form.format(row["figures"][place][0])
            for place, (_, _, form) in zip(places, _COLUMNS, strict=True)
        ]
        title = row["setting"].replace(", 75.00%", "").replace(", one-shot", "")
        lines.append(f"| {title} | {row['compression']:.1f} | {' | '.join(cells)} |")
    return lines


def _claims(study: dict[str, Any]) -> list[str]:
    figures = [row for row in study["figures"] if row["section"] == "claims"]
    lines = [
        "| claim of the papers | holds | not decided | does not hold |",
        "| --- | ---: | ---: | ---: |",
    ]
    for title, words in _CLAIMS:
        own = [
            row
            for row in figures
            if all(word in row["name"] for word in words)
            and (_TUNED in words or _TUNED not in row["name"])
        ]
        counts = Counter(row["note"].split(":")[0] for row in own)
        cells = [str(counts[name]) for name in ("holds", "not decided", "does not hold")]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def _chb(study: dict[str, Any]) -> list[str]:
    figures = {(row["section"], row["name"]): row for row in study["figures"]}
    ways = ("personalised", "patient-wise")
    lines = [
        "CHB-MIT windows, the 33,430-parameter network of VNN's paper: accuracy in %, and the "
        "share proved and right within",
        ".005 of unit RMS by lines (CROWN) and by intervals. The paper's networks were trained on "
        "windows that are not",
        "published; ours on parts of its test windows.",
        "",
        "| network | the paper's accuracy | "
        + " | ".join(f"{way}: accuracy | lines | intervals" for way in ways)
        + " |",
        "| --- | ---: |" + " ---: |" * 6,
    ]
    for name, title in _NETWORKS:
        cells = []
        for way in ways:
            section = f"CHB-MIT, {way}"
            cells.append(f"{figures[section, f'{name}: accuracy']['found']:.1f}")
            for how in ("linear", "intervals"):
                row = figures[section, f"{name}: proved and right at 0.005, {how}"]
                cells.append(f"{row['found']:.3f}")
        lines.append(f"| {title} | {_PAPER.get(name, '')} | {' | '.join(cells)} |")
    return lines
