"""Low rank: factors are the best ones, condition numbers keep their limit, training included."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from edgeprune.classifiers import (
    ClassifierSpec,
    create,
    example_inputs,
    load_classifier,
    save_classifier,
    takes_rhythm,
)
from edgeprune.classifiers.factored import Conditioned, Factored, conditioned, matrix_of
from edgeprune.classifiers.structure import Layer
from edgeprune.config import PruningSettings, TrainingSettings
from edgeprune.errors import ConfigurationError, ModelError
from edgeprune.progress import Silent
from edgeprune.pruning import count, prune, replay
from edgeprune.pruning.edits import apply
from edgeprune.pruning.low_rank import Factors, rank_candidates
from edgeprune.pruning.materials import Materials
from edgeprune.quantization import to_float_onnx
from edgeprune.training import train
from tests.classifiers.blocks_of_users import dense, inline
from tests.small_windows import FRONT_END, small_windows

SETTINGS = PruningSettings(method="low-rank", ratio=0.4, steps=2)
LIMIT = 1.5
LIMITED = replace(SETTINGS, condition_limit=LIMIT)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def materials(model: nn.Module) -> Materials:
    generator = torch.Generator().manual_seed(3)
    signal = torch.randn(6, 1, 32, generator=generator)
    inputs = (signal, torch.randn(6, 2, generator=generator))[: 1 + takes_rhythm(model)]
    return Materials(example_inputs(model, (32, 1), 2), inputs, torch.zeros(6, dtype=torch.int64))


def residual() -> nn.Module:
    return create("residual-ecg-small", (32, 1), 2, 3, seed=1).eval()


def r1() -> nn.Module:
    return create("r1", (32, 1), 2, 3, seed=1).eval()


def untouched(model: nn.Module, _: int) -> nn.Module:
    return model


def condition_numbers(model: nn.Module) -> list[float]:
    """Return the condition number of every layer but the logits', those of two layers as one."""
    found = []
    inside: set[nn.Module] = set()
    for module in model.modules():
        if isinstance(module, Factored | Conditioned):
            inside |= set(module.children())
            matrix = module.matrix().numpy()
            rank = module.rank if isinstance(module, Factored) else min(matrix.shape)
        elif isinstance(module, Layer) and module not in inside:
            matrix = matrix_of(module).numpy()
            rank = min(matrix.shape)
        else:
            continue
        sizes = np.linalg.svd(matrix, compute_uv=False)
        found.append(float(sizes[0] / sizes[rank - 1]))
    return found[:-1]


@pytest.mark.parametrize("limit", [1.0, 1.1, 1.5, 4.0])
def test_limited_singular_values_are_the_nearest(limit: float) -> None:
    generator = np.random.default_rng(1)
    for size in (1, 2, 3, 8):
        values = np.sort(generator.gamma(1.0, 1.0, size))[::-1].copy()
        found = conditioned(torch.from_numpy(values), limit).numpy()
        assert found[0] <= limit * found[-1] * (1 + 1e-12)

        def distance(level: float, values: np.ndarray = values) -> float:
            return float(((values.clip(level, limit * level) - values) ** 2).sum())

        best = minimize_scalar(
            distance, bounds=(0, values[0]), method="bounded", options={"xatol": 1e-10}
        )
        assert ((found - values) ** 2).sum() <= best.fun + 1e-12
    untouched_ones = torch.tensor([3.0, 2.5])
    assert torch.equal(conditioned(untouched_ones, limit), untouched_ones) == (limit >= 1.2)
    assert torch.equal(conditioned(torch.tensor([9.0, 0.0]), 0), torch.tensor([9.0, 0.0]))


@pytest.mark.parametrize(
    ("layer", "shape", "rank"),
    [
        (nn.Conv1d(4, 8, 3, stride=2, padding=1, dilation=2), (2, 4, 20), 8),
        (nn.Conv1d(6, 5, 3, padding=1, padding_mode="circular", bias=False), (2, 6, 9), 5),
        (nn.Conv2d(2, 6, (3, 2), stride=(2, 1)), (2, 2, 9, 8), 6),
        (nn.Linear(7, 5), (2, 7), 5),
    ],
)
def test_full_rank_without_a_limit_is_the_same_function(
    layer: Layer, shape: tuple[int, ...], rank: int
) -> None:
    value = torch.randn(*shape)
    assert torch.allclose(Factored(layer, rank, 0.0)(value), layer(value), atol=2e-6)
    assert torch.allclose(Factored(layer, rank, 0.0).joined()(value), layer(value), atol=2e-6)
    assert torch.allclose(Conditioned(layer, 1e9)(value), layer(value), atol=1e-6)
    # No matrix of a lower rank is nearer (Eckart and Young).
    matrix = matrix_of(layer)
    left_over = matrix - Factored(layer, 2, 0.0).matrix()
    sizes = torch.linalg.svdvals(matrix)
    assert float(left_over.norm()) == pytest.approx(float(sizes[2:].norm()), rel=1e-5)


@pytest.mark.parametrize(
    ("make", "limit"), [(residual, LIMIT), (r1, 0.0), (inline, 0.0), (dense, LIMIT)]
)
def test_ratio_is_reached_and_what_was_saved_loads(
    make: type[nn.Module], limit: float, tmp_path: Path
) -> None:
    model = make()
    given = materials(model)
    settings = replace(SETTINGS, condition_limit=limit)
    result = prune(model, given, settings, untouched, Silent())
    assert 0.4 <= 1 - result.after.remaining / result.before.remaining < 0.5
    assert result.after.multiply_accumulates < result.before.multiply_accumulates
    if limit:
        assert max(condition_numbers(result.model)) <= LIMIT * (1 + 1e-5)
    logits = result.model(*given.inputs)
    again = replay(model, result.steps, given.example)
    assert torch.equal(again(*given.inputs), logits)
    known = {residual: "residual-ecg-small", r1: "r1"}
    name = known.get(make, f"{make.__module__}:{make.__name__}")
    path = tmp_path / "classifier.safetensors"
    save_classifier(result.model, ClassifierSpec(name, (32, 1), 2, 3), path)
    loaded, _ = load_classifier(path, user_classifier=name)
    assert torch.equal(loaded(*given.inputs), logits)


def test_every_rank_offered_is_smaller_than_what_it_replaces() -> None:
    model = residual()
    given = materials(model)
    before = count(model, given.example)
    candidates = rank_candidates(model, given, SETTINGS)
    last: dict[str, int] = {}
    for edit in candidates.ranks:
        assert edit.rank < last.get(edit.layer, 99)
        last.setdefault(edit.layer, edit.rank)
    assert "dense" not in last
    for layer, rank in last.items():
        edited = apply(model, (Factors(layer, rank, 0.0, 0.0),), given.example)
        assert count(edited, given.example).parameters < before.parameters
        assert count(edited, given.example).multiply_accumulates < before.multiply_accumulates
        wider = apply(model, (Factors(layer, rank + 1, 0.0, 0.0),), given.example)
        assert count(wider, given.example).parameters >= before.parameters


def test_global_order_loses_the_same_share_of_all_layers_and_local_the_same_ranks() -> None:
    model = residual()
    with torch.no_grad():
        layer = model.joint.weight
        layer.copy_(torch.outer(layer[:, 0], layer[0]) + 1e-3 * layer)
    given = materials(model)
    first = rank_candidates(model, given, SETTINGS).first(15)
    assert [edit.layer for edit in first] == ["joint"]
    local = rank_candidates(model, given, replace(SETTINGS, scope="local")).first(40)
    assert len({edit.layer for edit in local}) > 5
    limited = apply(model, rank_candidates(model, given, LIMITED).first(15), given.example)
    attacked = replace(given, attack=lambda _: lambda m: m(*given.inputs).square().mean())
    ordered = rank_candidates(limited, attacked, replace(LIMITED, scope="sensitivity"))
    assert len({edit.layer for edit in ordered.ranks}) > 5


def test_limit_holds_through_training_and_the_optimizer_keeps_its_directions() -> None:
    model = residual()
    given = materials(model)
    pruned = prune(model, given, LIMITED, untouched, Silent()).model
    training = TrainingSettings(
        epochs=1, epoch_steps=4, batch_size=16, learning_rate=1e-2, threads=1, teachers=0
    )
    windows = small_windows(40, seed=1)
    result = train(pruned, windows, windows, FRONT_END, training, 9, Silent())
    assert max(condition_numbers(result.model)) <= LIMIT * (1 + 1e-4)
    assert not torch.equal(result.model(*given.inputs), pruned(*given.inputs))
    layer = Factored(nn.Linear(9, 7), 4, LIMIT)
    with torch.no_grad():
        layer.expand.weight += 0.02 * torch.randn(7, 4)
    before: Tensor = layer.expand.weight.detach().clone()
    left, sizes, right = torch.linalg.svd(layer.matrix(), full_matrices=False)
    wanted = left[:, :4] * conditioned(sizes[:4], LIMIT) @ right[:4]
    layer.hold()
    assert torch.allclose(layer.matrix(), wanted, atol=1e-6)
    assert (layer.expand.weight - before).norm() < 0.2 * before.norm()


def test_two_layers_are_two_in_the_graph() -> None:
    model = r1()
    given = materials(model)
    edited = apply(model, (Factors("conv3", 5, 0.0, 0.0),), given.example)
    nodes = [node.name for node in to_float_onnx(edited, (32, 1), 2).graph.node]
    assert "conv3.reduce" in nodes
    assert "conv3.expand" in nodes
    again = apply(edited, (Factors("conv3", 2, 0.0, 0.0),), given.example)
    assert again.conv3.rank == 2
    best = Factored(model.conv3, 2, 0.0).matrix()
    assert torch.allclose(again.conv3.matrix(), best, atol=1e-5)


def test_what_has_no_such_rank_is_refused() -> None:
    model = r1()
    given = materials(model)
    for layer, rank in (("conv9", 2), ("pool", 1), ("conv3", 99)):
        with pytest.raises(ModelError, match="a rank of"):
            apply(model, (Factors(layer, rank, 0.0, 0.0),), given.example)
    with pytest.raises(ConfigurationError, match="condition number of 0.5"):
        rank_candidates(model, given, replace(SETTINGS, condition_limit=0.5))


def test_pruned_in_many_ways_one_after_the_other_it_still_loads(tmp_path: Path) -> None:
    model = r1()
    given = materials(model)
    for method in ("low-rank", "layer", "channel"):
        settings = PruningSettings(method=method, ratio=0.1, steps=1, channel_multiple=1)
        model = prune(model, given, settings, untouched, Silent()).model
    path = tmp_path / "classifier.safetensors"
    save_classifier(model, ClassifierSpec("r1", (32, 1), 2, 3), path)
    loaded, _ = load_classifier(path)
    assert torch.equal(loaded(*given.inputs), model(*given.inputs))
    # A layer that gets its channels after it was built may have fewer than the rank.
    built = Factored.build(nn.Linear(7, 2), {"rank": 5, "limit": 0.0})
    assert built(torch.zeros(1, 7)).shape == (1, 2)
