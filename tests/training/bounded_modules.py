"""Small random classifiers, and beats for a real front end, for the tests of bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgeprune.data import BeatFrontEnd, Windows
from edgeprune.targets import Adc

ADC = Adc(360, 5.0, 11)
FRONT_END = BeatFrontEnd.for_adc(ADC)
FEATURES = FRONT_END.rhythm_features


class Branches(nn.Module):
    """A residual addition, as classifiers have it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, value: Tensor) -> Tensor:
        return value + self.inner(value)


class TwoInputs(nn.Module):
    """Layers on the signal, one on the rhythm, joined in a dense layer."""

    def __init__(self, layers: nn.Sequential, length: int, classes: int) -> None:
        super().__init__()
        self.layers = layers
        self.rhythm = nn.Linear(2, 3)
        with torch.no_grad():
            size = layers.eval()(torch.zeros(1, 2, length)).numel()
        layers.train()
        self.dense = nn.Linear(size + 3, classes)

    def forward(self, signal: Tensor, rhythm: Tensor) -> Tensor:
        shape = self.layers(signal)
        shape = shape.view(shape.size(0), -1)
        joined = torch.cat((shape, self.rhythm(rhythm).relu()), dim=1)
        logits: Tensor = self.dense(joined)
        return logits


def random_layers(draw: Callable[..., Any], strategies: Any, length: int) -> nn.Sequential:
    """Draw up to four blocks for two channels of `length` samples."""
    layers: list[nn.Module] = []
    channels = 2
    kinds = ["conv", "conv", "normalized", "residual", "maximum", "average", "clamp", "strided"]
    for kind in draw(strategies.lists(strategies.sampled_from(kinds), min_size=1, max_size=4)):
        if kind == "conv":
            layers += [nn.Conv1d(channels, 3, 3, padding=1), nn.ReLU()]
            channels = 3
        elif kind == "strided" and length >= 4:
            layers += [nn.Conv1d(channels, 4, 3, stride=2, padding=1, bias=False), nn.ReLU()]
            channels, length = 4, (length + 1) // 2
        elif kind == "normalized":
            layers += [nn.Conv1d(channels, 3, 3, padding=1), nn.BatchNorm1d(3), nn.ReLU()]
            channels = 3
        elif kind == "residual":
            inner = nn.Sequential(nn.Conv1d(channels, channels, 3, padding=1), nn.ReLU())
            layers += [Branches(inner), nn.ReLU()]
        elif kind == "maximum" and length >= 4:
            layers.append(nn.MaxPool1d(2))
            length //= 2
        elif kind == "average" and length >= 4:
            layers.append(nn.AvgPool1d(2))
            length //= 2
        elif kind == "clamp":
            layers.append(nn.Hardtanh(-0.4, 0.7))
    return nn.Sequential(*layers)


def settle(model: nn.Module) -> None:
    """Give normalizations statistics and scales that are not the initial ones."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, -1.5, 1.5)
            nn.init.normal_(layer.bias)
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.3, 3.0)


def margins(logits: Tensor, label: Tensor) -> Tensor:
    """Return `z_label - z_j`, [n, classes]."""
    return logits.gather(1, label[:, None]) - logits


def beats(count: int, seed: int) -> Windows:
    """Draw beats of three shapes for the real front end: narrow, wide, inverted."""
    generator = np.random.default_rng(seed)
    label = generator.choice(3, count, p=(0.5, 0.3, 0.2))
    time = np.arange(96) - 48
    widths, heights = np.array([3.0, 9.0, 4.0])[label], np.array([60.0, 70.0, -50.0])[label]
    place = generator.normal(0, 1.5, (count, 1))
    beat = heights[:, None] * np.exp(-(((time - place) / widths[:, None]) ** 2))
    beat = beat + generator.normal(0, 2, (count, 96))
    template = 60 * np.exp(-((time / 3.0) ** 2))
    signal = np.stack([beat, beat - template], 2)
    rhythm = generator.normal(0, 12, (count, FEATURES))
    return Windows(
        signal=np.clip(np.round(signal), -127, 127).astype(np.int8),
        rhythm=np.clip(np.round(rhythm), -127, 127).astype(np.int8),
        gain=generator.integers(400, 1600, count),
        label=label.astype(np.int64),
        record=generator.integers(0, 4, count),
        beat=np.arange(count),
        record_names=("1", "2", "3", "4"),
        patients=("1", "2", "3", "4"),
        class_names=("A", "B", "C"),
        synthetic=True,
    )
