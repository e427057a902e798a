"""Flags that several verbs share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeprune.config import BuildConfig, load_config
from edgeprune.errors import ConfigurationError

CONFIG_FILE = Path("edgeprune.toml")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict alone.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of everything that is drawn.")]
Out = Annotated[Path, typer.Option("--out", help="Result directory; a killed run resumes there.")]
ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration file; edgeprune.toml is read if it is there."),
]
Target = Annotated[str | None, typer.Option(help="Name of a target, or path of its TOML file.")]
Dataset = Annotated[str | None, typer.Option(help="Name of a data card, or path of its TOML file.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder that holds the recordings.")]
Model = Annotated[
    str | None,
    typer.Option(help="Classifier name, package.module:factory, or ONNX or TFLite file."),
]
Weights = Annotated[Path | None, typer.Option(help="Trained weights; they are not trained again.")]
Epochs = Annotated[int | None, typer.Option(help="Rounds of training.")]
Robust = Annotated[
    str | None,
    typer.Option(
        "--robust", metavar="SET", help="Train so that decisions are provable: e.g. linf:50uV."
    ),
]
Method = Annotated[str | None, typer.Option("--pruning", help="Pruning method, or none.")]
Ratio = Annotated[float | None, typer.Option(help="Share of the parameters to prune.")]
Importance = Annotated[str | None, typer.Option(help="What pruning goes by, e.g. l1 or hrank.")]
Scope = Annotated[str | None, typer.Option(help="global, local or sensitivity.")]
Schedule = Annotated[str | None, typer.Option(help="one-shot, iterative or progressive.")]
FineTune = Annotated[
    str | None,
    typer.Option(
        "--fine-tune",
        help="Training after pruning, e.g. natural, trades or none.",
    ),
]
MaxFlash = Annotated[int | None, typer.Option(help="Prune until the flash image fits (bytes).")]
MaxRam = Annotated[int | None, typer.Option(help="Prune until RAM fits, stack included (bytes).")]
MaxInstructions = Annotated[
    int | None, typer.Option(help="Prune until a window takes at most this many instructions.")
]
Quantizer = Annotated[str | None, typer.Option(help="onnxruntime or neural-compressor.")]
Toolchain = Annotated[str | None, typer.Option(help="zig or gnu.")]
Emulator = Annotated[str | None, typer.Option(help="unicorn or qemu.")]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICE",
        help="With bench: compare and time the board that holds the result of --out, e.g. "
        "/dev/ttyACM0 or ssh://user@host; see check.",
    ),
]
BoardPython = Annotated[
    str,
    typer.Option(
        metavar="PYTHON",
        help="With bench --device ssh://: the board's Python, whose onnxruntime, tflite-runtime "
        "and ai-edge-litert are compared too.",
    ),
]
Optimize = Annotated[
    str | None, typer.Option(help="What the code makes small: balanced, speed, size or ram.")
]
Layout = Annotated[
    str | None,
    typer.Option(help="Package besides the C: cmake, zephyr, arduino, platformio or cmsis-pack."),
]
Perturbations = Annotated[
    list[str] | None,
    typer.Option(
        "--perturbation",
        metavar="SET",
        help="What decisions must withstand, e.g. linf:20uV or gain:10%; may be repeated.",
    ),
]
Runtime = Annotated[
    str | None,
    typer.Option(help="Arithmetic to verify: firmware (exact) or any (each layer within a step)."),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(help="Seconds a window may take; 0 tries plain bounds and a short attack only."),
]
Windows = Annotated[
    int | None,
    typer.Option(
        "--windows",
        help="Test windows to verify (of attack to attack, of disturb to disturb), from every "
        "record.",
    ),
]
Attacks = Annotated[
    list[str] | None,
    typer.Option("--attack", metavar="NAME", help="Attack to run, e.g. pgd; may be repeated."),
]
Balls = Annotated[
    list[str] | None,
    typer.Option(
        "--ball",
        metavar="BALL",
        help="How far attacks may move raw samples, e.g. linf:20uV or l2:200uV; may be repeated.",
    ),
]
Disturbances = Annotated[
    list[str] | None,
    typer.Option(
        "--disturbance",
        metavar="CASE",
        help="What happens to the lead, e.g. electrode-motion:6dB; may be repeated.",
    ),
]
NoiseDir = Annotated[
    Path | None, typer.Option(help="Folder of recorded noise; it is generated otherwise.")
]
Privacy = Annotated[
    bool | None,
    typer.Option("--privacy", help="Withhold whatever belongs to one patient or recording."),
]
Profile = Annotated[
    str | None,
    typer.Option(help="Sections and clauses of the report: fda, eu or research."),
]
Workers = Annotated[
    int | None, typer.Option(help="Processes that verify; 0 takes one for each processor.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="tcp://HOST:PORT", help="Dask scheduler whose workers verify instead."),
]
FromSweep = Annotated[
    Path | None,
    typer.Option(
        "--from-sweep",
        metavar="FILE",
        help="Take all settings from a sweep: those of the point that it recommends.",
    ),
]
Point = Annotated[
    int | None, typer.Option("--point", metavar="N", help="With --from-sweep: take this point.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any other key, e.g. pruning.steps=3."),
]

Gate = Annotated[
    bool,
    typer.Option(
        "--gate", help="With build, for pipelines: fail unless all is met; not tested is not met."
    ),
]
Junit = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="With build: requirements as JUnit XML."),
]
Sarif = Annotated[
    Path | None,
    typer.Option("--sarif", metavar="FILE", help="With build: unmet requirements as SARIF."),
]


def resolve_config(
    path: Path | None,
    flags: Mapping[str, Any],
    settings: list[str] | None,
    from_sweep: Path | None = None,
    point: int | None = None,
) -> BuildConfig:
    """Return the configuration: defaults, then the file or the sweep's point, then the flags.

    Raises:
        ConfigurationError: A key or value cannot be used.
        DataError: The sweep cannot be read.
    """
    overrides = {**texts(flags), **dict(map(_parse_setting, settings or ()))}
    if from_sweep is not None:
        if path is not None:
            raise ConfigurationError(
                "a sweep has a configuration of its own",
                where=f"--config {path}",
                hint="leave out --config or --from-sweep",
            )
        from edgeprune.pipeline.sweep import chosen_config

        return chosen_config(from_sweep, point, overrides)
    if point is not None:
        raise ConfigurationError(
            "a point is one of a sweep", where="--point", hint="name its file with --from-sweep"
        )
    return load_config(found_config(path), overrides)


def found_config(path: Path | None) -> Path | None:
    """Return the configuration file that counts: the one named, else the usual one if it exists."""
    return CONFIG_FILE if path is None and CONFIG_FILE.is_file() else path


def texts(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return flags as a configuration file would have them: paths are texts there."""
    return {key: str(value) if isinstance(value, Path) else value for key, value in flags.items()}


def _parse_setting(text: str) -> tuple[str, Any]:
    import tomllib

    key, separator, value = text.partition("=")
    if not separator:
        raise ConfigurationError(
            f"'{text}' is not KEY=VALUE", where="--set", hint="e.g. --set pruning.steps=3"
        )
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
