"""Layer pruning: distances against textbooks, the consensus, and what is left when blocks go."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes, subspace_angles
from torch import nn

from edgeprune.classifiers import create, example_inputs, takes_rhythm
from edgeprune.classifiers.blocks import find_blocks
from edgeprune.config import PruningSettings, QuantizationSettings
from edgeprune.errors import ConfigurationError
from edgeprune.progress import Silent
from edgeprune.pruning import count, prune, replay
from edgeprune.pruning.criteria import BLOCK, CRITERIA
from edgeprune.pruning.criteria.consensus import representation
from edgeprune.pruning.layers import block_candidates, block_scores
from edgeprune.pruning.materials import Materials
from edgeprune.pruning.similarity import DISTANCES
from edgeprune.quantization import quantize, to_float_onnx
from tests.classifiers.blocks_of_users import dense, inline
from tests.small_windows import FRONT_END, small_windows

FloatArray = NDArray[np.float64]
SETTINGS = PruningSettings(method="layer", ratio=0.1, steps=1)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def materials(model: nn.Module, count_: int = 30) -> Materials:
    generator = torch.Generator().manual_seed(3)
    signal = torch.randn(count_, 1, 32, generator=generator)
    inputs = (signal, torch.randn(count_, 2, generator=generator))[: 1 + takes_rhythm(model)]
    labels = (signal[:, 0, :8].sum(1) > 0).long() + (signal[:, 0, 8:16].sum(1) > 0).long()
    return Materials(example_inputs(model, (32, 1), 2), inputs, labels)


def residual() -> nn.Module:
    return create("residual-ecg-small", (32, 1), 2, 3, seed=1).eval()


def representations(seed: int, features: int = 5) -> tuple[FloatArray, FloatArray]:
    generator = np.random.default_rng(seed)
    one = generator.normal(0.3, 1, (30, features))
    return one, one @ generator.normal(0, 1, (features, features)) + generator.normal(
        0, 0.5, (30, features)
    )


def test_kernel_alignment_is_that_of_the_independence_criterion() -> None:
    one, other = representations(1)
    centring = np.eye(30) - 1 / 30

    def criterion(kernel: FloatArray, second: FloatArray) -> float:
        return float(np.trace(kernel @ centring @ second @ centring)) / 29**2

    kernels = one @ one.T, other @ other.T
    expected = criterion(*kernels) / math.sqrt(
        criterion(kernels[0], kernels[0]) * criterion(kernels[1], kernels[1])
    )
    assert DISTANCES.get("cka")(one, other) == pytest.approx(1 - expected)


def test_angles_are_the_least_over_what_they_do_not_mind() -> None:
    one, other = (value - value.mean(0) for value in representations(2))

    def angle(aligned: FloatArray) -> float:
        norms = np.linalg.norm(aligned) * np.linalg.norm(other)
        return math.acos(float((aligned * other).sum() / norms))

    orders = itertools.permutations(range(5))
    least = min(angle(one[:, list(order)]) for order in orders)
    assert DISTANCES.get("permutation")(one, other) == pytest.approx(least)
    rotation, _ = orthogonal_procrustes(one, other)
    assert DISTANCES.get("rotation")(one, other) == pytest.approx(angle(one @ rotation))
    # What is left under any linear map is what the spanned subspaces' angles say.
    canonical = np.cos(subspace_angles(one, other))
    assert DISTANCES.get("linear")(one, other) == pytest.approx(math.acos(canonical.sum() / 5))


def test_wasserstein_distance_is_the_mean_gap_of_sorted_values() -> None:
    one, other = representations(3)
    gap = np.abs(np.sort(one.ravel()) - np.sort(other.ravel())).mean()
    assert DISTANCES.get("wasserstein")(one, other) == pytest.approx(gap)


@pytest.mark.parametrize("name", list(DISTANCES))
def test_equal_representations_are_not_apart_and_dead_ones_are(name: str) -> None:
    one, other = representations(4)
    distance = DISTANCES.get(name)
    assert distance(one, one.copy()) == pytest.approx(0, abs=1e-6)
    assert distance(one, other) > 0.01
    assert distance(one, np.zeros_like(one)) > 0.5
    assert distance(np.zeros_like(one), np.zeros_like(one)) == 0


def test_block_that_adds_nothing_goes_first_by_consensus() -> None:
    model = residual()
    for tensor in model.block2.second.norm.parameters():
        tensor.data.zero_()
    given = materials(model, 60)  # more than features: fewer fit each other linearly, whatever
    settings = PruningSettings(method="layer", importance="consensus")
    first, second, third = block_candidates(model, given, settings)
    assert first.block == "block2"
    assert first.importance == len(DISTANCES)  # first by every distance
    assert {second.block, third.block} == {"block1", "block3"}
    # Asked anew without block2, of two: ranks 1 and 2.
    assert len(DISTANCES) <= second.importance <= 1.5 * len(DISTANCES)
    assert third.importance == len(DISTANCES)
    read: list[torch.Tensor] = []
    handle = model.dense.register_forward_hook(lambda _, inputs, __: read.append(inputs[0]))
    model(*given.inputs)
    handle.remove()
    assert np.allclose(representation(model, given), read[0].detach(), atol=1e-6)


def test_every_criterion_ranks_blocks() -> None:
    model = residual()
    given = materials(model)
    for name in CRITERIA:
        settings = PruningSettings(method="layer", importance=name)
        order = block_candidates(model, given, settings)
        assert {edit.block for edit in order} == {"block1", "block2", "block3"}
        scores = [edit.importance for edit in order]
        assert all(math.isfinite(score) and score >= 0 for score in scores)
        if CRITERIA.get(name).grain != BLOCK:
            assert scores == sorted(scores)


def test_block_score_is_the_mean_channel_whatever_the_size() -> None:
    model = inline()
    blocks = find_blocks(model, materials(model).example).blocks
    scores = block_scores(CRITERIA.get("l1"), model, blocks, materials(model))
    sums = [
        model.get_submodule(name).weight.detach().abs().flatten(1).sum(1)
        for name in ("left", "right")
    ]
    expected = torch.stack([value.mean() for value in sums]).mean()
    assert scores["right"] == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("make", [residual, inline, dense])
def test_ratio_is_reached_and_replayable(make: type[nn.Module]) -> None:
    model = make()
    given = materials(model)
    result = prune(model, given, SETTINGS, lambda pruned, _: pruned, Silent())
    assert result.after.remaining <= 0.9 * result.before.remaining
    assert result.after.multiply_accumulates < result.before.multiply_accumulates
    again = replay(model, result.steps, given.example)
    assert torch.equal(again(*given.inputs), result.model(*given.inputs))


def test_network_without_removable_layers_says_what_stands_in_the_way() -> None:
    model = create("certifiable-ecg", (32, 1), 2, 3, seed=1)
    with pytest.raises(ConfigurationError, match=r"convolutions.0: it makes 16 x 13 of 1 x 32"):
        prune(model, materials(model), SETTINGS, lambda pruned, _: pruned, Silent())
    with pytest.raises(ConfigurationError, match="the smallest reached is"):
        prune(
            residual(),
            materials(residual()),
            PruningSettings(method="layer", ratio=0.95),
            lambda pruned, _: pruned,
            Silent(),
        )


def test_network_without_blocks_becomes_integers_and_is_counted() -> None:
    model = residual()
    given = materials(model)
    settings = PruningSettings(method="layer", ratio=0.25, steps=1, importance="consensus")
    result = prune(model, given, settings, lambda pruned, _: pruned, Silent())
    gone = {edit.block for step in result.steps for edit in step.edits}
    blocks = find_blocks(model, given.example).blocks
    layers = {layer for block in blocks if block.name in gone for layer in block.layers}
    modules = dict(model.named_modules())
    lost = sum(modules[name].weight.numel() + len(modules[name].weight) for name in layers)
    assert count(model, given.example).parameters - result.after.parameters == lost
    graph = to_float_onnx(result.model, (32, 1), 2)
    assert not any(node.name.startswith(tuple(gone)) for node in graph.graph.node)
    plain = QuantizationSettings(calibration_windows=32, search=False, correct_biases=False)
    network = quantize(graph, small_windows(32, 1), FRONT_END, plain, Silent(), seed=1)
    convolutions = [node for node in network.model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 9 - len(layers)
