"""The stage that disturbs whole recordings and scores what the int8 network makes of them."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from edgeprune.config import BuildConfig
from edgeprune.disturbances import (
    Disturbance,
    Surroundings,
    decide_disturbed,
    disturbed_windows,
    parse_disturbance,
    parse_family,
)
from edgeprune.disturbances.disturbance import THREAT_MODEL_OF_SEGMENTS
from edgeprune.errors import ConfigurationError
from edgeprune.evaluation import Bootstrap
from edgeprune.evaluation.disturbances import disturbance_evidence
from edgeprune.files import sha256_file
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.learn import network_of, windows_of
from edgeprune.pipeline.products import inputs_of, save_inputs, save_record, stratified
from edgeprune.pipeline.recordings import recordings_of
from edgeprune.pipeline.requirements import INT8
from edgeprune.pipeline.store import Stage

DISTURBANCES_FILE = "disturbances.json"
DISTURBED = "disturbed.npz"
_TASKS = "tasks"
# Disturbed windows of each case that are kept, to be run on devices.
_KEPT = 8


def disturbances_of(config: BuildConfig) -> tuple[Disturbance, ...]:
    """Return all disturbances that are asked for or required, each once.

    Raises:
        UnknownNameError: There is no disturbance of that name.
        ConfigurationError: A severity cannot be used, or the folder of noise does not exist.
    """
    folder = Path(config.disturbances.noise_dir) if config.disturbances.noise_dir else None
    if folder is not None and not folder.is_dir():
        raise ConfigurationError(
            "the folder of recorded noise does not exist",
            where=f"disturbances.noise_dir: {folder}",
            hint=f"edgeprune datasets fetch nstdb {folder}",
        )
    for text in config.requirements.sensitivity_under:
        parse_disturbance(text)
    surroundings = Surroundings(folder)
    found: dict[str, Disturbance] = {}
    for text in config.disturbance_texts:
        for disturbance in parse_family(text, surroundings):
            found.setdefault(disturbance.text, disturbance)
    return tuple(found.values())


def disturb_stage(context: Context, data: Stage, quantized: Stage) -> Stage:
    """Scores of the int8 network on the same beats of recordings disturbed more and more."""
    disturbances = disturbances_of(context.config)

    def produce(folder: Path) -> None:
        network = network_of(quantized)
        test = windows_of(data, "test")
        chosen = stratified(test, context.config.disturbances.windows, context.seed)
        windows = test.select(chosen)
        recordings = recordings_of(context, data, windows)
        undisturbed, *found = decide_disturbed(
            network,
            recordings,
            windows,
            context.front_end,
            (None, *disturbances),
            context.seed,
            replace(context.executor, store=folder / _TASKS),
            context.progress,
        )
        records = len(np.unique(windows.record))
        choice = (
            f"{len(windows)} test windows, drawn in proportion from every record that has any "
            f"({records}), seed {context.seed}"
        )
        evidence = disturbance_evidence(
            INT8,
            choice,
            windows,
            disturbances,
            found,
            undisturbed,
            Bootstrap(context.seed),
        )
        if context.card.window is not None:
            evidence = replace(evidence, threat_model=THREAT_MODEL_OF_SEGMENTS)
        save_record(folder / DISTURBANCES_FILE, evidence)
        first = windows.select(np.flatnonzero(windows.record == windows.record[0])[:_KEPT])
        parts = [
            disturbed_windows(recordings, first, context.front_end, each, context.seed)
            for each in disturbances
        ]
        cut = [part.windows.select(np.flatnonzero(part.present)) for part in parts]
        inputs = [inputs_of(network, each) for each in cut]
        save_inputs(folder / DISTURBED, network, [tuple(each) for each in inputs])
        shutil.rmtree(folder / _TASKS, ignore_errors=True)

    plan = context.config.disturbances
    return context.store.run(
        "disturb",
        produce,
        reads=[data, quantized],
        settings={
            "cases": [disturbance.text for disturbance in disturbances],
            "windows": plan.windows,
            "noise": noise_files(plan.noise_dir),
            "front_end": asdict(context.front_end),
            "seed": context.seed,
        },
        rooms=("network", "disturbances", "data", "evaluation"),
    )


def noise_files(folder: str) -> list[tuple[str, str]]:
    """Return the files of a folder with their hashes: recorded noise decides the result."""
    if not folder:
        return []
    paths = (path for path in sorted(Path(folder).iterdir()) if path.is_file())
    return [(path.name, sha256_file(path)) for path in paths]
