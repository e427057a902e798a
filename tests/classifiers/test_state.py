"""Classifiers survive their file, pruned or not, and nothing in a file is executed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgeprune.classifiers import (
    CLASSIFIERS,
    ClassifierSpec,
    create,
    load_classifier,
    logits_of,
    save_classifier,
)
from edgeprune.classifiers.structure import layer_widths, resize
from edgeprune.errors import ModelError, UnknownNameError

SHAPE = (64, 2)


@pytest.mark.parametrize("name", CLASSIFIERS.names())
def test_file_keeps_every_bit(name: str, tmp_path: Path) -> None:
    shape = (2048, 2) if name == "chb-mit-cnn" else SHAPE
    spec = ClassifierSpec(name, shape, 6, 5)
    model = create(name, shape, 6, 5, seed=3).eval()
    save_classifier(model, spec, tmp_path / "a.safetensors")
    again, read = load_classifier(tmp_path / "a.safetensors")
    save_classifier(again, read, tmp_path / "b.safetensors")
    assert read == spec
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    signal, rhythm = torch.randn(4, 2, shape[0]), torch.randn(4, 6)
    assert torch.equal(logits_of(model, signal, rhythm), logits_of(again, signal, rhythm))


def test_seed_decides_and_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    first, second, other = (create("r1", SHAPE, 0, 5, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first.conv1.weight, second.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_r1_has_its_known_size() -> None:
    model = create("r1", (256, 1), 0, 5, seed=0)
    counted = 0

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal counted
        positions = output.shape[2] if output.ndim == 3 else 1
        counted += layer.weight.numel() * positions

    for layer in model.modules():
        if isinstance(layer, nn.Conv1d | nn.Linear):
            layer.register_forward_hook(count)
    assert model(torch.zeros(1, 1, 256)).shape == (1, 5)
    assert counted == 866_624


def test_narrowed_network_is_rebuilt(tmp_path: Path) -> None:
    model = create("r1", SHAPE, 0, 5, seed=0)
    widths = {width.layer: width for width in layer_widths(model)}
    narrower = tuple(
        type(width)(
            width.layer,
            8 if width.layer in ("conv3", "norm2") else width.inputs,
            8 if width.layer in ("conv2", "norm2") else width.outputs,
            width.groups,
        )
        for width in widths.values()
    )
    resize(model, narrower)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    save_classifier(model.eval(), ClassifierSpec("r1", SHAPE, 0, 5), tmp_path / "a.safetensors")
    again, _ = load_classifier(tmp_path / "a.safetensors")
    assert layer_widths(again) == narrower
    signal = torch.randn(3, 2, 64)
    assert torch.equal(model(signal), again(signal))


def test_nan_is_refused_by_name(tmp_path: Path) -> None:
    model = create("r1", SHAPE, 0, 5, seed=0)
    with torch.no_grad():
        model.conv2.weight[0, 0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"conv2\.weight \(1 of 2560 values\)"):
        save_classifier(model, ClassifierSpec("r1", SHAPE, 0, 5), tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"not a safetensors file at all", b"\x08" + b"\0" * 40])
def test_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_classifier(path)
    assert caught.value.where == str(path)


def test_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'residual-ecg'"):
        create("residual_ecg", SHAPE, 6, 5, seed=0)
