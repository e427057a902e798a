"""How long the frames are that a line carries."""

from __future__ import annotations

from edgeprune.devices import frames

# Bytes of a piece, from the best line to the worst.
_PIECES = (frames.FRAGMENT, frames.FRAGMENT // 2)
# What a line shows of itself: this many failures of a size in a row ask for a smaller one, this
# many answers in a row allow a larger one.
MOST_FAILURES, _SUCCESSES = 2, 60


class FrameSize:
    """How long the frames are that a line carries: whole payloads first, then pieces."""

    def __init__(self) -> None:
        self._step = 0
        self._failures = 0
        self._answers = 0

    @property
    def whole(self) -> bool:
        """Whether payloads are sent whole."""
        return self._step == 0

    @property
    def bytes(self) -> int:
        """Bytes of a piece."""
        return _PIECES[max(self._step - 1, 0)]

    def note(self, length: int, *, lost: bool) -> None:
        """Take note of a request of a length that was lost, or answered."""
        if not lost:
            self._failures = 0
            self._answers += length >= self.bytes
        else:
            self._answers = 0
            self._failures += 1
            if self._failures >= MOST_FAILURES:
                self._failures = 0
                self._step = min(self._step + 1, len(_PIECES))

    def settle(self) -> None:
        """Between two payloads: take longer pieces where the line has been good for long."""
        if self._answers >= _SUCCESSES:
            self._answers = 0
            self._step = max(self._step - 1, 0)
