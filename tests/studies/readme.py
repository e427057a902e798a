"""The tables of figures of the README and the pages: `python -m tests.studies.readme`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.studies.readme_pruning import pruning_table
from tests.studies.readme_reach import agreement_table, eeg_table

CHECKOUT = Path(__file__).resolve().parent.parent.parent
STUDIES = CHECKOUT / "tests" / "studies"
_SHOWN = (
    ("V sensitivity", "V sensitivity", "{:.3f}"),
    ("V precision", "V precision", "{:.3f}"),
    ("S F1", "S F1", "{:.3f}"),
    ("S F1 without 232", "S F1 without record 232", "{:.3f}"),
    ("N sensitivity", "N sensitivity", "{:.3f}"),
    ("accuracy", "accuracy", "{:.3f}"),
    ("build from nothing", "build from nothing on 2 cores, s", "{:,.0f}"),
)

_FIRMWARE = (
    ("r1", "cortex-m7, instructions", "{:,.0f}"),
    ("r1", "cortex-m7, flash with the protocol", "{:,.0f}"),
    ("r1", "cortex-m7, RAM with stack", "{:,.0f}"),
    ("r1", "cortex-m3, fewer than portable C", "{:.1f}x"),
    ("r1", "cortex-m0plus, fewer than portable C", "{:.1f}x"),
    ("r1", "cortex-m55, instructions", "{:,.0f}"),
    ("beside tflite-micro", "r1, fewer instructions", "{:.1f}x"),
    ("beside tflite-micro", "mit-bih, instructions", "{:,.0f}"),
    ("beside tflite-micro", "mit-bih, flash bytes", "{:,.0f}"),
    ("beside tflite-micro", "mit-bih, RAM bytes", "{:,.0f}"),
    ("beside tflite-micro", "mit-bih, fewer instructions", "{:.1f}x"),
    ("beside tflite-micro", "mit-bih, flash", "{:.2f}x"),
    ("beside tflite-micro", "mit-bih, ram", "{:.2f}x"),
    ("beside tflite-micro", "eeg, fewer instructions", "{:.1f}x"),
    ("beside tflite-micro", "eeg, flash", "{:.2f}x"),
    ("beside tflite-micro", "eeg, ram", "{:.2f}x"),
    ("sparse", "90% zeros, fewer instructions", "{:.1f}x"),
    ("streaming", "eeg, fewer instructions", "{:.1f}x"),
)


_PROVED = (
    ("linf:20uV", "any change up to 20 µV a sample"),
    ("linf:50uV", "50 µV"),
    ("linf:100uV", "100 µV"),
    ("linf:20uV, V", "20 µV, of the V windows"),
    ("gain:10%", "gain ±10 %"),
    ("wander:500uV@0.5Hz", "baseline wander, 0.5 mV up to 0.5 Hz"),
    ("hum:100uV@50Hz", "mains hum of 50 Hz, 100 µV, any phase"),
    ("hum:100uV@60Hz", "the same at 60 Hz"),
)


_ATTACKED = (
    *((f"pgd, linf:{size}uV", f"PGD, {size} µV a sample") for size in (20, 50, 100)),
    *((f"ensemble, linf:{size}uV", f"ensemble, {size} µV a sample") for size in (20, 50, 100)),
    ("square, linf:100uV", "Square (no gradients), 100 µV a sample"),
    ("apgd-t, l2:500uV", "APGD-T, 0.5 mV in L2"),
    ("apgd-t, l1:5000uV", "APGD-T, 5 mV in L1"),
    ("pgd, l0:3", "any 3 samples"),
)


def table(study: dict[str, Any]) -> str:
    """Return the figures of the real recordings as Markdown."""
    figures = {row["name"]: row for row in study["figures"] if row["section"] == "mit-bih"}
    lines = [
        "Int8, as flashed, on DS2 (49,684 beats of 22 patients), from `make study-build`. The mark "
        "is where",
        "Farag 2023 (PMC9919183) stands; the intervals over patients are wide, see the report.",
        "",
        "| figure | found | floor | mark |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, title, form in _SHOWN:
        row = figures[name]
        sign = "at most " if row["at_most"] else ""
        limits = (
            "" if row[key] is None else sign + form.format(row[key]) for key in ("floor", "mark")
        )
        lines.append(f"| {title} | {form.format(row['found'])} | {' | '.join(limits)} |")
    return "\n".join([*lines, ""])


def firmware_table(study: dict[str, Any]) -> str:
    """Return the main figures of the firmware as Markdown."""
    figures = {(row["section"], row["name"]): row for row in study["figures"]}
    lines = [
        "R1 is a plain convolutional network of 866,624 multiply-accumulates, eeg one of 33,430 "
        "parameters over",
        "2,048 samples (both with random weights), mit-bih the network of a default build; all in "
        "the default",
        "`balanced` choice. From `make study-firmware`, in emulators, every logit compared: no "
        "mismatch. TFLite Micro",
        "ran with CMSIS-NN at -O3 on Cortex-M7.",
        "",
        "| | figure | found | floor | mark |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for section, name, form in _FIRMWARE:
        row = figures[section, name]
        sign = "at most " if row["at_most"] else ""
        limits = (
            "" if row[key] is None else sign + form.format(row[key]) for key in ("floor", "mark")
        )
        lines.append(f"| {section} | {name} | {form.format(row['found'])} | {' | '.join(limits)} |")
    return "\n".join([*lines, ""])


def verification_table(study: dict[str, Any]) -> str:
    """Return the shares proved and right, trained for proofs beside naive ones, as Markdown."""
    figures = {(row["section"], row["name"]): row for row in study["figures"]}
    networks = ("robust", "naive", "magnitude")

    def found(network: str, name: str, form: str = "{:.3f}") -> str:
        return form.format(figures[f"mit-bih, {network}", name]["found"])

    lines = [
        "MIT-BIH, DS2: shares of 1,000 windows proved *and* right, int8 as flashed, from "
        "`make study-verification`.",
        "The attack limit is what the strongest attack leaves: no proof can exceed it. The naive "
        "networks are trained as",
        "usual and tried on a tenth of the windows; the second is pruned by magnitude to the size "
        "of the robust one.",
        "",
        "| under | trained for it | its attack limit | floor | mark | naive | naive, same size |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for text, title in _PROVED:
        name = f"proved and right, {text}"
        row = figures["mit-bih, robust", name]
        limit = row["note"].split("limit of the attacks ")[1].split(";")[0]
        cells = [found("robust", name), limit]
        cells += ["" if row[key] is None else f"{row[key]:.2f}" for key in ("floor", "mark")]
        cells += [found(network, name) for network in networks[1:]]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    macro = [found(network, "macro-F1, all test windows") for network in networks]
    lines.append(f"| macro-F1, unchanged signal | {macro[0]} | | | | {macro[1]} | {macro[2]} |")
    return "\n".join([*lines, ""])


def robustness_table(study: dict[str, Any]) -> str:
    """Return the success of attacks on both networks as Markdown."""
    figures = {(row["section"], row["name"]): row for row in study["figures"]}

    def success(network: str, name: str) -> str:
        return f"{figures[f'attacks, {network}', f'int8, {name}: success']['found']:.3f}"

    def total(name: str) -> int:
        rows = (figures[f"attacks, {network}", name] for network in ("robust", "naive"))
        return sum(int(row["note"].split()[0].replace(",", "")) for row in rows)

    def right(network: str) -> str:
        return figures[f"attacks, {network}", "int8, pgd, linf:20uV: success"]["note"].split()[1]

    lines = [
        "MIT-BIH, DS2, int8 as flashed: share of the windows decided right that an attack turns, "
        "from `make study-robustness`.",
        f"All {total('counterexamples that do not replay on the emulator'):,} counterexamples "
        "replay on the emulated device; none lies in a set that was proved.",
        "",
        f"| attack | trained for 50 µV, {right('robust')} windows | naive, {right('naive')} |",
        "| --- | ---: | ---: |",
    ]
    for name, title in _ATTACKED:
        lines.append(f"| {title} | {success('robust', name)} | {success('naive', name)} |")
    return "\n".join([*lines, ""])


PAGES = ("README.md", "docs/pruning.md", "docs/eeg.md", "docs/boards.md")
TABLES = (
    ("mit-bih", "build", table),
    ("firmware", "firmware", firmware_table),
    ("verification", "verification", verification_table),
    ("robustness", "robustness", robustness_table),
    ("pruning", "pruning", pruning_table),
    ("eeg", "reach", eeg_table),
    ("agreement", "reach", agreement_table),
)


def filled(page: str) -> str:
    """Return a page with the tables of the last studies in their places."""
    for name, study, write in TABLES:
        path = STUDIES / f"{study}.json"
        begin, end = f"<!-- figures:{name} -->\n", f"<!-- /figures:{name} -->"
        if begin not in page or not path.exists():
            continue
        head, _, rest = page.partition(begin)
        _, _, tail = rest.partition(end)
        document = json.loads(path.read_text(encoding="utf-8"))
        page = head + begin + write(document) + end + tail
    return page


def main() -> None:
    """Rewrite the pages."""
    for path in (CHECKOUT / page for page in PAGES):
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
