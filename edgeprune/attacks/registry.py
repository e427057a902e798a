"""All attacks by name.

An attack is a function of this signature, in a module that is imported when it first runs:

    def attack(
        victim: Victim,
        labels: Int64Array,
        ball: Ball,
        settings: AttackSettings,
        progress: Progress,
    ) -> AttackResult

It tries all windows of `victim.held`, is deterministic by `settings.seed`, and makes its result
with `judged`, so that a success is a decision of the victim about whole counts within the ball.
To add one: write the function and add its line below.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edgeprune.attacks.balls import NORMS, Ball
from edgeprune.attacks.result import AttackResult, Int64Array
from edgeprune.attacks.settings import AttackSettings
from edgeprune.attacks.victims import Victim
from edgeprune.errors import ConfigurationError
from edgeprune.late import late
from edgeprune.progress import Progress, Silent
from edgeprune.registry import Registry


class Access(Enum):
    """What of the victim an attack uses."""

    GRADIENT = "gradient"
    SCORES = "scores"
    DECISIONS = "decisions"


@dataclass(frozen=True)
class Attack:
    """One attack: what it can do, and where its function is.

    Attributes:
        name: Its name in `ATTACKS`.
        title: Its name in reports, with its source.
        home: "module:function" within this package.
        norms: The norms that it knows.
        access: What of the victim it uses.
        minimum: Whether it looks for the least change; its ball may then be of no size
            (`Ball.parse("l2")`).
        together: Whether what it finds for a window depends on all others.
    """

    name: str
    title: str
    home: str
    norms: tuple[str, ...] = NORMS
    access: Access = Access.GRADIENT
    minimum: bool = False
    together: bool = False

    def __call__(
        self,
        victim: Victim,
        labels: Int64Array,
        ball: Ball,
        settings: AttackSettings | None = None,
        progress: Progress | None = None,
    ) -> AttackResult:
        """Attack all windows of the victim.

        Args:
            victim: What is attacked, with its windows [n].
            labels: The right decisions, int64 [n].
            ball: How much may change.
            settings: How hard to try.
            progress: Receives the course.

        Raises:
            ConfigurationError: The attack does not know the norm, or needs a size.
        """
        if ball.norm not in self.norms:
            raise ConfigurationError(
                f"the attack '{self.name}' does not know the norm {ball.norm}",
                where=ball.text,
                hint=f"it knows {', '.join(self.norms)}",
            )
        if ball.is_unbounded and not self.minimum:
            raise ConfigurationError(
                f"the attack '{self.name}' needs a size",
                where=ball.text,
                hint=f"write {ball.norm}:100uV, or take an attack that looks for the least change",
            )
        result: AttackResult = late("edgeprune.attacks", self.home)(
            victim, labels, ball, settings or AttackSettings(), progress or Silent()
        )
        return result


ATTACKS: Registry[Attack] = Registry("attack")
_SIGNED = ("linf", "l2", "l1")

for _attack in (
    Attack("fgsm", "FGSM (Goodfellow et al. 2015)", "fast_gradient:fgsm"),
    Attack("pgd", "PGD (Madry et al. 2018)", "projected_gradient:pgd"),
    Attack(
        "apgd-ce",
        "APGD, cross-entropy (Croce and Hein 2020)",
        "auto_projected_gradient:apgd_ce",
        _SIGNED,
    ),
    Attack(
        "apgd-dlr",
        "APGD, difference of logits ratio (Croce and Hein 2020)",
        "auto_projected_gradient:apgd_dlr",
        _SIGNED,
    ),
    Attack(
        "apgd-t",
        "APGD, targeted difference of logits ratio (Croce and Hein 2020)",
        "auto_projected_gradient:apgd_targeted",
        _SIGNED,
    ),
    Attack("fmn", "FMN (Pintor et al. 2021)", "minimum_norm:fmn", minimum=True),
    Attack("ddn", "DDN (Rony et al. 2019)", "minimum_norm:ddn", ("l2",), minimum=True),
    Attack(
        "brendel-bethge",
        "Brendel and Bethge (2019)",
        "minimum_norm:brendel_bethge",
        minimum=True,
    ),
    Attack(
        "carlini-wagner",
        "Carlini and Wagner (2017)",
        "minimum_norm:carlini_wagner",
        ("l2",),
        minimum=True,
    ),
    Attack(
        "smooth",
        "smooth adversarial perturbation (Han et al. 2020)",
        "smooth:smooth",
        ("linf", "l2"),
    ),
    Attack(
        "universal",
        "one change for all windows (Moosavi-Dezfooli et al. 2017)",
        "universal:universal",
        ("linf", "l2", "l1"),
        together=True,
    ),
    Attack(
        "square",
        "Square attack on segments (Andriushchenko et al. 2020)",
        "square:square",
        ("linf", "l2"),
        Access.SCORES,
    ),
    Attack(
        "square-decisions",
        "Square attack on segments, by decisions alone",
        "square:square_decisions",
        ("linf", "l2"),
        Access.DECISIONS,
    ),
    Attack("ensemble", "worst of an ensemble (after AutoAttack)", "ensemble:ensemble"),
):
    ATTACKS.add(_attack.name, _attack)
