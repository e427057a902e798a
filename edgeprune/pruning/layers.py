"""Layer pruning: residual blocks, and layers that keep the shape, become the identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from edgeprune.classifiers.blocks import Block, find_blocks, remove_block
from edgeprune.classifiers.replacements import replacements
from edgeprune.config import PruningSettings
from edgeprune.errors import ConfigurationError
from edgeprune.pruning.criteria import BLOCK, CRITERIA, Criterion, channel_scores
from edgeprune.pruning.edits import BlockRemoval, apply
from edgeprune.pruning.materials import Materials


def remove_blocks(
    model: nn.Module, edits: Sequence[BlockRemoval], example: tuple[Tensor, ...]
) -> None:
    """Make blocks the identity, in place."""
    for edit in edits:
        remove_block(model, edit.block, example)


def block_candidates(
    model: nn.Module, materials: Materials, settings: PruningSettings
) -> tuple[BlockRemoval, ...]:
    """Return the blocks that can become the identity, in the order in which they should.

    An importance of blocks is asked anew after each block, since what one changes depends on the
    others; one of weights or channels is asked once. There is one order for all: `scope` plays no
    part.

    Args:
        model: The classifier.
        materials: What the importance may look at.
        settings: The importance.

    Raises:
        UnknownNameError: No importance has that name.
        ConfigurationError: Nothing can become the identity; what stands in the way is said.
    """
    criterion = CRITERIA.get(settings.importance, where="pruning.importance")
    search = find_blocks(model, materials.example)
    if not search.blocks:
        if any(entry.kind == "without" for entry in replacements(model)):
            return ()
        why = "; ".join(f"{name}: {reason}" for name, reason in search.refused)
        raise ConfigurationError(
            "the classifier has no residual block and no layer that keeps the shape, so that none "
            f"can become the identity ({why or 'it has one layer'})",
            where="pruning.method",
            hint='take pruning.method "channel", or a classifier with residual blocks: '
            '"residual-ecg"',
        )
    if criterion.grain != BLOCK:
        scores = block_scores(criterion, model, search.blocks, materials)
        ranked = sorted(search.blocks, key=lambda block: scores[block.name])
        return tuple(BlockRemoval(block.name, scores[block.name]) for block in ranked)
    names = {block.key: block.name for block in search.blocks}
    chosen: list[BlockRemoval] = []
    while names:
        current = apply(model, chosen, materials.example)
        scores = criterion(current, tuple(names), materials)
        least = min(names, key=lambda key: scores[key])
        chosen.append(BlockRemoval(names.pop(least), float(scores[least])))
    return tuple(chosen)


def block_scores(
    criterion: Criterion, model: nn.Module, blocks: Sequence[Block], materials: Materials
) -> Mapping[str, float]:
    """Return the score of each block by its name: the mean over its layers' mean channels.

    Not the sum, which would rank blocks by their size.

    Args:
        criterion: Of any grain.
        model: The classifier.
        blocks: What can become the identity.
        materials: What the criterion may look at.
    """
    if criterion.grain == BLOCK:
        found: Mapping[str, float] = criterion(model, [block.name for block in blocks], materials)
        return found
    layers = [layer for block in blocks for layer in block.layers]
    of_channels = channel_scores(criterion, model, layers, materials)
    means = {layer: float(score.double().mean()) for layer, score in of_channels.items()}
    return {
        block.name: sum(means[layer] for layer in block.layers) / len(block.layers)
        for block in blocks
    }
