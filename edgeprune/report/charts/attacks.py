"""What withstands attacks: shares against the size of the change, for all windows and by class."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.charts.frame import STYLES, Frame, Spot, curve, panels, spot
from edgeprune.report.citation import Citation, number

_WIDE = Frame(48.0, 690.0, 14.0, 262.0)
_TOP, _BOTTOM = 34.0, 168.0
_MEANING = {
    "linf": "largest change of any raw sample",
    "l2": "root of the sum of the squared changes of all raw samples",
    "l1": "sum of the absolute changes of all raw samples",
    "l0": "raw samples that change by any amount",
}


def attacked_norms(network: Citation) -> list[list[Citation]]:
    """Return the balls of a network, those of one norm and unit together, by rising size."""
    groups: dict[tuple[str, str], list[Citation]] = {}
    for ball in network.balls:
        groups.setdefault((str(ball.norm), str(ball.unit)), []).append(ball)
    return [sorted(group, key=lambda ball: number(ball.size)) for group in groups.values()]


def attack_chart(attacks: Citation, balls: Sequence[Citation]) -> Markup:
    """Draw the share that stays right against the size of the change, one curve a network.

    Args:
        attacks: An AttackEvidence with at least one network.
        balls: Balls of one norm and unit of its last network, by rising size.
    """
    networks = list(attacks.networks)
    frame, places = _WIDE, _places(_WIDE, balls)
    parts = frame.grid(labelled=True)
    for network, style in reversed(list(zip(networks[::-1], STYLES, strict=False))):
        spots = [spot(frame.left, network.right_share)]
        for ball, place in zip(balls, places, strict=True):
            same = _same(network, ball)
            spots.append(spot(place, same.worst.right_under_attack) if same else None)
        parts += curve(frame, spots, style, banded=style == STYLES[0])
    parts.append(svg.tick(0, (frame.left, frame.bottom + 18), "middle"))
    parts += frame.labels(places, [ball.size for ball in balls])
    parts.append(svg.text(_unit(balls[0]), (frame.right + 34, frame.bottom + 18), "unit middle"))
    middle = (frame.left + frame.right) / 2
    parts.append(svg.text(_meaning(balls[0]), (middle, frame.bottom + 44), "middle name"))
    return svg.chart(
        f"attacks-{_norm(balls[0])}",
        "Share of windows decided rightly under the worst attack found, against the size of the "
        "change, for each stage of the network. The tables below hold the same figures.",
        (760, frame.bottom + 54),
        parts,
    )


def attack_class_chart(attacks: Citation, balls: Sequence[Citation]) -> Markup:
    """Draw the same for each reference class in a panel of its own.

    Args:
        attacks: An AttackEvidence with at least one network.
        balls: Balls of one norm and unit of its last network, by rising size, with classes.
    """
    networks = list(attacks.networks)
    present = [(i, kind) for i, kind in enumerate(balls[0].worst.classes) if number(kind.n)]
    parts: list[Markup] = []
    for frame, (index, kind) in zip(panels(len(present), _TOP, _BOTTOM), present, strict=True):
        places = _places(frame, balls)
        parts += frame.grid(labelled=not parts)
        parts += frame.heading(kind.name, kind.n)
        for network, style in reversed(list(zip(networks[::-1], STYLES, strict=False))):
            spots = _class_spots(frame, network, balls, places, index)
            first = style == STYLES[0]
            parts += curve(frame, spots, style, banded=first, bare=not first, small=True)
        parts.append(svg.tick(0, (frame.left, _BOTTOM + 18), "middle small"))
        parts += frame.labels(places, [ball.size for ball in balls], small=True)
    name = f"{_meaning(balls[0])}, {_unit(balls[0])}"
    parts.append(svg.text(name, (394, _BOTTOM + 42), "middle name"))
    return svg.chart(
        f"attack-classes-{_norm(balls[0])}",
        "Share of the windows of each reference class decided rightly under the worst attack "
        "found, against the size of the change, for each stage of the network. The table below "
        "holds the counts.",
        (760, _BOTTOM + 52),
        parts,
    )


def _class_spots(
    frame: Frame,
    network: Citation,
    balls: Sequence[Citation],
    places: Sequence[float],
    index: int,
) -> list[Spot | None]:
    spots: list[Spot | None] = []
    for ball, place in zip(balls, places, strict=True):
        same = _same(network, ball)
        classes = list(same.worst.classes) if same else []
        if len(classes) <= index or not number(classes[index].n):
            spots.append(None)
            continue
        counts = classes[index]
        if not spots:
            spots.append(Spot(frame.left, number(counts.right) / number(counts.n)))
        held = number(counts.right) - number(counts.turned)
        found = spot(place, counts.right_under_attack) if counts.right_under_attack else None
        spots.append(found or Spot(place, held / number(counts.n)))
    return spots


def _same(network: Citation, ball: Citation) -> Citation | None:
    return next((each for each in network.balls if each.text == ball.text), None)


def _places(frame: Frame, balls: Sequence[Citation]) -> list[float]:
    largest = max(number(ball.size) for ball in balls) or 1.0
    return [frame.x(number(ball.size) / largest) for ball in balls]


def _norm(ball: Citation) -> str:
    return f"{ball.norm}-{ball.unit}"


def _unit(ball: Citation) -> str:
    unit = str(ball.unit)
    return {"uV": "µV", "lsb": "LSB"}.get(unit, unit)


def _meaning(ball: Citation) -> str:
    if ball.unit == "lsb":
        return "size of the change of the network's input"
    return _MEANING.get(str(ball.norm), "size of the change")
