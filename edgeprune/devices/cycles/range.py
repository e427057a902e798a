"""A quantity as far as it is known: best case, expectation, worst case."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """A quantity under three assumptions.

    Attributes:
        minimum: Everything that can go well does.
        expected: By the stated assumptions.
        maximum: Nothing goes well.
    """

    minimum: float = 0.0
    expected: float = 0.0
    maximum: float = 0.0

    @staticmethod
    def exactly(count: float) -> Range:
        """Return a number that is the same in all cases."""
        return Range(count, count, count)

    def __add__(self, other: Range) -> Range:
        return Range(
            self.minimum + other.minimum,
            self.expected + other.expected,
            self.maximum + other.maximum,
        )

    def __mul__(self, times: float) -> Range:
        return Range(self.minimum * times, self.expected * times, self.maximum * times)
