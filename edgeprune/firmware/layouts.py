"""The generated library as the kinds of package that firmware engineers take it in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from edgeprune import __version__
from edgeprune.errors import NetworkError
from edgeprune.files import write_text
from edgeprune.firmware.network_writer import values_text
from edgeprune.firmware.sources import FirmwareSources, Golden, random_golden
from edgeprune.firmware.writer import comment_safe, environment, origin, string_safe
from edgeprune.registry import Registry
from edgeprune.resources import resource_folder
from edgeprune.targets import MICROCONTROLLER

_FOLDER = "layouts"
_EXAMPLE = "example"
_SUFFIX = ".j2"
_HEADERS = ("edgeprune_model.h", "edgeprune_code.h")
_FUNCTION = re.compile(r"^[a-z][\w *]*?\b(edgeprune_\w+)\(", re.MULTILINE)
_CORES = tuple(f"Cortex-M{name}" for name in ("0", "0+", "3", "4", "7", "23", "33", "55", "85"))


@dataclass(frozen=True)
class Layout:
    """One kind of package; its own files are the templates in firmware_export/layouts/NAME.

    Attributes:
        title: What it is, in words.
        example: Folder of the example's sources.
        has_main: The example is C with a main() that all such layouts share.
    """

    title: str
    example: str
    has_main: bool = True


LAYOUTS = Registry(
    "layout",
    **{
        "arduino": Layout("an Arduino library", "examples/classify_beat", has_main=False),
        "cmake": Layout("a CMake library", "examples/classify_beat"),
        "cmsis-pack": Layout("a CMSIS-Pack", "examples/classify_beat"),
        "platformio": Layout("a PlatformIO library", "examples/classify_beat/src"),
        "zephyr": Layout("a Zephyr module", "samples/classify_beat/src"),
    },
)


def package(
    sources: FirmwareSources, layout: str, folder: Path, *, golden: Golden | None = None
) -> tuple[str, ...]:
    """Write a generated library as a package of one kind, with an example.

    All sources lie in `src`, side by side: not every build tool has more than one include path.

    Args:
        sources: A generated folder.
        layout: A name of `LAYOUTS`.
        folder: Where to write; other files there stay.
        golden: The example classifies the first of these windows; a random one by default.

    Returns:
        The files, relative to the folder, sorted.

    Raises:
        UnknownNameError: There is no such layout.
        DiskError: A file cannot be read or written.
    """
    kind = LAYOUTS.get(layout)
    texts = _library(sources)
    context = _context(sources, texts, golden)
    templates = environment(_FOLDER)
    place = resource_folder("firmware_export") / _FOLDER / layout
    names = {
        path.relative_to(place).as_posix().removesuffix(_SUFFIX): f"{layout}/"
        for path in place.rglob(f"*{_SUFFIX}")
    }
    rendered = {
        name: templates.get_template(f"{prefix}{name}{_SUFFIX}").render(context)
        for name, prefix in names.items()
    }
    shared = ("beat.h", "main.c") if kind.has_main else ("beat.h",)
    for name in shared:
        text = templates.get_template(f"{_EXAMPLE}/{name}{_SUFFIX}").render(context)
        rendered[f"{kind.example}/{name}"] = text
    rendered |= {f"src/{name}": text for name, text in texts.items()}
    for name, text in rendered.items():
        write_text(folder / name, text)
    return tuple(sorted(rendered))


def _library(sources: FirmwareSources) -> dict[str, str]:
    """Return the library's code by name, without folders."""
    texts: dict[str, str] = {}
    code = {*sources.c_files, *sources.assembly_files}
    for file in sources.files:
        name = Path(file).name
        if file in code or name.endswith(".h"):
            if name in texts:
                raise NetworkError(f"two files of the library are called {name}")
            texts[name] = (sources.folder / file).read_text(encoding="utf-8")
    return dict(sorted(texts.items()))


def _context(
    sources: FirmwareSources, texts: dict[str, str], golden: Golden | None
) -> dict[str, object]:
    network, labels = sources.network, sources.labels
    recorded = golden is not None and len(golden.inputs[0]) > 0
    inputs = (golden if golden is not None and recorded else random_golden(network)).inputs
    window = tuple(values[:1] for values in inputs)
    words = "SYNTHETIC " if labels.synthetic else ""
    kind = "beat" if recorded else "window of random values"
    # What runs on the host is portable: any core will do for the example's project.
    core = sources.target.core if sources.target.kind == MICROCONTROLLER else "cortex-m4"
    return {
        "title": comment_safe(labels.title),
        "title_string": string_safe(labels.title),
        "title_xml": escape(comment_safe(labels.title)),
        "origin": origin(labels),
        "origin_xml": escape(origin(labels)),
        "synthetic": labels.synthetic,
        "monitor": sources.monitor is not None,
        "version": __version__,
        "network_hash": network.sha256,
        "target": sources.target,
        "device": f"ARMC{core.removeprefix('cortex-').upper().replace('PLUS', 'P')}",
        "core": f"Cortex-M{core.removeprefix('cortex-m').replace('plus', '+')}",
        "cores": _CORES,
        "c_files": [name for name in texts if name.endswith(".c")],
        "assembly_files": [name for name in texts if name.endswith(".S")],
        "headers": [name for name in texts if name.endswith(".h")],
        "public_headers": [f"src/{name}" for name in _HEADERS if name in texts],
        "functions": _FUNCTION.findall(texts["edgeprune_model.h"]),
        "beat_title": f"{words}{kind}",
        "signal_bytes": network.input_tensors[0].size,
        "rhythm_bytes": network.input_tensors[1].size if len(window) == 2 else 0,
        "class_count": network.output_tensor.size,
        "signal": values_text(window[0]),
        "rhythm": values_text(window[1]) if len(window) == 2 else "",
        "logits": values_text(network.run(*window)),
    }
