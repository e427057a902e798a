"""What `edgeprune attack` and `edgeprune disturb` show when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprune.cli.console import Answer, Console
from edgeprune.cli.figures import plain, record_of, text
from edgeprune.evidence import Outcome

if TYPE_CHECKING:
    from edgeprune.evidence import AttackEvidence, DisturbanceEvidence
    from edgeprune.pipeline.build import BuildResult


def attack(result: BuildResult, console: Console) -> Answer:
    """Print the table of attacks and return the verb's answer."""
    from edgeprune.evidence import AttackEvidence
    from edgeprune.pipeline.attack import ATTACKS_FILE
    from edgeprune.pipeline.requirements import judge_attacks

    found = record_of(result, "attack", ATTACKS_FILE, AttackEvidence)
    attacks(found, console)
    judged = judge_attacks(result.context.config.requirements, found)
    (*_, flashed) = found.networks
    told = ", ".join(f"{text(ball.worst.success)} within {ball.text}" for ball in flashed.balls[:3])
    more = f" and {len(flashed.balls) - 3} more balls" if len(flashed.balls) > 3 else ""
    synthetic = ", SYNTHETIC data" if result.context.card.synthetic else ""
    return Answer(
        {
            "attacks": plain(found),
            "requirements": [plain(requirement) for requirement in judged],
        },
        passed=all(requirement.outcome is Outcome.PASS for requirement in judged),
        verdict=f"right decisions turned: {told or 'nothing was tried'}{more}{synthetic}",
    )


def attacks(found: AttackEvidence, console: Console) -> None:
    """Print what attacks turned, by ball and stage."""
    stages = [network.stage for network in found.networks]
    if not found.networks or not found.networks[-1].balls:
        console.line("no attack was asked for")
        return
    (*_, flashed) = found.networks
    console.line(
        f"{flashed.stage}, {flashed.right_share.n} windows: {text(flashed.right_share)} right "
        "without any change"
    )
    rows = []
    for place, ball in enumerate(flashed.balls):
        for attack in (*ball.attacks, ball.worst):
            others = [
                next(
                    (
                        f"{each.counts.turned} of {each.counts.right}"
                        for each in (*network.balls[place].attacks, network.balls[place].worst)
                        if each.attack == attack.attack
                    ),
                    "-",
                )
                for network in found.networks
            ]
            rows.append((ball.text, attack.attack, *others, text(attack.right_under_attack)))
    console.table(("turned within", "attack", *stages, f"right under it, {flashed.stage}"), rows)
    least = [
        (each.norm, each.attack, f"{each.counts.turned} of {each.counts.right}", text(each.median))
        for each in flashed.minimum
    ]
    if least:
        console.line()
        console.table(("least change", "attack", "turned", "median size"), least)
    for check in (check for network in found.networks for check in network.checks):
        if check.holds is False:
            console.line(f"attacks may be too weak: {check.question} No: {check.found}")


def disturb(result: BuildResult, console: Console) -> Answer:
    """Print the curves under disturbances and return the verb's answer."""
    from edgeprune.evidence import DisturbanceEvidence
    from edgeprune.pipeline.disturb import DISTURBANCES_FILE
    from edgeprune.pipeline.requirements import judge_disturbances

    found = record_of(result, "disturb", DISTURBANCES_FILE, DisturbanceEvidence)
    disturbances(found, console)
    judged = judge_disturbances(result.context.config.requirements, found)
    worst = min(
        (
            (point.scores.macro_f1.value or 0.0, point.text)
            for curve in found.curves
            for point in curve.points
        ),
        default=None,
    )
    synthetic = ", SYNTHETIC data" if result.context.card.synthetic else ""
    told = "nothing was tried" if worst is None else f"least macro-F1 {worst[0]:.3f}, {worst[1]}"
    return Answer(
        {
            "disturbances": plain(found),
            "requirements": [plain(requirement) for requirement in judged],
        },
        passed=all(requirement.outcome is Outcome.PASS for requirement in judged),
        verdict=f"{told}{synthetic}",
    )


def disturbances(found: DisturbanceEvidence, console: Console) -> None:
    """Print the scores of the flashed network under each disturbance."""
    console.line(f"{found.stage}, {found.windows}")
    names = [row.name for row in found.undisturbed.classes if row.n]
    rows = [("none", found.undisturbed, 1.0)]
    rows += [
        (
            f"{point.text}{', SYNTHETIC noise' if curve.synthetic else ''}",
            point.scores,
            point.agreement,
        )
        for curve in found.curves
        for point in curve.points
    ]
    console.table(
        (
            *("disturbance", "macro-F1", "decided as without"),
            *(f"sensitivity {name}" for name in names),
        ),
        [
            (
                title,
                _plain_number(scores.macro_f1.value),
                f"{agreement:.3f}",
                *(
                    _plain_number(row.sensitivity.value)
                    for row in scores.classes
                    if row.name in names
                ),
            )
            for title, scores, agreement in rows
        ],
    )


def _plain_number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
