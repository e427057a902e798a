"""What stands in the way of comparing two bundles: wholly, a section, or one figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeprune.evidence import DataEvidence, Evidence, Quantity, Split

_TEST = "test"
# Settings of a section that make its figures others; of lists, of the items with the same name.
_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "certificates": ("runtime", "threat_model", "seconds", "windows"),
    "attacks": ("threat_model", "windows", "settings"),
    "disturbances": ("threat_model", "stage", "windows"),
    "beats": ("detector", "match_milliseconds", "learning_seconds", "class_names"),
    "seizures": ("rules", "sample_rate_hz"),
    "probabilities": ("source", "bins"),
}
_IN_WORDS = {
    "seconds": "processor time that a proof may take",
    "threat_model": "threat model",
    "windows": "windows tried",
    "settings": "settings of the attacks",
    "source": "source of the probabilities",
    "match_milliseconds": "matching window of beats",
    "learning_seconds": "learning period",
    "rules": "rules of detection",
    "runtime": "arithmetic",
}
_DEVICE = ("device", "monitor")


def why_incomparable(old: Evidence, new: Evidence) -> tuple[str, ...]:
    """Return every reason for which no figure of two builds can be compared; none where they can.

    Args:
        old: The earlier evidence.
        new: The later evidence.
    """
    return tuple(_reasons(old, new))


def notes_on(old: Evidence, new: Evidence) -> tuple[str, ...]:
    """Return what differs between two comparable builds and must be known beside the figures."""
    return tuple(_notes(old, new))


def refused_sections(old: Evidence, new: Evidence) -> dict[str, str]:
    """Return why the figures of a section cannot be compared, by the section's name.

    A name of a list's item is included: "beats.{int8 as flashed, test}".
    """
    from edgeprune.evidence.figures import item_names

    refused: dict[str, str] = {}
    for section, fields in _SETTINGS.items():
        first, second = getattr(old, section), getattr(new, section)
        if isinstance(first, tuple):
            earlier = dict(zip(item_names(first), first, strict=True))
            for name, item in zip(item_names(second), second, strict=True):
                if name in earlier:
                    refused |= _differing(f"{section}.{{{name}}}", earlier[name], item, fields)
        elif first is not None and second is not None:
            refused |= _differing(section, first, second, fields)
    if old.identity.target != new.identity.target:
        why = f"other target: {old.identity.target} and {new.identity.target}"
        refused |= dict.fromkeys(_DEVICE, why)
    return refused


def why_figures_differ(old: Quantity, new: Quantity) -> str:
    """Return why two figures of one name cannot be compared; empty where they can."""
    if old.unit != new.unit:
        return f"other unit: {old.unit} and {new.unit}"
    if old.where is not new.where:
        return f"measured elsewhere: {old.where.value} and {new.where.value}"
    return ""


def _reasons(old: Evidence, new: Evidence) -> Iterator[str]:
    if old.schema != new.schema:
        yield f"other evidence schema: version {old.schema.version} and {new.schema.version}"
    if old.identity.synthetic != new.identity.synthetic:
        kinds = [
            "synthetic" if each.identity.synthetic else "recorded from people"
            for each in (old, new)
        ]
        yield f"other kind of data: {kinds[0]} and {kinds[1]}"
    if old.identity.dataset != new.identity.dataset:
        yield f"other data set: {old.identity.dataset} and {new.identity.dataset}"
    elif old.identity.synthetic and old.identity.seed != new.identity.seed:
        yield (
            f"other synthetic recordings: they were generated from seed {old.identity.seed} and "
            f"{new.identity.seed}"
        )
    for key, words in (("protocol", "protocol"), ("fold", "fold")):
        before, after = (_setting(each, key) for each in (old, new))
        if before != after:
            yield f"other {words}: {before or 'the data card'!r} and {after or 'the data card'!r}"
    if old.data is None or new.data is None:
        yield "a bundle says nothing about its data"
    else:
        yield from _of_data(old.data, new.data)


def _of_data(old: DataEvidence, new: DataEvidence) -> Iterator[str]:
    names = [[each.name for each in data.classes] for data in (old, new)]
    if names[0] != names[1]:
        yield f"other classes: {' '.join(names[0])} and {' '.join(names[1])}"
    if old.lead != new.lead:
        yield f"other lead: {old.lead} and {new.lead}"
    first, second = _test_part(old), _test_part(new)
    if first is None or second is None:
        yield "a bundle has no test part"
        return
    for words, before, after in (
        ("test patients", first.patients, second.patients),
        ("test recordings", first.records, second.records),
    ):
        gone, come = set(before) - set(after), set(after) - set(before)
        if gone or come:
            yield f"other {words}: " + "; ".join(
                f"only in the {side} {_some(names)}"
                for side, names in (("old", gone), ("new", come))
                if names
            )
    counts = [{each.name: each.count for each in part.classes} for part in (first, second)]
    if first.windows != second.windows or counts[0] != counts[1]:
        yield (
            f"other test windows: {first.windows:,} and {second.windows:,}, by class "
            + " and ".join("/".join(str(count) for count in each.values()) for each in counts)
        )


def _some(names: set[str]) -> str:
    shown = sorted(names)[:5]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _notes(old: Evidence, new: Evidence) -> Iterator[str]:
    for words, before, after in (
        ("edgeprune", old.identity.edgeprune, new.identity.edgeprune),
        ("seed", str(old.identity.seed), str(new.identity.seed)),
        ("target", old.identity.target, new.identity.target),
    ):
        if before != after:
            yield f"other {words}: {before} and {after}"
    if old.identity.synthetic:
        yield "SYNTHETIC data: no figure is about people"
    if old.data is not None and new.data is not None:
        if old.data.adc != new.data.adc:
            first, second = (
                f"{each.rate_hz:g} Hz, {each.microvolt_per_count:g} {each.unit} a count"
                for each in (old.data.adc, new.data.adc)
            )
            yield f"other converter: {first} and {second}"
        part = _test_part(new.data)
        if part is not None and not part.records:
            yield (
                "whose recordings were tested is withheld: that they are the same rests on the "
                "counts by class alone, and no interval is paired"
            )
    if old.identity.network_sha256 == new.identity.network_sha256:
        same_image = old.identity.firmware_sha256 == new.identity.firmware_sha256
        image = "" if same_image else ", in other firmware images"
        yield f"both hold the same integer network{image}"


def _differing(name: str, first: Any, second: Any, fields: tuple[str, ...]) -> dict[str, str]:
    words = [
        _IN_WORDS.get(field, field)
        for field in fields
        if getattr(first, field) != getattr(second, field)
    ]
    return {name: f"other {', other '.join(words)}"} if words else {}


def _test_part(data: DataEvidence) -> Split | None:
    return next((split for split in data.splits if split.name == _TEST), None)


def _setting(evidence: Evidence, key: str) -> object:
    return next((entry.value for entry in evidence.config if entry.key == key), None)
