"""The stages from recordings to the integer network: data, train, prune, quantize."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from edgeprune.classifiers import (
    ClassifierSpec,
    create,
    load_classifier,
    load_weights,
    save_classifier,
)
from edgeprune.data import Dataset, Windows, prepare
from edgeprune.data.own_files import data_files
from edgeprune.errors import DataError
from edgeprune.files import sha256_file, write_bytes
from edgeprune.firmware import require_front_end
from edgeprune.network import IntegerNetwork, load_onnx, read_qdq
from edgeprune.pipeline import describe
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.given_model import float_model, is_file, is_quantized, quantized_model
from edgeprune.pipeline.given_network import check_float_graph, fitted_to_front_end
from edgeprune.pipeline.guarding import PatientGuard
from edgeprune.pipeline.products import (
    load_windows,
    save_array,
    save_record,
    save_windows,
)
from edgeprune.pipeline.recordings import save_recordings
from edgeprune.pipeline.store import Stage
from edgeprune.pruning import Cost, FineTuning, History, held_zeros, prune_classifier, save_history
from edgeprune.quantization import QuantizationResult, quantize, to_float_onnx
from edgeprune.training import CertifiedTraining, train, train_quantized

PARTS = ("train", "validation", "test")
CLASSIFIER = "classifier.safetensors"
FLOAT_ONNX = "float.onnx"
QDQ_ONNX = "qdq.onnx"
NETWORK = "network.safetensors"
HISTORY = "history.json"
HISTORY_ARRAYS = "history.safetensors"
_DATA_ROOMS = ("data", "targets")
_TRAINING_ROOMS = ("data", "classifiers", "training", "quantization/inputs")


def data_stage(context: Context) -> Stage:
    """Windows of all parts, what is to be said about the data, and raw recordings."""

    def produce(folder: Path) -> None:
        dataset = prepare(
            context.card,
            context.data_dir,
            context.adc,
            context.front_end,
            context.progress,
            context.seed,
        )
        for part in PARTS:
            save_windows(folder / f"{part}.npz", getattr(dataset, part))
        save_record(folder / "data.json", describe.data_evidence(context, dataset))
        _save_raw(folder, dataset)
        save_recordings(folder, dataset, context.data_dir)

    settings = {
        "card": asdict(context.card) | {"path": ""},
        "adc": asdict(context.adc),
        "front_end": asdict(context.front_end),
        "seed": context.seed,
        "files": _file_hashes(context),
    }
    return context.store.run("data", produce, settings=settings, rooms=_DATA_ROOMS)


def _save_raw(folder: Path, dataset: Dataset) -> None:
    """Keep the first test recording as it came from the converter: the device replays it."""
    name = dataset.card.split.test[0]
    recording = next(each for each in dataset.recordings if each.name == name)
    save_array(folder / "raw_samples.npy", recording.samples)
    save_array(folder / "raw_beats.npy", recording.beats)


def _file_hashes(context: Context) -> dict[str, str]:
    folder = context.data_dir
    if folder is None:
        return {}
    if not folder.is_dir():
        raise DataError(
            "the folder of the recordings does not exist",
            where=str(folder),
            hint=f"edgeprune datasets fetch {context.card.name} {folder}",
        )
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in data_files(context.card, folder)
    }


def windows_of(data: Stage, part: str) -> Windows:
    """Return the windows of one part of the data stage."""
    return load_windows(data.file(f"{part}.npz"))


def train_stage(context: Context, data: Stage) -> Stage:
    """The trained classifier, or the user's with the weights given."""
    config = context.config

    def produce(folder: Path) -> None:
        training, validation = windows_of(data, "train"), windows_of(data, "validation")
        spec = ClassifierSpec(
            config.model,
            context.front_end.signal_shape,
            context.front_end.rhythm_features,
            len(training.class_names),
        )
        model = create(**asdict(spec), seed=context.seed)
        if config.weights or spec.is_file:
            if config.weights:
                load_weights(model, Path(config.weights))
            save_record(folder / "training.json", describe.given_weights(context))
        else:
            checkpoints = folder / "checkpoints"
            checkpoints.mkdir(exist_ok=True)
            result = train(
                model,
                training,
                validation,
                context.front_end,
                config.training,
                context.seed,
                context.progress,
                checkpoints,
                certified=certified_training(context),
            )
            model = result.model
            _remove_folder(checkpoints)
            save_record(folder / "training.json", describe.training_evidence(context, result))
        save_record(folder / "classifier.json", describe.classifier_evidence(context, model))
        save_classifier(model, spec, folder / CLASSIFIER)

    settings = {
        "model": config.model,
        "weights": sha256_file(Path(config.weights)) if config.weights else "",
        "training": asdict(config.training),
        **_robustness(context),
        "seed": context.seed,
        "user_code": _user_code_hash(config.model),
    }
    return context.store.run(
        "train", produce, reads=[data], settings=settings, rooms=_TRAINING_ROOMS
    )


def certified_training(context: Context, *, warm: bool = False) -> CertifiedTraining | None:
    """Return how decisions are made provable; None where `[robustness]` is off.

    Args:
        context: The build.
        warm: The classifier has been trained for it already.
    """
    settings = context.config.robustness
    if not settings.perturbation:
        return None
    # The share gates the exit code and decides nothing here.
    return CertifiedTraining(replace(settings, share=0.0), context.adc, warm)


def _robustness(context: Context) -> dict[str, Any]:
    certified = certified_training(context)
    return {"robustness": asdict(certified)} if certified else {}


def _remove_folder(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)


def _user_code_hash(model: str) -> str:
    """Return the hash of the user's file: a graph, or a factory's as far as it can be found."""
    if is_file(model):
        return sha256_file(Path(model))
    module, separator, _ = model.partition(":")
    path = Path(*module.split(".")).with_suffix(".py")
    return sha256_file(path) if separator and path.is_file() else ""


def classifier_of(context: Context, stage: Stage) -> tuple[nn.Module, ClassifierSpec]:
    """Return the classifier that a stage saved."""
    model = context.config.model
    user = model if ":" in model or is_file(model) else None
    return load_classifier(stage.file(CLASSIFIER), user_classifier=user)


def prune_stage(
    context: Context, data: Stage, trained: Stage, measure: Callable[[nn.Module], Cost]
) -> Stage:
    """The classifier without what it can do without."""
    config = context.config

    def produce(folder: Path) -> None:
        training, validation = windows_of(data, "train"), windows_of(data, "validation")
        model, spec = classifier_of(context, trained)
        checkpoints = folder / "checkpoints"
        tuning = FineTuning(
            training,
            validation,
            context.front_end,
            context.adc,
            config.training,
            config.robustness,
            config.pruning,
            context.seed,
        )
        guard = PatientGuard(model, validation, context.front_end, config.pruning.guard)
        pruned = prune_classifier(model, tuning, context.progress, measure, guard, checkpoints)
        if checkpoints.exists():
            _remove_folder(checkpoints)
        evidence = describe.pruning_evidence(context, pruned, validation)
        save_record(folder / "pruning.json", replace(evidence, guard=guard.evidence()))
        save_history(History(pruned.result.steps, pruned.result.stopped), folder / HISTORY)
        save_classifier(pruned.result.model, spec, folder / CLASSIFIER)

    return context.store.run(
        "prune",
        produce,
        reads=[data, trained],
        settings={
            "pruning": asdict(config.pruning),
            "training": asdict(config.training),
            **_robustness(context),
            "seed": context.seed,
        },
        rooms=(*_TRAINING_ROOMS, "pruning", "evaluation", "pipeline/guarding"),
    )


def quantize_stage(context: Context, data: Stage | None, pruned: Stage | None) -> Stage:
    """The QDQ graph and the integer network that it means.

    Args:
        context: The build.
        data: Where the calibration windows are; None where a QDQ graph needs none.
        pruned: The classifier; None where the user gave a file that is not trained here.
    """
    config = context.config
    given = Path(config.model) if pruned is None else None
    robust = _robustness(context) if given is None else {}

    def produce(folder: Path) -> None:
        if given is not None and is_quantized(given):
            found = quantized_model(given, context.front_end)
            for note in found.notes:
                context.progress.note(note)
            if given.suffix == ".onnx":
                write_bytes(folder / QDQ_ONNX, given.read_bytes())
            network = fitted_to_front_end(found.network, context)
            evidence = describe.given_quantization(context, network, found)
        else:
            model = _float_model(context, pruned, given)
            if given is not None:
                check_float_graph(model, context)
            assert data is not None
            write_bytes(folder / FLOAT_ONNX, model.SerializeToString(deterministic=True))
            result = quantize(
                model,
                windows_of(data, "train"),
                context.front_end,
                config.quantization,
                context.progress,
                context.seed,
                where=config.model,
            )
            certified = certified_training(context, warm=True)
            if certified and config.robustness.quantized_epochs and data and pruned:
                result = _trained_as_quantized(context, data, pruned, result, certified, folder)
            content = result.model.SerializeToString(deterministic=True)
            write_bytes(folder / QDQ_ONNX, content)
            network = read_qdq(folder / QDQ_ONNX)
            if given is not None:
                network = fitted_to_front_end(network, context)
            evidence = describe.quantization_evidence(context, result, network)
        # Not the generator's alone to find out: scores come before any firmware.
        require_front_end(network, context.front_end)
        network.save(folder / NETWORK)
        save_record(folder / "quantization.json", evidence)

    return context.store.run(
        "quantize",
        produce,
        reads=[stage for stage in (data, pruned) if stage is not None],
        settings={
            "quantization": asdict(config.quantization),
            **robust,
            "seed": context.seed,
            "given": sha256_file(given) if given else "",
        },
        rooms=("classifiers", "quantization", "network", *(_TRAINING_ROOMS if robust else ())),
    )


def _trained_as_quantized(
    context: Context,
    data: Stage,
    pruned: Stage,
    result: QuantizationResult,
    certified: CertifiedTraining,
    folder: Path,
) -> QuantizationResult:
    """Train the float graph through the roundings of `result`, and quantize it by its ranges."""
    training = windows_of(data, "train")
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    trained = train_quantized(
        load_onnx(folder / FLOAT_ONNX),
        result.ranges,
        training,
        windows_of(data, "validation"),
        context.front_end,
        context.config.training,
        certified,
        context.seed,
        context.progress,
        checkpoints,
        keeps_zeros=bool(held_zeros(classifier_of(context, pruned)[0])),
    )
    _remove_folder(checkpoints)
    write_bytes(folder / FLOAT_ONNX, trained.model.SerializeToString(deterministic=True))
    return quantize(
        trained.model,
        training,
        context.front_end,
        context.config.quantization,
        context.progress,
        context.seed,
        ranges=result.ranges,
    )


def _float_model(context: Context, pruned: Stage | None, given: Path | None) -> Any:
    if given is not None:
        return float_model(given, context.front_end)
    assert pruned is not None
    model, spec = classifier_of(context, pruned)
    return to_float_onnx(model, spec.signal_shape, spec.rhythm_features)


def quantize_quickly(context: Context, model: nn.Module, training: Windows) -> IntegerNetwork:
    """Return the integer network of a classifier with plain ranges: for counting its cost only."""
    settings = replace(
        context.config.quantization,
        calibration_windows=64,
        search=False,
        correct_biases=False,
        quantizer="onnxruntime",
    )
    shape, features = context.front_end.signal_shape, context.front_end.rhythm_features
    graph = to_float_onnx(model, shape, features)
    from edgeprune.progress import Silent

    result: QuantizationResult = quantize(
        graph, training, context.front_end, settings, Silent(), context.seed
    )
    return read_qdq(result.model)


def network_of(quantized: Stage) -> IntegerNetwork:
    """Return the integer network of the quantize stage."""
    return IntegerNetwork.load(quantized.file(NETWORK))
