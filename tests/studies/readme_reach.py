"""Tables of the study of reach, for the pages on EEG and on Arm Linux."""

from __future__ import annotations

import re
from typing import Any

_MODELS = ("chb-mit-cnn", "eegnet", "eeg-tcn")
_PROTOCOLS = ("personalised", "leave-one-patient-out")
_SIZES = tuple((electrodes, length) for electrodes in (2, 64) for length in (128, 256, 512, 1024))


def eeg_table(study: dict[str, Any]) -> str:
    """Return how seizures are found in windows, and what EEGNet takes, as Markdown."""
    figures = {(row["section"], row["name"]): row for row in study["figures"]}
    lines = [
        "CHB-MIT windows, int8, from `make study-reach`: means over 15 patients with intervals "
        "that draw patients. Cut out and",
        "balanced by hand, they say nothing about false alarms an hour or about how rare seizures "
        "are. Every logit of every",
        "network is the same on Cortex-M7 and Cortex-M55 in emulators.",
        "",
        "| network | protocol | sensitivity | specificity | accuracy |",
        "| --- | --- | --- | --- | --- |",
    ]
    for model in _MODELS:
        for protocol in _PROTOCOLS:
            cells = [
                _with_interval(figures[f"chb-mit-windows, {model}", f"{protocol}, int8: {word}"])
                for word in ("sensitivity", "specificity", "accuracy")
            ]
            lines.append(f"| {model} | {protocol} | {' | '.join(cells)} |")
    published = figures["EEGNet on cortex-m7", "published EEGNet on a Cortex-M7"]
    lines += [
        "",
        "EEGNet-8,2 with four classes on Cortex-M7, counted in an emulator; milliseconds are a "
        "model's, no measurement.",
        f"Published for an EEGNet on a board of that core: {published['found']:.0f} ms",
        f"({published['note'].split(';')[1].strip()}; arXiv 2004.00077, 2004.11690).",
        "",
        "| electrodes, samples | instructions | a MAC | flash, bytes | RAM, bytes | ms, 216 MHz |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for electrodes, length in _SIZES:
        name = f"C={electrodes}, T={length}"
        row = {
            each: figures["EEGNet on cortex-m7", f"{name}: {each}"]
            for each in ("instructions", "flash", "RAM", "cycle model")
        }
        a_mac = row["instructions"]["note"].split(", ")[-1].split()[0]
        lines.append(
            f"| {electrodes}, {length:,} | {row['instructions']['found']:,} | {a_mac} | "
            f"{row['flash']['found']:,} | {row['RAM']['found']:,} | "
            f"{row['cycle model']['found']:.2f} |"
        )
    return "\n".join([*lines, ""])


def agreement_table(study: dict[str, Any]) -> str:
    """Return how far runtimes on aarch64 agree with the certified network, as Markdown."""
    lines = [
        "1,000 windows of MIT-BIH's DS2 on aarch64 under QEMU's user mode, from "
        "`make study-reach`: windows of which every logit",
        "is the certified network's.",
        "",
        "| implementation | equal windows | largest difference, LSB | other decisions |",
        "| --- | ---: | ---: | ---: |",
    ]
    for row in study["figures"]:
        if row["section"] == "aarch64 under qemu-user":
            found = re.search(r"difference (\d+) LSB, other decisions (\d+)", row["note"])
            cells = found.groups() if found else ("not run", "")
            name = row["name"].removesuffix(": equal windows")
            equal = "" if row["found"] is None else f"{row['found']:,}"
            lines.append(f"| {name} | {equal} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _with_interval(row: dict[str, Any]) -> str:
    interval = re.search(r"\[(\S+), (\S+)\]", row["note"])
    assert interval is not None
    return f"{row['found']:.3f} ({interval[1]} to {interval[2]})"
