"""Small classifiers with every structure that has to be lowered."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Everything(nn.Module):
    """Folding, groups, strides, dilation, pools, a residual, a flatten, a lone normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.BatchNorm1d(1)
        self.stem = nn.Conv1d(1, 8, 5, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm1d(8)
        self.pool = nn.MaxPool1d(2)
        self.grouped = nn.Conv1d(8, 8, 3, padding=2, dilation=2, groups=2)
        self.depthwise = nn.Conv1d(8, 8, 3, stride=2, padding=1, groups=8, bias=False)
        self.depthwise_norm = nn.BatchNorm1d(8)
        self.average = nn.AvgPool1d(2)
        self.rhythm_norm = nn.BatchNorm1d(2)
        self.rhythm = nn.Linear(2, 4)
        self.joint = nn.Linear(8 * 4 + 4, 6, bias=False)
        self.joint_norm = nn.BatchNorm1d(6)
        self.dense = nn.Linear(6, 3)

    def forward(self, signal: Tensor, rhythm: Tensor) -> Tensor:
        value = self.pool(self.stem_norm(self.stem(self.entry(signal))).relu())
        value = (value + self.grouped(value)).relu()
        value = self.average(self.depthwise_norm(self.depthwise(value)).clamp(0, 6))
        features = self.rhythm(self.rhythm_norm(rhythm)).relu()
        joined = torch.cat((value.flatten(1), features), 1)
        logits: Tensor = self.dense(self.joint_norm(self.joint(joined)).relu())
        return logits


class Functions(nn.Module):
    """Functions of one number, a gate a channel, a product, a difference, constants."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(1, 6, 5, padding=2)
        self.elu = nn.ELU(0.5)
        self.second = nn.Conv1d(6, 6, 3, padding=1)
        self.gelu = nn.GELU()
        self.squeeze = nn.Conv1d(6, 6, 1)
        self.third = nn.Conv1d(6, 6, 3, padding=1)
        self.silu = nn.SiLU()
        self.hard = nn.Hardswish()
        self.pool = nn.AvgPool1d(4)
        self.dense = nn.Linear(6 * 8 + 2, 3)
        self.register_buffer("scale", torch.linspace(0.5, 2.0, 6)[:, None])

    def forward(self, signal: Tensor, rhythm: Tensor) -> Tensor:
        value = self.elu(self.stem(signal))
        value = self.gelu(self.second(value))
        mean = nn.functional.adaptive_avg_pool1d(value, 1)
        gate = torch.sigmoid(self.squeeze(mean))
        value = value * gate
        value = value - self.silu(self.third(value))
        value = self.hard(value * self.scale - 0.25)
        value = nn.functional.leaky_relu(self.pool(value), 0.1)
        features = torch.tanh(nn.functional.hardsigmoid(rhythm))
        logits: Tensor = self.dense(torch.cat((value.flatten(1), features), 1))
        return logits


def functions(seed: int = 0) -> nn.Module:
    """Return a network of what works element by element, its weights as they are drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Functions().eval()


def everything(seed: int = 0) -> nn.Module:
    """Return the network with weights and statistics that a training might have left."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Everything()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d):
            for tensor, low, high in (
                (layer.weight.data, 0.5, 1.5),
                (layer.bias.data, -0.5, 0.5),
                (layer.running_mean, -0.5, 0.5),
                (layer.running_var, 0.3, 2.0),
            ):
                assert tensor is not None
                tensor.uniform_(low, high, generator=generator)
    return model.eval()
