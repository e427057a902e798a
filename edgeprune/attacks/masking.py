"""Checks that attacks fail because a network is robust and not because its gradients are hidden.

The signs of masked gradients of Athalye, Carlini and Wagner (2018, section 3.1) and of Carlini et
al. (2019, On evaluating adversarial robustness, section 5), asked of one victim at one ball. All
compare success on the same windows; attacks that search may miss a window now and then, so that
comparisons allow for a few.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.losses import margin
from edgeprune.attacks.registry import ATTACKS
from edgeprune.attacks.result import AttackResult, Int64Array
from edgeprune.attacks.settings import AttackSettings
from edgeprune.attacks.victims import SomeWindows, Victim
from edgeprune.progress import Progress, Silent

# Sizes relative to the ball, and steps, over which success must not fall.
_SIZES = (0.5, 1.0, 2.0, 4.0)
_STEPS = (5, 20, 50)
# Attacks that search may miss so many windows, or such a share of them.
_FEW, _NOISE = 2.0, 0.02
_LEAST_UNBOUNDED = 0.99
_MOST_FLAT = 0.05
_BLACK_BOX = "square"


@dataclass(frozen=True)
class MaskingCheck:
    """One sign of masked gradients.

    Attributes:
        name: Its name.
        question: What is asked, in plain words.
        passed: Whether the sign is absent.
        values: What was measured, shares between 0 and 1, in the order of `of`.
        of: What each value is of ("linf:20uV", "5 steps").
        note: What decided.
    """

    name: str
    question: str
    passed: bool
    values: tuple[float, ...]
    of: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class MaskingReport:
    """What the signs say of one victim.

    Attributes:
        victim: What was attacked.
        attack: The gradient attack that was asked about.
        ball: The ball as it is written.
        windows: Windows that were decided right and attacked.
        tolerance: How much a share may fall short in a comparison.
        checks: All checks.
    """

    victim: str
    attack: str
    ball: str
    windows: int
    tolerance: float
    checks: tuple[MaskingCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether no sign was found."""
        return all(check.passed for check in self.checks)


def masking_report(
    victim: Victim,
    labels: Int64Array,
    ball: Ball,
    settings: AttackSettings | None = None,
    progress: Progress | None = None,
    *,
    attack: str = "pgd",
) -> MaskingReport:
    """Ask all signs of masked gradients of a victim.

    Args:
        victim: What is attacked.
        labels: The right decisions [n].
        ball: The ball in question; of a size.
        settings: How hard attacks try; steps and starts are varied by the checks.
        progress: Receives the course.
        attack: The gradient attack in question.
    """
    asked = _Asked(victim, labels, ball, settings or AttackSettings(), attack)
    checks = []
    with (progress or Silent()).task(f"masking {ball.text}", 6, "checks") as advance:
        for check in (
            asked.grows_with_size,
            asked.grows_with_steps,
            asked.random_starts,
            asked.black_box,
            asked.unbounded,
            asked.slopes,
        ):
            made = check()
            if made is not None:
                checks.append(made)
            advance(1)
    return MaskingReport(
        victim.name, attack, ball.text, len(asked.rows), asked.tolerance, tuple(checks)
    )


class _Asked:
    def __init__(
        self,
        victim: Victim,
        labels: Int64Array,
        ball: Ball,
        settings: AttackSettings,
        attack: str,
    ) -> None:
        before = victim.decide(victim.held.raw, np.arange(len(labels)))
        self.rows = np.flatnonzero(before == labels)
        self._victim = SomeWindows(victim, self.rows)
        self._labels = labels[self.rows]
        self._ball = ball
        # Gradients alone are asked about: no search follows them.
        self._settings = replace(settings, rounds=0)
        self._attack = attack
        self.tolerance = max(_FEW / max(1, len(self.rows)), _NOISE)

    def grows_with_size(self) -> MaskingCheck:
        """Ask whether larger balls hold more successes."""
        balls = [self._ball.of_size(self._size(factor)) for factor in _SIZES]
        shares = tuple(self._share(ball, self._settings) for ball in balls)
        return self._rising(
            "size",
            "Does success grow with the size of the ball?",
            shares,
            tuple(ball.text for ball in balls),
        )

    def grows_with_steps(self) -> MaskingCheck:
        """Ask whether more steps succeed more often, and many more often than one."""
        single = ATTACKS.get("fgsm")(self._victim, self._labels, self._ball, self._settings)
        shares = [single.success_rate]
        for steps in _STEPS:
            shares.append(self._share(self._ball, replace(self._settings, steps=steps)))
        return self._rising(
            "steps",
            "Does success grow with the number of steps, and beyond that of a single one?",
            tuple(shares),
            ("fgsm", *(f"{steps} steps" for steps in _STEPS)),
        )

    def random_starts(self) -> MaskingCheck:
        """Ask whether a random start finds much that the recorded window does not."""
        recorded = self._share(self._ball, self._settings)
        started = self._share(self._ball, replace(self._settings, random_start=True))
        most = recorded + max(self.tolerance, 0.1)
        return MaskingCheck(
            "random start",
            "Do random starts find little that a start at the recorded window misses?",
            started <= most,
            (recorded, started),
            ("recorded window", "random member"),
            f"random starts succeed on {started:.1%}, at most {most:.1%} expected",
        )

    def black_box(self) -> MaskingCheck | None:
        """Ask whether an attack without gradients is no stronger than one with them."""
        if _BLACK_BOX not in ATTACKS or self._ball.norm not in ATTACKS.get(_BLACK_BOX).norms:
            return None
        white = self._share(self._ball, self._settings)
        found = ATTACKS.get(_BLACK_BOX)(self._victim, self._labels, self._ball, self._settings)
        black = found.success_rate
        return MaskingCheck(
            "black box",
            "Is a black-box attack no stronger than one with gradients?",
            black <= white + self.tolerance,
            (white, black),
            (self._attack, _BLACK_BOX),
            f"{_BLACK_BOX} succeeds on {black:.1%}, {self._attack} on {white:.1%}",
        )

    def unbounded(self) -> MaskingCheck:
        """Ask whether every window breaks once only the converter's range bounds its change."""
        least, greatest = self._victim.held.count_range
        whole = Ball("linf", self._whole(greatest - least), self._whole_unit())
        settings = replace(self._settings, steps=max(50, self._settings.steps), restarts=3)
        found = self._run("pgd", whole, settings)
        share = found.success_rate
        return MaskingCheck(
            "unbounded",
            "Does an attack without bounds always succeed?",
            share >= _LEAST_UNBOUNDED,
            (share,),
            (whole.text,),
            f"{share:.1%} succeed, at least {_LEAST_UNBOUNDED:.0%} expected",
        )

    def slopes(self) -> MaskingCheck:
        """Ask whether windows have a slope at all."""
        raw, rows = self._victim.held.raw, np.arange(len(self.rows))
        seen = self._victim.look(raw, rows)
        slope = seen.gradient(margin(seen.logits, self._labels)[1])
        share = float((~slope.any(axis=1)).mean()) if len(rows) else 0.0
        return MaskingCheck(
            "slopes",
            "Is the gradient of the margin other than 0 at the recorded windows?",
            share <= _MOST_FLAT,
            (share,),
            ("windows without slope",),
            f"{share:.1%} have none, at most {_MOST_FLAT:.0%} expected",
        )

    def _run(self, attack: str, ball: Ball, settings: AttackSettings) -> AttackResult:
        return ATTACKS.get(attack)(self._victim, self._labels, ball, settings)

    def _share(self, ball: Ball, settings: AttackSettings) -> float:
        return self._run(self._attack, ball, settings).success_rate

    def _size(self, factor: float) -> float:
        size = self._ball.size * factor
        return float(max(1, round(size))) if self._ball.norm == "l0" else size

    def _whole_unit(self) -> str:
        held = self._victim.held
        return held.adc.unit if hasattr(held, "adc") else "lsb"

    def _whole(self, counts: int) -> float:
        held = self._victim.held
        if not hasattr(held, "adc"):
            return float(counts)
        size = counts * held.adc.microvolt_per_count
        return float(size / 1000 if held.adc.unit == "rms" else size)

    def _rising(
        self, name: str, question: str, shares: tuple[float, ...], of: tuple[str, ...]
    ) -> MaskingCheck:
        fall = max(max(shares[:place]) - shares[place] for place in range(1, len(shares)))
        return MaskingCheck(
            name,
            question,
            fall <= self.tolerance,
            shares,
            of,
            f"the largest fall is {max(fall, 0.0):.1%}, up to {self.tolerance:.1%} is noise",
        )
