"""What pruning does to a classifier, as edits that can be written down and repeated.

Every edit is a frozen dataclass of names, numbers and arrays, so that a history of them replays a
pruning. To add a kind: write the dataclass below `Edit` (anywhere in this package), a function
`f(model, edits, example)` that does all of them to `model` in place, and add its line to `EDITS`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgeprune.classifiers.structure import Layer
from edgeprune.errors import ModelError
from edgeprune.late import late
from edgeprune.registry import Registry

Int64Array = NDArray[np.int64]
Float32Array = NDArray[np.float32]
Example = tuple[Tensor, ...]


class Edit:
    """One piece of a pruning; its fields are strings, numbers, tuples of them, and arrays.

    Attributes:
        kind: Its name in `EDITS`.
        importance: How little the network should mind, by the criterion that chose it.
    """

    kind: ClassVar[str]
    importance: float


@dataclass(frozen=True)
class Removal(Edit):
    """Channels that are removed together.

    Attributes:
        layer: Qualified name of the layer whose outputs they are (of several tied ones, the first).
        channels: Their numbers in the network they are removed from, ascending.
        importance: Mean importance of the channels; 1 is the mean of their layer.
    """

    kind: ClassVar[str] = "channels"
    layer: str
    channels: tuple[int, ...]
    importance: float


@dataclass(frozen=True)
class BlockRemoval(Edit):
    """A residual block, or a layer that keeps the shape, which becomes the identity.

    Attributes:
        block: Qualified name of the block or layer.
        importance: Its score.
    """

    kind: ClassVar[str] = "block"
    block: str
    importance: float


@dataclass(frozen=True, eq=False)
class ZeroedWeights(Edit):
    """Weights, or whole kernels, that become zero and stay so.

    Attributes:
        layer: Qualified name of the layer.
        positions: Places in `layer.weight.flatten()`, ascending, int64 [k].
        importance: Mean score of the weights.
    """

    kind: ClassVar[str] = "zeros"
    layer: str
    positions: Int64Array
    importance: float


@dataclass(frozen=True, eq=False)
class NewWeights(Edit):
    """Other values for the weights of a layer; what is zero in them stays zero.

    Attributes:
        layer: Qualified name of the layer, or of a normalization.
        weight: In the shape of `layer.weight`, float32.
        bias: Float32 [outputs]; None leaves the bias as it is.
        importance: Not used; 0.
    """

    kind: ClassVar[str] = "weights"
    layer: str
    weight: Float32Array
    bias: Float32Array | None = None
    importance: float = 0.0


@dataclass(frozen=True)
class EditKind:
    """One kind of edit and where it is made true.

    Attributes:
        name: Its name in `EDITS` and in a history.
        edit: "module:Class" within this package.
        change: "module:function" within this package, `f(model, edits, example) -> None`: does all
            edits of the kind to `model` in place; their numbers are those of `model` as given.
    """

    name: str
    edit: str
    change: str

    def edit_class(self) -> type[Edit]:
        """Return the dataclass."""
        found: type[Edit] = late("edgeprune.pruning", self.edit)
        return found

    def do(self, model: nn.Module, edits: Sequence[Edit], example: Example) -> None:
        """Do edits of this kind to `model`, in place."""
        late("edgeprune.pruning", self.change)(model, edits, example)


# In the order in which kinds are applied: values first, then what renames or resizes layers.
_KINDS = (
    EditKind("weights", "edits:NewWeights", "edits:set_weights"),
    EditKind("zeros", "edits:ZeroedWeights", "edits:set_zeros"),
    EditKind("channels", "edits:Removal", "channels:cut_channels"),
    EditKind("factors", "low_rank:Factors", "low_rank:factor_layers"),
    EditKind("block", "edits:BlockRemoval", "layers:remove_blocks"),
    EditKind("graft", "grafting:GraftedChannels", "grafting:graft_channels"),
)
EDITS: Registry[EditKind] = Registry("pruning edit", **{kind.name: kind for kind in _KINDS})


def apply(model: nn.Module, edits: Sequence[Edit], example: Example) -> nn.Module:
    """Return a copy of a classifier with all edits done at once.

    Args:
        model: The classifier; it is not changed.
        edits: In any order; all names and numbers are those of `model`.
        example: Inputs to call it with.

    Raises:
        ModelError: The edits are of another classifier.
        UnknownNameError: There is no such kind of edit.
    """
    changed = copy.deepcopy(model)
    for edit in edits:
        EDITS.get(edit.kind, where="pruning history")
    for kind in _KINDS:
        chosen = [edit for edit in edits if edit.kind == kind.name]
        if chosen:
            kind.do(changed, chosen, example)
    for parameter in changed.parameters():
        parameter.grad = None
    return changed


def layer_of(model: nn.Module, name: str) -> Layer:
    """Return the convolution or dense layer of that name.

    Raises:
        ModelError: There is none.
    """
    layer = dict(model.named_modules()).get(name)
    if not isinstance(layer, Layer):
        raise ModelError(
            f"the classifier has no layer '{name}' with weights",
            where=name,
            hint="replay a history on the network it was made from",
        )
    return layer


@torch.no_grad()
def set_zeros(model: nn.Module, edits: Sequence[ZeroedWeights], example: Example) -> None:
    """Make weights zero, in place."""
    for edit in edits:
        weight = layer_of(model, edit.layer).weight
        if len(edit.positions) and int(edit.positions.max()) >= weight.numel():
            raise _misfit(edit.layer)
        weight.reshape(-1)[torch.from_numpy(np.ascontiguousarray(edit.positions))] = 0


@torch.no_grad()
def set_weights(model: nn.Module, edits: Sequence[NewWeights], example: Example) -> None:
    """Give layers other values, in place."""
    modules = dict(model.named_modules())
    for edit in edits:
        found: Any = modules.get(edit.layer)
        normalizes = isinstance(found, nn.BatchNorm1d | nn.BatchNorm2d)
        layer = found if normalizes else layer_of(model, edit.layer)
        pairs = [(layer.weight, edit.weight)]
        if edit.bias is not None:
            if layer.bias is None:
                raise _misfit(edit.layer)
            pairs.append((layer.bias, edit.bias))
        for parameter, values in pairs:
            if tuple(parameter.shape) != values.shape:
                raise _misfit(edit.layer)
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def _misfit(layer: str) -> ModelError:
    return ModelError(
        f"the edit does not fit the weights of '{layer}'",
        where=layer,
        hint="replay a history on the network it was made from",
    )


@torch.no_grad()
def held_zeros(model: nn.Module) -> dict[str, Tensor]:
    """Return which weights of a pruned classifier are to stay zero: all that are.

    Biases and normalizations are not among them.

    Returns:
        Name of the parameter to a bool tensor of its shape; layers without a zero are left out.
    """
    return {
        f"{name}.weight": layer.weight == 0
        for name, layer in model.named_modules()
        if isinstance(layer, Layer) and bool((layer.weight == 0).any())
    }
