"""What all attacks together found of every network of a build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgeprune.attacks import AttackResult, Ball
from edgeprune.attacks.masking import masking_report
from edgeprune.data import Windows
from edgeprune.data.held import HeldWindows
from edgeprune.evaluation import Bootstrap, Decisions, decisions_of
from edgeprune.evidence import MaskingCheck
from edgeprune.pipeline.attacked import Attacked
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.requirements import INT8
from edgeprune.pipeline.turned import Turned
from edgeprune.training.determinism import deterministic

Bools = npt.NDArray[np.bool_]


class Findings:
    """What all attacks together found of every network.

    Args:
        attacked: The networks and their windows.
        windows: The windows as the networks see them.
        found: Results by stage.
        context: The build.
        balls: The balls that were attacked.
    """

    def __init__(
        self,
        attacked: Attacked,
        windows: Windows,
        found: Mapping[str, tuple[AttackResult, ...]],
        context: Context,
        balls: Sequence[Ball],
    ) -> None:
        self.attacked, self.windows, self.found = attacked, windows, found
        self.balls, self.masking = balls, context.config.attacks.masking
        self.bootstrap = Bootstrap(context.seed)
        rows = np.arange(len(windows))
        victims = {stage: attacked.victim(stage) for stage in attacked.networks}
        self.decisions: dict[str, Decisions] = {
            stage: decisions_of(windows, victim.decide(attacked.held.raw, rows))
            for stage, victim in victims.items()
        }
        self._int8 = victims[INT8]

    def transferred(self) -> Iterator[tuple[str, AttackResult]]:
        """Yield what the int8 network makes of the changes found on the others, by source."""
        rows = np.arange(len(self.windows))
        before = self.decisions[INT8].predictions
        for stage, results in self.found.items():
            for result in results if stage != INT8 else ():
                after = self._int8.decide(result.raw, rows)
                success = (before == self.windows.label) & (after != self.windows.label)
                yield (
                    stage,
                    replace(
                        result,
                        victim=INT8,
                        decided_before=before,
                        decided_after=after,
                        success=success,
                        size=np.where(success, _size(result, self.attacked.held), np.inf),
                    ),
                )

    def of_int8(self) -> tuple[AttackResult, ...]:
        """Return all results on the int8 network, those found on the other networks last."""
        return (*self.found[INT8], *(result for _, result in self.transferred()))

    def within(self, ball: Ball, stage: str) -> Bools:
        """Return which windows of a network any change within a ball turned [n]."""
        results = self.of_int8() if stage == INT8 else self.found[stage]
        turned = np.zeros(len(self.windows), np.bool_)
        for result in results:
            turned |= result.success & ball.contains(self.attacked.held, result.raw)
        return turned

    def signs(self, stage: str) -> Iterator[MaskingCheck]:
        """Yield what the signs of masked gradients say of a network, where they are asked for."""
        if not self.balls or not self.masking:
            return
        with deterministic(self.attacked.threads):
            report = masking_report(
                self.attacked.victim(stage),
                self.windows.label,
                self.balls[0],
                self.attacked.settings,
            )
        for check in report.checks:
            pairs = zip(check.values, check.of, strict=True)
            values = ", ".join(f"{value:.3f} {of}" for value, of in pairs)
            yield MaskingCheck(
                f"{check.name}: {report.attack}, {report.ball}",
                check.question,
                check.passed,
                f"{values}; {check.note}",
            )

    def turned(self) -> Turned:
        """Return every changed window that the int8 network decides wrongly, each once."""
        seen: dict[tuple[int, bytes], tuple[int, str]] = {}
        for result in self.of_int8():
            for row in np.flatnonzero(result.success).tolist():
                key = (row, result.raw[row].tobytes())
                seen.setdefault(key, (int(result.decided_after[row]), result.attack))
        raw = np.array([np.frombuffer(content, np.int16) for _, content in seen], np.int16)
        return Turned(
            np.array([row for row, _ in seen], np.int64),
            raw.reshape(-1, self.attacked.held.raw.shape[1]),
            np.array([decision for decision, _ in seen.values()], np.int64),
            tuple(attack for _, attack in seen.values()),
        )


def _size(result: AttackResult, held: HeldWindows) -> npt.NDArray[np.float64]:
    ball = Ball.parse(result.ball or result.norm)
    return ball.norm_of(held, result.raw)
