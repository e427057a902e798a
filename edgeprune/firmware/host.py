"""The generated C as a shared library of this machine: what the firmware computes, in batches."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.errors import DeviceError, NetworkError
from edgeprune.files import disk_errors
from edgeprune.firmware.sources import FirmwareSources
from edgeprune.firmware.toolchains import WARNINGS, host_command, run
from edgeprune.network.tensor import Int8Array
from edgeprune.resources import resource_folder

_HOST_FILES = ("host_batch.c", "host_batch.h")
_FLAGS = ("-fPIC", "-shared", "-DEDGEPRUNE_TRACE", "-I.", "-Iruntime")
_FAST = ("-O3", "-fno-sanitize=all")
# Windows of one call while all layers are kept.
_TRACED_WINDOWS = 256


class HostLibrary:
    """The generated C, compiled for this machine. Make it with `build_host_library`.

    Args:
        sources: What was compiled.
        library: The loaded shared library.
    """

    def __init__(self, sources: FirmwareSources, library: ctypes.CDLL) -> None:
        self.sources = sources
        self._library = library

    def run(self, signal: Int8Array, rhythm: Int8Array | None = None) -> Int8Array:
        """Compute the logits of many windows.

        Args:
            signal: int8 [n, length, channels] (or [n, features] for such a network).
            rhythm: int8 [n, features], for a network with two inputs.

        Returns:
            int8 [n, classes].

        Raises:
            NetworkError: The inputs do not fit the network.
        """
        return self._classify(self._inputs(signal, rhythm), None)

    def run_layers(
        self, signal: Int8Array, rhythm: Int8Array | None = None
    ) -> Mapping[str, Int8Array]:
        """Compute the output of every step of many windows, by tensor name; see `run`.

        Of two operations whose kernels take turns only the second one's output is ever whole.
        """
        inputs = self._inputs(signal, rhythm)
        network = self.sources.network
        tensors = [network.tensors[each.step.output] for each in self.sources.portable.layers]
        width = sum(tensor.size for tensor in tensors)
        traces = np.empty((len(signal), width), np.int8)
        for start in range(0, len(signal), _TRACED_WINDOWS):
            part = slice(start, start + _TRACED_WINDOWS)
            self._classify(tuple(values[part] for values in inputs), traces[part])
        edges = np.cumsum([0, *(tensor.size for tensor in tensors)])
        return {
            tensor.name: traces[:, first:last].reshape(len(signal), *tensor.shape)
            for tensor, first, last in zip(tensors, edges, edges[1:], strict=False)
        }

    def front_end(
        self, samples: npt.NDArray[np.int16], beats: npt.NDArray[np.int64]
    ) -> tuple[Int8Array, Int8Array]:
        """Stream a recording through the generated front end, sample by sample.

        Args:
            samples: int16 [n], counts of the converter.
            beats: int64 [k], ascending sample numbers.

        Returns:
            The windows that came out, in order: signal int8 [m, length, channels] and rhythm
            int8 [m, features] ([m, 0] for a network without that input).

        Raises:
            DeviceError: The sources were generated without a front end.
        """
        try:
            stream = self._library.edgeprune_host_front_end
        except AttributeError as error:
            raise DeviceError(
                "the generated C has no front end", hint="generate it with one"
            ) from error
        shapes = [tensor.shape for tensor in self.sources.network.input_tensors]
        signal = np.empty((len(beats), *shapes[0]), np.int8)
        rhythm = np.empty((len(beats), *(shapes[1] if len(shapes) == 2 else (0,))), np.int8)
        counts = np.ascontiguousarray(samples, np.int16)
        positions = np.ascontiguousarray(beats, np.int32)
        windows = stream(
            _pointer(counts),
            ctypes.c_int32(len(counts)),
            _pointer(positions),
            ctypes.c_int32(len(positions)),
            _pointer(signal),
            _pointer(rhythm),
        )
        return signal[:windows], rhythm[:windows]

    def _inputs(self, signal: Int8Array, rhythm: Int8Array | None) -> tuple[Int8Array, ...]:
        given = (signal,) if rhythm is None else (signal, rhythm)
        tensors = self.sources.network.input_tensors
        if len(given) != len(tensors):
            raise NetworkError(f"the network takes {len(tensors)} inputs, {len(given)} were given")
        for tensor, values in zip(tensors, given, strict=True):
            if values.dtype != np.int8 or values.shape != (len(signal), *tensor.shape):
                raise NetworkError(
                    f"input '{tensor.name}' is {values.dtype} {list(values.shape)}",
                    hint=f"it takes int8 {[len(signal), *tensor.shape]}",
                )
        return tuple(np.ascontiguousarray(values) for values in given)

    def _classify(
        self, inputs: tuple[Int8Array, ...], traces: npt.NDArray[np.int8] | None
    ) -> Int8Array:
        count = len(inputs[0])
        logits = np.empty((count, self.sources.network.output_tensor.size), np.int8)
        rhythm = inputs[1] if len(inputs) == 2 else logits
        result = self._library.edgeprune_host_classify(
            _pointer(inputs[0]),
            _pointer(rhythm),
            ctypes.c_int32(count),
            _pointer(logits),
            None if traces is None else _pointer(traces),
        )
        if result != 0:
            raise DeviceError(f"the generated C refused a window (code {result})")
        return logits


def build_host_library(
    sources: FirmwareSources, *, compiler: str = "zig", flags: Sequence[str] = _FAST
) -> HostLibrary:
    """Compile the generated C for this machine and load it.

    Args:
        sources: A generated folder.
        compiler: "zig" or "gcc".
        flags: Optimization, sanitizers.

    Raises:
        MissingToolError: The compiler is not on this machine.
        CompilerError: It refuses the sources.
    """
    command = host_command(compiler)
    with tempfile.TemporaryDirectory(prefix="edgeprune-") as name:
        folder = Path(name)
        with disk_errors(folder):
            copy_sources(sources, folder)
        files = (*sources.c_files, "host_batch.c")
        run((*command, *WARNINGS, *_FLAGS, *flags, *files, "-o", "libedgeprune_host.so"), folder)
        # Once loaded, the library no longer needs its file.
        library = ctypes.CDLL(str(folder / "libedgeprune_host.so"))
    return HostLibrary(sources, library)


def copy_sources(sources: FirmwareSources, folder: Path) -> None:
    """Copy the generated files and the host's batch functions into one folder."""
    for name in sources.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sources.folder / name, folder / name)
    for name in _HOST_FILES:
        shutil.copyfile(resource_folder("firmware_export") / "host" / name, folder / name)


def _pointer(array: npt.NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
