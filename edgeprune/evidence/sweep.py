"""Many prunings of one classifier side by side, and which of them to take."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PointState(StrEnum):
    """What became of one point of a sweep."""

    WAITING = "waiting"
    DONE = "done"
    STOPPED = "stopped"
    REFUSED = "refused"


@dataclass(frozen=True)
class SweepSetting:
    """How a classifier is pruned: what points of several seeds share.

    Attributes:
        method: What is taken away, a name of `pruning.method`; "none" for the parent itself.
        importance: By what it is chosen; empty where the method has its own.
        scope: Over what it is ranked; empty where the method has its own.
        schedule: In how many rounds; empty where the method has its own.
        ratio: Share of the deployed parameters that go.
        fine_tune: How the rest is trained; empty for the training's own way.
    """

    method: str
    importance: str = ""
    scope: str = ""
    schedule: str = ""
    ratio: float = 0.0
    fine_tune: str = ""

    @property
    def is_parent(self) -> bool:
        """Whether nothing is taken away."""
        return self.method == "none"

    @property
    def text(self) -> str:
        """The setting in one line."""
        if self.is_parent:
            return "the parent, not pruned"
        words = [self.method, self.importance, self.scope, self.schedule, f"{self.ratio:.2%}"]
        tuned = f"fine-tuned {self.fine_tune}" if self.fine_tune else ""
        return ", ".join(filter(None, [*words, tuned]))


@dataclass(frozen=True)
class SweepPoint:
    """One setting with one seed.

    Attributes:
        setting: How it is pruned.
        seed: Of its parent's training, the pruning and the fine-tuning.
    """

    setting: SweepSetting
    seed: int


@dataclass(frozen=True)
class SweepFigure:
    """One figure of one point.

    Attributes:
        name: "recall", "precision", "f1" and "windows" of a class; "accuracy", "macro_f1",
            "calibration_error"; of some windows "attacked_windows" (those decided rightly),
            "attack_success" within a ball, "least_change" in a norm (the median), and
            "certified_share" under a perturbation (proved and right); "flash", "ram",
            "instructions"; "parameters" of the parent, "remaining" that are not zero, and
            "compression", the one over the other.
        subject: Of which class, ball, norm or perturbation; empty where it is of all.
        part: "validation", which chooses, or "test", which tells; empty where no data are read.
        network: "int8" as flashed, or "float"; empty where it is of both.
        value: The figure; absent where it is undefined, which is not zero.
        unit: "1" for shares and counts, "uV", "samples", "byte", "instruction".
    """

    name: str
    subject: str
    part: str
    network: str
    value: float | None
    unit: str = "1"

    @property
    def place(self) -> tuple[str, str, str, str]:
        """What it is of, without its value."""
        return self.name, self.subject, self.part, self.network


@dataclass(frozen=True)
class SweepResult:
    """What was found of one point.

    Attributes:
        point: The point.
        state: Done; stopped by the guard for the patient; or refused, since the method cannot do
            it.
        reason: Why it was stopped or refused.
        network_sha256: The integer network that was measured; absent where there is none.
        seconds: Wall seconds of all of it.
        figures: The figures; none where there is no network.
    """

    point: SweepPoint
    state: PointState
    reason: str = ""
    network_sha256: str | None = None
    seconds: float = 0.0
    figures: tuple[SweepFigure, ...] = ()

    def value(
        self, name: str, subject: str = "", part: str = "validation", network: str = "int8"
    ) -> float | None:
        """Return a figure's value; None where it is undefined or was not measured."""
        place = (name, subject, part, network)
        return next((each.value for each in self.figures if each.place == place), None)


@dataclass(frozen=True)
class SettingFigure:
    """One figure of one setting, a value a seed.

    Attributes:
        name: As in `SweepFigure`.
        subject: As there.
        part: As there.
        network: As there.
        unit: As there.
        values: One for each seed, absent where it is undefined.
    """

    name: str
    subject: str
    part: str
    network: str
    unit: str
    values: tuple[float | None, ...]

    @property
    def place(self) -> tuple[str, str, str, str]:
        """What it is of, without its values."""
        return self.name, self.subject, self.part, self.network

    @property
    def mean(self) -> float | None:
        """Mean over the seeds; undefined where one of them is."""
        known = [value for value in self.values if value is not None]
        complete = bool(known) and len(known) == len(self.values)
        return sum(known) / len(known) if complete else None


@dataclass(frozen=True)
class SettingResult:
    """What was found of one setting over all seeds.

    Attributes:
        setting: The setting.
        seeds: The seeds.
        numbers: Numbers of its points in the sweep, one a seed.
        figures: The figures, a value a seed; none where a point was stopped or refused.
        on_front: No other setting is as good in every objective and better in one.
        refused: Why it is not the one to take; nothing for the one that is.
    """

    setting: SweepSetting
    seeds: tuple[int, ...]
    numbers: tuple[int, ...]
    figures: tuple[SettingFigure, ...]
    on_front: bool
    refused: tuple[str, ...]

    def mean(
        self, name: str, subject: str = "", part: str = "validation", network: str = "int8"
    ) -> float | None:
        """Return a figure's mean over the seeds; None where it is undefined or not there."""
        place = (name, subject, part, network)
        return next((each.mean for each in self.figures if each.place == place), None)


@dataclass(frozen=True)
class SweepEvidence:
    """The sweep that a build's settings were chosen from.

    Attributes:
        file_sha256: SHA-256 of the sweep's file.
        point: Number of the point that was built.
        network_sha256: The integer network that the sweep measured at that point.
        recommended: Number of the point that the rule takes; absent where none meets the
            requirements.
        chosen_on: The data that decided, in words.
        rule: How the recommended point is found, in words.
        objectives: What the front is over.
        settings: Every setting, best choice or not.
    """

    file_sha256: str
    point: int
    network_sha256: str | None
    recommended: int | None
    chosen_on: str
    rule: str
    objectives: tuple[str, ...]
    settings: tuple[SettingResult, ...]
