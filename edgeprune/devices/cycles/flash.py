"""What waiting for the flash adds to the cycles of a core whose memories answer at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edgeprune.devices.blocks import Tally
from edgeprune.devices.cycles.range import Range
from edgeprune.targets import Cache, FlashTiming

_INSTRUCTIONS = ("instruction", "unified")
_DATA = ("data", "unified")


class FlashModel:
    """Adds up the waits of one target.

    Best case: every fetch hits. Worst case: every line that a block touches and every read of data
    misses. Expected: with a cache, each line misses once in a layer and window, and where the
    lines of a layer do not fit, the share that does not fit misses every time; without one, every
    line waits. A prefetch leaves no more misses than there are jumps.

    Args:
        timing: Of the target; None for a memory without wait states.
    """

    def __init__(self, timing: FlashTiming | None) -> None:
        self._timing = timing

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the figures rest on, in words."""
        if self._timing is None:
            return ("no wait states: the target file gives no flash timing",)
        if self._timing.wait_states is None:
            return ("the maker does not publish the flash's wait states: none are counted",)
        if self._timing.caches:
            how = (
                "a line of flash misses the cache once in a layer and window, and every time as "
                "far as a layer's lines do not fit"
            )
        else:
            how = "each line of each block waits for the flash, and so does each read of data"
        if self._timing.prefetch:
            how += "; the prefetch hides all instructions but those behind a jump"
        unknown = any(cache.bytes == 0 for cache in self._timing.caches)
        return (how, "a cache of unpublished size holds every layer") if unknown else (how,)

    def waits(self, tally: Tally) -> Range:
        """Return the cycles that one symbol waits within one window."""
        timing = self._timing
        if timing is None or timing.wait_states is None:
            return Range()
        return self._fetches(tally, timing) + self._reads(tally.flash_reads, timing)

    def _fetches(self, tally: Tally, timing: FlashTiming) -> Range:
        cache = _cache(timing, _INSTRUCTIONS)
        line = cache.line_bytes if cache else timing.read_bytes
        touched: dict[int, int] = {}
        for (address, size), times in tally.blocks.items():
            for number in range(address // line, (address + size - 1) // line + 1):
                touched[number] = touched.get(number, 0) + times
        touches, miss = sum(touched.values()), _miss(timing, line)
        expected = _expected_misses(touched, cache) if cache else touches
        if timing.prefetch:
            expected = min(expected, sum(tally.jumps.values()))
        return Range(0, expected, touches) * miss

    def _reads(self, reads: Mapping[int, int], timing: FlashTiming) -> Range:
        cache = _cache(timing, _DATA)
        total = sum(reads.values())
        if cache is None:
            return Range(0, total, total) * _miss(timing, timing.read_bytes)
        touched: dict[int, int] = {}
        for address, times in reads.items():
            number = address // cache.line_bytes
            touched[number] = touched.get(number, 0) + times
        return Range(0, _expected_misses(touched, cache), total) * _miss(timing, cache.line_bytes)


def _cache(timing: FlashTiming, kinds: Iterable[str]) -> Cache | None:
    return next((cache for cache in timing.caches if cache.kind in kinds), None)


def _miss(timing: FlashTiming, line_bytes: int) -> int:
    """Return the cycles of the core that one line takes longer than a hit."""
    wait_states = timing.wait_states or 0
    reads = -(-line_bytes // timing.read_bytes)
    return (wait_states + (reads - 1) * (wait_states + 1)) * timing.clock_divider


def _expected_misses(touched: Mapping[int, int], cache: Cache) -> float:
    footprint = len(touched) * cache.line_bytes
    fits = 1.0 if not cache.bytes or footprint <= cache.bytes else cache.bytes / footprint
    return len(touched) + (1 - fits) * (sum(touched.values()) - len(touched))
