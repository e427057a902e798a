"""Low rank: layers become two thinner ones, with a limit on their condition number.

After CondLR (Savostianova, Zangrando, Ceruti and Tudisco, NeurIPS 2023), who train factors
U S V^T with orthonormal U and V and keep the condition number of S within tau: small singular
values make a network sensitive. Here the factors of a trained network are taken, a rank for each
layer from one order for all [our reading], and fine-tuning projects them back after each step. The
limit is on the weights themselves; a normalization behind a layer scales its outputs anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgeprune.classifiers.factored import Conditioned, Factored, matrix_of
from edgeprune.classifiers.replacements import put_module
from edgeprune.classifiers.structure import Layer, layers_in_use
from edgeprune.config import PruningSettings
from edgeprune.errors import ConfigurationError, ModelError
from edgeprune.pruning.edits import Edit
from edgeprune.pruning.materials import Materials
from edgeprune.pruning.scopes import paces_of


@dataclass(frozen=True)
class Factors(Edit):
    """A layer gets a lower rank, as two layers where these are smaller; or only a limit.

    Attributes:
        layer: Qualified name of the layer.
        rank: Singular values kept; 0 keeps all, in one layer.
        limit: Largest condition number; 0 for none.
        importance: Share of the layer's squared weights that is lost with the others.
    """

    kind: ClassVar[str] = "factors"
    layer: str
    rank: int
    limit: float
    importance: float


def factor_layers(model: nn.Module, edits: Sequence[Factors], example: tuple[Tensor, ...]) -> None:
    """Give layers their ranks and limits, in place.

    Raises:
        ModelError: A layer does not exist, cannot be factored or has no such rank.
    """
    for edit in edits:
        module = dict(model.named_modules()).get(edit.layer)
        if not _factorable(module) or edit.rank > _full_rank(_matrix(module)):
            raise ModelError(
                f"'{edit.layer}' is no layer that can be given a rank of {edit.rank}",
                where=edit.layer,
                hint="replay a history on the network it was made from",
            )
        if isinstance(module, Factored):
            thinner = Factored(module.joined(), edit.rank or module.rank, edit.limit)
            put_module(model, edit.layer, thinner)
            continue
        layer = module.whole if isinstance(module, Conditioned) else module
        assert isinstance(layer, Layer)
        if edit.rank:
            put_module(model, edit.layer, Factored(layer, edit.rank, edit.limit))
        elif edit.limit:
            put_module(model, edit.layer, Conditioned(layer, edit.limit))


@dataclass(frozen=True)
class RankCandidates:
    """Ranks in the order in which layers should be brought down to them.

    Attributes:
        ranks: One edit for each layer and rank at which two layers are smaller than one.
        limits: What is done to every layer besides, however few go.
    """

    ranks: tuple[Factors, ...]
    limits: tuple[Factors, ...]

    def __len__(self) -> int:
        return len(self.ranks)

    def first(self, number: int) -> tuple[Factors, ...]:
        """Return one edit a layer: the lowest of the first ranks."""
        chosen = {edit.layer: edit for edit in self.limits}
        chosen |= {edit.layer: edit for edit in self.ranks[:number]}
        return tuple(chosen.values())


def rank_candidates(
    model: nn.Module, materials: Materials, settings: PruningSettings
) -> RankCandidates:
    """Return the ranks that layers can be brought down to, the least loss first.

    The loss is the share of a layer's squared singular values that go, so that a global order keeps
    the same share of every layer; other scopes go by the share of the ranks. The logits, and
    convolutions with groups, are left alone. `importance` plays no part.

    Args:
        model: The classifier.
        materials: For scopes that look at windows.
        settings: Scope and condition limit.

    Raises:
        UnknownNameError: No scope has that name.
        ConfigurationError: The limit is below 1.
    """
    limit = settings.condition_limit
    if 0 < limit < 1:
        raise ConfigurationError(
            f"no matrix has a condition number of {limit:g}",
            where="pruning.condition_limit",
            hint="1 or more (1.5), or 0 for no limit",
        )
    ranked: list[tuple[float, Factors]] = []
    limits: list[Factors] = []
    places = dict(_places(model, materials.example))
    weighted = {name: _weighted(name, module) for name, module in places.items()}
    paces = paces_of(settings, model, tuple(weighted.values()), materials)
    for name, module in places.items():
        energies = torch.linalg.svdvals(_matrix(module)).square()
        lost = 1 - energies.cumsum(0) / energies.sum().clamp_min(1e-300)
        if limit:
            rank = module.rank if isinstance(module, Factored) else 0
            limits.append(Factors(name, rank, limit, 0.0))
        most = _most_rank(module)
        for rank in range(most, 0, -1):
            loss = max(0.0, float(lost[rank - 1]))
            share = (most + 1 - rank) / (most + 1)
            key = loss if paces is None else share / paces[weighted[name]]
            ranked.append((key, Factors(name, rank, limit, loss)))
    ranked.sort(key=lambda entry: (entry[0], -entry[1].rank))
    return RankCandidates(tuple(edit for _, edit in ranked), tuple(limits))


def _places(model: nn.Module, example: tuple[Tensor, ...]) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers that can be factored, those that are already as one, by name."""
    used, _ = layers_in_use(model, example)
    inside: set[nn.Module] = {used[-1]}
    for name, module in model.named_modules():
        if module in inside or not _factorable(module):
            continue
        inside |= set(module.modules())
        if set(module.modules()) & set(used):
            yield name, module


def _weighted(name: str, module: nn.Module) -> str:
    """Return the name of the layer whose outputs are those of a place."""
    if isinstance(module, Factored):
        return f"{name}.expand"
    return f"{name}.whole" if isinstance(module, Conditioned) else name


def _factorable(module: nn.Module | None) -> bool:
    # A subclass may do anything with its weights.
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return type(module) in (nn.Conv1d, nn.Conv2d) and module.groups == 1
    return type(module) is nn.Linear or isinstance(module, Factored | Conditioned)


def _matrix(module: nn.Module | None) -> Tensor:
    if isinstance(module, Factored | Conditioned):
        return module.matrix()
    assert isinstance(module, Layer)
    return matrix_of(module)


def _full_rank(matrix: Tensor) -> int:
    return min(matrix.shape)


def _most_rank(module: nn.Module) -> int:
    """Return the largest rank at which two layers are smaller than what there is now."""
    if isinstance(module, Factored):
        return module.rank - 1
    outputs, inputs = _matrix(module).shape
    # A rank costs a row, a column and the bias of the first layer.
    return min(outputs, inputs, (outputs * inputs - 1) // (outputs + inputs + 1))
