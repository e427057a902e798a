"""The verbs that run the stages: each runs the chain up to its own stage, `build` all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from edgeprune.cli import options, verify
from edgeprune.cli.console import Answer, Console, run_verb
from edgeprune.cli.gate import Gate

_VERBS = {
    "train": "Train the classifier on the recordings.",
    "prune": "Train, then prune to a ratio or to a target's budget.",
    "quantize": "Make the integer network: the one thing that is certified and flashed.",
    "export": "Write model.tflite, model.onnx and the C library, and compare them.",
    "bench": "Run the firmware on the emulator: parity, exact instructions, modelled cycles.",
    "verify": "Prove or falsify the integer network's decisions on test windows.",
    "attack": "Attack the decisions of every stage of the network on test windows.",
    "disturb": "Disturb whole recordings more and more, and score what is decided of them.",
    "build": "Everything: from recordings to certified firmware and its report.",
}
_BOARD_WINDOWS = 200
_WINDOWS_OF = {"attack": "attacks", "disturb": "disturbances"}


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb, summary in _VERBS.items():
        if verb == "verify":
            group = typer.Typer(help=summary, short_help=summary, invoke_without_command=True)
            app.add_typer(group, name=verb)
            verify.add_to(group)
            _add_verb(group.callback(), verb)
        else:
            _add_verb(app.command(verb, help=summary, short_help=summary), verb)


def _add_verb(register: Callable[[Callable[..., None]], Any], verb: str) -> None:
    @register
    def command(
        context: typer.Context,
        target: options.Target = None,
        dataset: options.Dataset = None,
        data_dir: options.DataDir = None,
        model: options.Model = None,
        weights: options.Weights = None,
        out: options.Out = Path("result"),
        config: options.ConfigPath = None,
        epochs: options.Epochs = None,
        robust: options.Robust = None,
        pruning: options.Method = None,
        ratio: options.Ratio = None,
        importance: options.Importance = None,
        scope: options.Scope = None,
        schedule: options.Schedule = None,
        fine_tune: options.FineTune = None,
        max_flash: options.MaxFlash = None,
        max_ram: options.MaxRam = None,
        max_instructions: options.MaxInstructions = None,
        quantizer: options.Quantizer = None,
        toolchain: options.Toolchain = None,
        emulator: options.Emulator = None,
        device: options.Device = None,
        board_python: options.BoardPython = "python3",
        optimize: options.Optimize = None,
        layout: options.Layout = None,
        perturbation: options.Perturbations = None,
        runtime: options.Runtime = None,
        time_limit: options.TimeLimit = None,
        windows: options.Windows = None,
        attack: options.Attacks = None,
        ball: options.Balls = None,
        disturbance: options.Disturbances = None,
        noise_dir: options.NoiseDir = None,
        privacy: options.Privacy = None,
        profile: options.Profile = None,
        from_sweep: options.FromSweep = None,
        point: options.Point = None,
        workers: options.Workers = None,
        scheduler: options.Scheduler = None,
        settings: options.Settings = None,
        gate: options.Gate = False,
        junit: options.Junit = None,
        sarif: options.Sarif = None,
        seed: options.Seed = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        if context.invoked_subcommand is not None:
            return
        console = Console(quiet=quiet, as_json=as_json)
        flags = {
            "target": target,
            "dataset": dataset,
            "data_dir": data_dir,
            "model": model,
            "weights": weights,
            "training.epochs": epochs,
            "robustness.perturbation": robust,
            "pruning.method": pruning,
            "pruning.ratio": ratio,
            "pruning.importance": importance,
            "pruning.scope": scope,
            "pruning.schedule": schedule,
            "pruning.fine_tune": fine_tune,
            "pruning.max_flash": max_flash,
            "pruning.max_ram": max_ram,
            "pruning.max_instructions": max_instructions,
            "quantization.quantizer": quantizer,
            "firmware.toolchain": toolchain,
            "firmware.emulator": emulator,
            "firmware.optimize": optimize,
            "firmware.layout": layout,
            "verification.perturbations": perturbation,
            "verification.runtime": runtime,
            "verification.seconds": time_limit,
            f"{_WINDOWS_OF.get(verb, 'verification')}.windows": windows,
            "verification.workers": workers,
            "attacks.names": attack,
            "attacks.balls": ball,
            "disturbances.cases": disturbance,
            "disturbances.noise_dir": noise_dir,
            "evaluation.privacy": privacy or None,
            "profile": profile,
            "seed": seed,
        }

        def body() -> Answer:
            stands_in = None if from_sweep else options.found_config(config)
            pipeline = Gate(gate, junit, sarif, stands_in)
            pipeline.check(verb, out)
            if device is not None:
                return _on_board(console, verb, out, device, windows, board_python)
            with pipeline.told():
                resolved = options.resolve_config(config, flags, settings, from_sweep, point)
                from edgeprune.cli.answers import answer_for
                from edgeprune.pipeline.build import build

                result = build(resolved, out, until=verb, progress=console, scheduler=scheduler)
            answer = answer_for(verb, result, console)
            return pipeline.judged(result.evidence, answer, console)

        run_verb(verb, console, body, flags)


def _on_board(
    console: Console, verb: str, result: Path, device: str, windows: int | None, python: str
) -> Answer:
    """Compare and time a board: as `check`, without what is no measurement."""
    from edgeprune.errors import ConfigurationError

    if verb != "bench":
        raise ConfigurationError(
            f"'{verb}' talks to no device",
            where=f"--device {device}",
            hint="take edgeprune bench --device, or edgeprune check --device",
        )
    from edgeprune.cli.check import held_against
    from edgeprune.pipeline.check import CheckSettings

    settings = CheckSettings(device, windows=windows or _BOARD_WINDOWS, queries=0, python=python)
    return held_against(console, result, settings)
