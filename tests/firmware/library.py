"""The functions of a generated library that the host's batches do not call, from Python."""

from __future__ import annotations

import ctypes

import numpy as np

from edgeprune.firmware import FirmwareSources, build_host_library

OK, NULL_POINTER, ARENA_DAMAGED, BAD_WEIGHTS, SELF_TEST_FAILED, NOT_READY = range(6)
# GNU's sanitizer ends the test run at the first undefined operation in the C.
UNDEFINED = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")


class Library:
    """One generated library, compiled for this machine."""

    def __init__(self, sources: FirmwareSources, compiler: str) -> None:
        flags = UNDEFINED if compiler == "gcc" else ("-O1",)
        self.host = build_host_library(sources, compiler=compiler, flags=flags)
        self.c = self.host._library
        self.classes = sources.network.output_tensor.size

    def classify(self, *inputs: np.ndarray) -> tuple[int, np.ndarray]:
        return self._call(self.c.edgeprune_classify, *inputs, *[None] * (2 - len(inputs)))

    def stepped(self, *inputs: np.ndarray) -> tuple[int, np.ndarray]:
        """Classify in steps; return how many there were, and the logits."""
        logits = np.full(self.classes, 77, np.int8)
        held = [np.ascontiguousarray(values) for values in inputs]
        pointers = [*map(pointer, held), *[None] * (2 - len(inputs)), pointer(logits)]
        assert self.c.edgeprune_begin(*pointers) == OK
        steps = 1
        while self.c.edgeprune_step():
            steps += 1
        assert self.c.edgeprune_step() == 0
        return steps, logits

    def stream(self, samples: np.ndarray) -> tuple[int, np.ndarray]:
        return self._call(self.c.edgeprune_stream, samples)

    def _call(self, function: object, *inputs: np.ndarray | None) -> tuple[int, np.ndarray]:
        logits = np.full(self.classes, 77, np.int8)
        held = [None if values is None else np.ascontiguousarray(values) for values in inputs]
        pointers = [None if values is None else pointer(values) for values in held]
        return function(*pointers, pointer(logits)), logits  # type: ignore[operator]


def pointer(values: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.ctypes.data)
