"""Windows and a front end for tests: three classes that a small network can learn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FakeFrontEnd:
    """The attributes of a front end that learning reads."""

    kind: str = "beats"
    signal_shape: tuple[int, int] = (32, 1)
    rhythm_features: int = 2
    signal_scale: float = 1 / 32
    signal_zero_point: int = 3
    rhythm_scale: float = 1 / 64
    rhythm_zero_point: int = 0
    before: int = 16


@dataclass(frozen=True)
class FakeWindows:
    """The attributes of windows that learning reads."""

    signal: NDArray[np.int8]
    rhythm: NDArray[np.int8]
    label: NDArray[np.int64]
    record: NDArray[np.int64]
    class_names: tuple[str, ...] = ("A", "B", "C")

    @property
    def gain(self) -> NDArray[np.int64]:
        return np.full(len(self.label), 1 << 14)

    def select(self, mask: NDArray[np.bool_]) -> FakeWindows:
        return replace(
            self,
            signal=self.signal[mask],
            rhythm=self.rhythm[mask],
            label=self.label[mask],
            record=self.record[mask],
        )


FRONT_END: Any = FakeFrontEnd()


def small_windows(count: int, seed: int, shares: tuple[float, ...] = (0.6, 0.3, 0.1)) -> Any:
    """Draw windows: the class shows in the signal's frequency and in the rhythm."""
    generator = np.random.default_rng(seed)
    label = generator.choice(3, count, p=shares)
    length = FRONT_END.signal_shape[0]
    time = np.arange(length) / length
    phase = generator.uniform(0, 6.28, (count, 1))
    wave = np.sin(2 * np.pi * (2 + 2 * label[:, None]) * time + phase)
    noise = generator.normal(0, 0.3, (count, length))
    signal = np.clip(np.round(40 * (wave + noise)) + 3, -128, 127).astype(np.int8)
    rhythm = generator.normal(20 * (label[:, None] == 2), 15, (count, 2))
    return FakeWindows(
        signal[:, :, None],
        np.clip(np.round(rhythm), -128, 127).astype(np.int8),
        label.astype(np.int64),
        generator.integers(0, 4, count),
    )
