"""What withstands attacks: shares against the size of the change, for all windows and by class."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.charts.drawing import FIGURE, Drawing, Ledger, draw, figure, unit_text
from edgeprune.report.charts.frame import STYLES, Frame, Spot, curve, panels, spot
from edgeprune.report.citation import Citation, cite, number

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


def attack_chart(attacks: Citation, balls: Sequence[Citation]) -> Drawing:
    """Draw the share that stays right against the size of the change, one curve a network.

    Args:
        attacks: An AttackEvidence with at least one network.
        balls: Balls of one norm and unit of its last network, by rising size.
    """
    networks = list(attacks.networks)
    frame, places = _WIDE, _places(_WIDE, balls)
    ledger = Ledger("Network", "Size", *FIGURE)
    parts = frame.grid(labelled=True)
    for network, style in reversed(list(zip(networks[::-1], STYLES, strict=False))):
        row = ledger.add(network.stage, "none", *figure(network.right_share))
        spots = [spot(frame.left, network.right_share, row=row)]
        for ball, place in zip(balls, places, strict=True):
            same = _same(network, ball)
            share = same.worst.right_under_attack if same else None
            row = ledger.add(network.stage, _size(ball), *figure(share))
            spots.append(spot(place, share, row=row) if share else None)
        parts += curve(frame, spots, style, banded=style == STYLES[0])
    parts.append(svg.tick(0, (frame.left, frame.bottom + 18), "middle"))
    parts += frame.labels(places, [ball.size for ball in balls])
    parts.append(svg.text(_unit(balls[0]), (frame.right + 34, frame.bottom + 18), "unit middle"))
    middle = (frame.left + frame.right) / 2
    parts.append(svg.text(_meaning(balls[0]), (middle, frame.bottom + 44), "middle name"))
    return draw(
        f"attacks-{_norm(balls[0])}",
        "Share of windows decided rightly under the worst attack found, against the size of the "
        "change, for each stage of the network.",
        (760, frame.bottom + 54),
        parts,
        ledger,
    )


def attack_class_chart(attacks: Citation, balls: Sequence[Citation]) -> Drawing:
    """Draw the same for each reference class in a panel of its own.

    Args:
        attacks: An AttackEvidence with at least one network.
        balls: Balls of one norm and unit of its last network, by rising size, with classes.
    """
    networks = list(attacks.networks)
    present = [(i, kind) for i, kind in enumerate(balls[0].worst.classes) if number(kind.n)]
    ledger = Ledger("Class", "Network", "Size", "Right under attack", *FIGURE)
    parts: list[Markup] = []
    for frame, (index, kind) in zip(panels(len(present), _TOP, _BOTTOM), present, strict=True):
        places = _places(frame, balls)
        parts += frame.grid(labelled=not parts)
        parts += frame.heading(kind.name, kind.n)
        for network, style in reversed(list(zip(networks[::-1], STYLES, strict=False))):
            spots = _class_spots(network, balls, [frame.left, *places], index, ledger)
            first, line = style == STYLES[0], f"{kind.name} {style}"
            parts += curve(frame, spots, style, banded=first, bare=not first, small=True, line=line)
        parts.append(svg.tick(0, (frame.left, _BOTTOM + 18), "middle small"))
        parts += frame.labels(places, [ball.size for ball in balls], small=True)
    name = f"{_meaning(balls[0])}, {_unit(balls[0])}"
    parts.append(svg.text(name, (394, _BOTTOM + 42), "middle name"))
    return draw(
        f"attack-classes-{_norm(balls[0])}",
        "Share of the windows of each reference class decided rightly under the worst attack "
        "found, against the size of the change, for each stage of the network.",
        (760, _BOTTOM + 52),
        parts,
        ledger,
    )


def _class_spots(
    network: Citation,
    balls: Sequence[Citation],
    places: Sequence[float],
    index: int,
    ledger: Ledger,
) -> list[Spot | None]:
    spots: list[Spot | None] = []
    for ball, place in zip(balls, places[1:], strict=True):
        same = _same(network, ball)
        classes = list(same.worst.classes) if same else []
        if len(classes) <= index or not number(classes[index].n):
            spots.append(None)
            continue
        counts = classes[index]
        right, turned = cite(counts.right), cite(counts.turned)
        if not spots:
            share = number(counts.right) / number(counts.n)
            text = Markup(f"{right} of {cite(counts.n)}")
            row = ledger.add(counts.name, network.stage, "none", text, *figure(None))
            spots.append(Spot(places[0], share, row=row))
        found = counts.right_under_attack if counts.right_under_attack else None
        text = Markup(f"{turned} of {right} turned")
        row = ledger.add(counts.name, network.stage, _size(ball), text, *figure(found))
        held = (number(counts.right) - number(counts.turned)) / number(counts.n)
        drawn = spot(place, found, row=row) if found else None
        spots.append(drawn or Spot(place, held, row=row))
    return spots


def _size(ball: Citation) -> Markup:
    return cite(ball.size) + unit_text(str(ball.unit))


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
