"""Blocks are found in any module tree, and without one a network computes what it should."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgeprune.classifiers import (
    ClassifierSpec,
    create,
    load_classifier,
    save_classifier,
    takes_rhythm,
)
from edgeprune.classifiers.blocks import find_blocks, remove_block
from edgeprune.classifiers.replacements import replacements
from edgeprune.errors import ModelError
from tests.classifiers import blocks_of_users
from tests.classifiers.blocks_of_users import dense, inline, unwilling

SHAPE = (32, 1)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def known(name: str) -> nn.Module:
    model = create(name, SHAPE, 2, 3, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.weight.data.uniform_(0.2, 2, generator=generator)
            layer.bias.data.uniform_(-0.5, 0.5, generator=generator)
    return model


def inputs(model: nn.Module) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    signal, rhythm = (torch.randn(*s, generator=generator) for s in ((5, 1, 32), (5, 2)))
    return (signal, rhythm) if takes_rhythm(model) else (signal,)


def without(model: nn.Module, *names: str) -> nn.Module:
    smaller = copy.deepcopy(model)
    for name in names:
        remove_block(smaller, name, inputs(model))
    return smaller


def names(model: nn.Module) -> list[str]:
    return [block.name for block in find_blocks(model, inputs(model)).blocks]


@pytest.mark.parametrize("block", ["block1", "block2", "block3"])
def test_residual_block_that_adds_nothing_is_its_shortcut(block: str) -> None:
    model = known("residual-ecg")
    assert names(model) == ["block1", "block2", "block3"]
    smaller = without(model, block)
    # Its convolutions are gone, and with a proof the ReLU behind the sum too.
    assert not list(smaller.get_submodule(block).named_modules())[1:]
    assert "relu" not in smaller.get_submodule(block).code
    assert names(smaller) == [name for name in names(model) if name != block]
    for tensor in model.get_submodule(f"{block}.second.norm").parameters():
        tensor.data.zero_()
    assert torch.equal(smaller(*inputs(model)), model(*inputs(model)))


def test_blocks_within_one_forward_keep_shortcut_and_a_rectifier_that_matters() -> None:
    model = inline()
    signal = inputs(model)[0]
    search = find_blocks(model, (signal,))
    assert [(b.name, b.layers) for b in search.blocks] == [
        ("one", ("one",)),
        ("right", ("left", "right")),
    ]
    stem = model.stem(signal)
    assert (stem < 0).any()
    whole = model.act(stem + model.norm(model.one(stem)))

    def head(value: Tensor) -> Tensor:
        logits: Tensor = model.dense(value.relu().mean(2))
        return logits

    branch = model.right(model.left(stem.relu()).relu())
    only_second = head(branch + model.down(stem.relu()))
    assert torch.allclose(without(model, "one")(signal), only_second, atol=1e-6)
    assert torch.allclose(without(model, "right")(signal), head(model.down(whole)), atol=1e-6)
    neither = without(model, "right", "one")
    assert torch.allclose(neither(signal), head(model.down(stem.relu())), atol=1e-6)
    assert set(dict(neither.named_modules())) == {"", "stem", "down", "act", "dense"}


def test_plain_layer_goes_with_its_normalization_and_rectifier() -> None:
    model = known("r1")
    assert names(model) == ["conv3"]
    (signal,) = inputs(model)
    value = model.norm1(model.conv1(signal)).relu()
    value = model.pool(model.pool(model.norm2(model.conv2(value)).relu()))
    value = model.norm4(model.conv4(value)).relu()
    smaller = without(model, "conv3")
    assert torch.equal(smaller(signal), model.dense(model.mean(value).flatten(1)))
    assert not hasattr(smaller, "conv3")
    assert not hasattr(smaller, "norm3")
    plain = dense()
    assert names(plain) == ["3", "5"]
    hidden = plain[2](plain[1](signal.flatten(1)))
    assert torch.equal(without(plain, "3", "5")(signal), plain[8](hidden))


def test_what_cannot_go_says_why() -> None:
    search = find_blocks(known("certifiable-ecg"), inputs(known("certifiable-ecg")))
    assert search.blocks == ()
    assert ("joint", "it makes 48 of 64") in search.refused
    model = unwilling()
    reasons = dict(find_blocks(model, inputs(model)).refused)
    assert find_blocks(model, inputs(model)).blocks == ()
    assert "called several times" in reasons["shared"]
    assert "in training" in reasons["moody"]
    assert "cannot be traced" in reasons["looking"]
    with pytest.raises(ModelError, match="no block 'stage1x'"):
        without(known("residual-ecg"), "stage1x")


@pytest.mark.parametrize(
    ("make", "gone"),
    [
        (lambda: known("residual-ecg"), ("block3", "block1")),
        (lambda: known("r1"), ("conv3",)),
        (inline, ("one", "right")),
        (inline, ("right", "one")),
        (dense, ("5", "3")),
    ],
)
def test_saved_without_blocks_it_loads_again(
    make: Callable[[], nn.Module], gone: tuple[str, ...], tmp_path: Path
) -> None:
    model = make()
    smaller = without(model, *gone)
    registered = {"ResidualEcg": "residual-ecg", "R1": "r1"}.get(type(model).__name__)
    name = registered or f"{blocks_of_users.__name__}:{getattr(make, '__name__', '')}"
    path = tmp_path / "classifier.safetensors"
    save_classifier(smaller, ClassifierSpec(name, SHAPE, 2, 3), path)
    loaded, _ = load_classifier(path, user_classifier=name)
    assert torch.equal(loaded(*inputs(model)), smaller(*inputs(model)))
    assert set(loaded.state_dict()) == set(smaller.state_dict()) < set(model.state_dict())
    assert replacements(loaded) == replacements(smaller)
    for again in (copy.deepcopy(smaller), pickle.loads(pickle.dumps(smaller))):
        assert replacements(again) == replacements(smaller)
        assert torch.equal(again(*inputs(model)), smaller(*inputs(model)))
        assert not any(module.training for module in again.modules())
        assert pickle.dumps(again)
