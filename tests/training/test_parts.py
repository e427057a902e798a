"""Schedule, balance, penalties and augmentation against something independent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from edgeprune.classifiers import create
from edgeprune.config import TrainingSettings
from edgeprune.progress import Silent
from edgeprune.training import train
from edgeprune.training.augmentation import Augmentation
from edgeprune.training.average import WeightAverage
from edgeprune.training.batches import BatchSource
from edgeprune.training.determinism import derive_seed, deterministic
from edgeprune.training.regularizers import ChannelGroups, soft_threshold
from edgeprune.training.sampling import draw, window_weights
from edgeprune.training.schedule import one_cycle
from tests.small_windows import FRONT_END, small_windows
from tests.training.bounded_modules import FRONT_END as REAL_FRONT_END
from tests.training.bounded_modules import beats


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("steps", [20, 100, 1500])
def test_schedule_is_torch_s_one_cycle(steps: int) -> None:
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps, pct_start=0.15)
    for step in range(steps):
        group = optimizer.param_groups[0]
        pace = one_cycle(step, steps, 4e-3)
        assert pace.learning_rate == pytest.approx(group["lr"], rel=1e-9)
        assert pace.momentum == pytest.approx(group["betas"][0], rel=1e-9)
        optimizer.step()
        if step < steps - 1:
            schedule.step()


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_schedule_of_few_steps_is_a_number(steps: int) -> None:
    for step in range(steps):
        assert 0 < one_cycle(step, steps, 1.0).learning_rate <= 1.0


def test_balance_of_classes_and_records() -> None:
    label = np.repeat([0, 0, 1, 3], [800, 200, 10, 7])
    record = np.repeat([0, 1, 1, 2], [800, 200, 10, 7])
    weights = window_weights(label, record, (0.5, 0.25, 0.25, 0.0), 0.5)
    share = [weights[label == kind].sum() for kind in range(4)]
    assert share == pytest.approx([2 / 3, 1 / 3, 0, 0])
    ratio = (
        weights[(label == 0) & (record == 0)].sum() / weights[(label == 0) & (record == 1)].sum()
    )
    assert ratio == pytest.approx(np.sqrt(800 / 200))
    alike = window_weights(label, record, (), 1.0)
    assert [alike[label == kind].sum() for kind in (0, 1, 3)] == pytest.approx(
        np.sqrt([1000, 10, 7]) / np.sqrt([1000, 10, 7]).sum()
    )
    drawn = draw(weights, 100, 64, torch.Generator().manual_seed(1))
    assert drawn.shape == (100, 64)
    counts = np.bincount(label[drawn.flatten().numpy()], minlength=4) / 6400
    assert counts == pytest.approx([2 / 3, 1 / 3, 0, 0], abs=0.03)


def test_gains_are_drawn_alike_on_a_scale_of_ratios_between_the_usual_ones() -> None:
    windows = beats(2000, 3)
    gain = np.where(windows.record == 0, 200, np.geomspace(400, 1600, 2000).astype(np.int64))
    gain[:3] = 10**6  # one odd window among many
    settings = TrainingSettings(epochs=1, epoch_steps=8, batch_size=512, simulated_rhythms=0)
    source = BatchSource(replace(windows, gain=gain), REAL_FRONT_END, settings, 7)
    drawn = torch.cat([batch.gain for batch in source.epoch(0)]).log2()
    assert drawn.min() >= np.log2(200)
    assert drawn.max() <= np.log2(1600)
    middle = (drawn.min() + drawn.max()) / 2
    assert drawn.mean().item() == pytest.approx(middle.item(), abs=0.05)
    again = torch.cat([batch.gain for batch in source.epoch(0)]).log2()
    assert torch.equal(drawn, again)


def test_soft_threshold_is_the_proximal_step() -> None:
    layer = nn.Linear(3, 1)
    layer.weight.data = torch.tensor([[0.5, -0.2, 0.05]])
    soft_threshold(nn.Sequential(layer), 0.1)
    assert torch.allclose(layer.weight.data, torch.tensor([[0.4, -0.1, 0.0]]))


def test_group_shrink_minimizes_its_objective() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(8, 2))
    groups = ChannelGroups(model, (torch.zeros(1, 2, 4),))
    conv, norm = model[0], model[1]
    assert isinstance(conv, nn.Conv1d)
    parts = (conv.weight, conv.bias, norm.weight, norm.bias)
    before = torch.cat([part.detach().reshape(4, -1) for part in parts], 1).clone()
    last = model[3].weight.detach().clone()
    (norms,) = groups.norms()
    assert torch.allclose(norms, before.norm(dim=1))
    amount = 0.2
    groups.shrink(amount)
    after = torch.cat([part.detach().reshape(4, -1) for part in parts], 1)
    assert torch.equal(model[3].weight, last)

    def objective(value: torch.Tensor) -> torch.Tensor:
        size = before.shape[1]
        return (value - before).square().sum() / 2 + amount * size**0.5 * value.norm(dim=1).sum()

    for _ in range(50):
        assert objective(after) <= objective(after + 0.05 * torch.randn_like(after))


def test_group_lasso_drives_whole_channels_to_zero() -> None:
    settings = TrainingSettings(
        epochs=12,
        epoch_steps=5,
        batch_size=64,
        learning_rate=1e-2,
        threads=1,
        group_lasso=1.0,
        teachers=0,
    )
    windows, none = small_windows(300, seed=1), small_windows(0, seed=1)
    start = create("residual-ecg-small", (32, 1), 2, 3, seed=4)
    dense = train(start, windows, none, FRONT_END, settings, 9, Silent()).model
    gone = 0
    for layer, norm in (
        (dense.block2.first.conv, dense.block2.first.norm),
        (dense.block3.first.conv, dense.block3.first.norm),
    ):
        rows = layer.weight.flatten(1)
        zero = (rows == 0).all(1)
        assert ((rows == 0).any(1) == zero).all()
        assert (norm.weight[zero] == 0).all()
        gone += int(zero.sum())
    assert gone >= 4
    assert (dense.dense.weight != 0).all()


def test_average_weighs_all_alike_at_first() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(model)
    for value in (1.0, 2.0, 6.0):
        model.weight.data.fill_(value)
        average.update(model)
    assert average.state["weight"].item() == pytest.approx(3.0)
    for _ in range(2000):
        average.update(model)
    assert average.state["weight"].item() == pytest.approx(6.0, abs=1e-3)


def test_augmentation_is_like_a_sensor_s() -> None:
    generator = torch.Generator().manual_seed(1)
    time = torch.arange(96) / 120
    beat = 60 * torch.exp(-(((time - 0.4) / 0.02) ** 2)).expand(500, 1, 96)
    template = beat * 0.9
    signal = torch.cat((beat, beat - template), 1)
    rhythm = torch.zeros(500, 3)
    augmentation = Augmentation(flip=0, tremor=0)
    same, also = augmentation(signal, rhythm, 0.0, generator)
    assert torch.equal(same, signal)
    assert torch.equal(also, rhythm)
    changed, features = augmentation(signal, rhythm, 1.0, generator)
    assert changed.abs().max() <= 127
    assert features.std().item() == pytest.approx(1.5, rel=0.1)
    peaks = changed[:, 0].argmax(1)
    assert (peaks - 48).abs().max() <= 4
    assert changed[:, 0].amax(1).std().item() == pytest.approx(60 * 0.16, rel=0.3)
    restored = changed[:, 0] - changed[:, 1]  # the template: no noise of the moment, only gain
    assert restored[:, :20].abs().max() < 3
    assert changed[:, 0, :20].abs().mean() > 1


def test_quiet_augmentation_changes_nothing_but_what_is_asked() -> None:
    quiet = Augmentation(
        warp=0, shift=0, lead=0, flip=0, tremor=0, beat_gain=0, gain=0, wander=0, mains=0,
        noise=0, offset=0, rhythm_noise=0,
    )  # fmt: skip
    signal = torch.randn(8, 1, 96).clamp(-3, 3)
    same, _ = quiet(signal, torch.zeros(8, 2), 1.0, torch.Generator().manual_seed(1))
    assert torch.allclose(same, signal, atol=1e-5)


def test_seeds_differ_by_purpose_and_number() -> None:
    seeds = {derive_seed(s, p, n) for s in (1, 2) for p in ("a", "b") for n in (0, 1)}
    assert len(seeds) == 8
    threads = torch.get_num_threads()
    with deterministic(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == threads
