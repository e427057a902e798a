"""A synthetic data set small enough for tests."""

from __future__ import annotations

from dataclasses import replace

from edgeprune.data.cards import DatasetCard, load_card


def three_patients(seconds: int = 40) -> DatasetCard:
    """Return the synthetic card with one patient a part and short records."""
    card = load_card("synthetic-ecg")
    assert card.synthetic_ecg is not None
    split = replace(card.split, development=("p01", "p02"), validation=("p02",), test=("p03",))
    return replace(card, split=split, synthetic_ecg=replace(card.synthetic_ecg, seconds=seconds))
