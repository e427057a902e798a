"""Weights that pruning made zero stay exactly zero through a training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edgeprune.errors import ModelError


class HeldZeros:
    """Entries of parameters that do not take part in a training.

    An entry that starts at zero and never has a gradient is never moved: not by the optimizer,
    whose moments of it stay zero, nor by weight decay, proximal steps or averages, which scale it.
    So checkpoints need to know nothing of it.

    Args:
        model: The classifier that is trained; the entries are made zero in it.
        zeros: Bool tensors in the shape of the parameters, by the parameters' names.

    Raises:
        ModelError: There is no such parameter, or it has another shape.
    """

    def __init__(self, model: nn.Module, zeros: Mapping[str, Tensor]) -> None:
        parameters = dict(model.named_parameters())
        self._zeros = dict(zeros)
        self._held: list[tuple[nn.Parameter, Tensor]] = []
        for name, mask in zeros.items():
            if name not in parameters or parameters[name].shape != mask.shape:
                raise ModelError(
                    f"there is no parameter '{name}' of shape {list(mask.shape)} to keep zeros in",
                    where="training",
                    hint="take the zeros from the classifier that is trained",
                )
            with torch.no_grad():
                parameters[name].masked_fill_(mask, 0)
            self._held.append((parameters[name], mask))

    def silence(self) -> None:
        """Take the entries out of the gradients."""
        for parameter, mask in self._held:
            if parameter.grad is not None:
                parameter.grad.masked_fill_(mask, 0)

    def facts(self) -> list[str]:
        """Return what identifies the entries, for a fingerprint; nothing where there are none."""
        digest = hashlib.sha256()
        for name, mask in sorted(self._zeros.items()):
            digest.update(name.encode() + mask.contiguous().numpy().tobytes())
        return [digest.hexdigest()] if self._zeros else []
