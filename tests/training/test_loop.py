"""Training learns, repeats itself to the byte, and goes on where it was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from edgeprune.classifiers import create
from edgeprune.config import TrainingSettings
from edgeprune.errors import DataError, ModelError
from edgeprune.progress import Advance, Silent
from edgeprune.training import TrainingResult, macro_f1, predict, train
from tests.small_windows import FRONT_END, small_windows

SETTINGS = TrainingSettings(
    epochs=3,
    epoch_steps=5,
    batch_size=64,
    learning_rate=1e-2,
    keep_best=True,
    threads=1,
    teachers=0,
)
WINDOWS = small_windows(300, seed=1)
VALIDATION = small_windows(150, seed=2)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def fit(
    settings: TrainingSettings = SETTINGS,
    folder: Path | None = None,
    progress: Silent | None = None,
) -> TrainingResult:
    model = create("residual-ecg-small", (32, 1), 2, 3, seed=4)
    return train(model, WINDOWS, VALIDATION, FRONT_END, settings, 9, progress or Silent(), folder)


def content(result: TrainingResult) -> bytes:
    return save({name: tensor.clone() for name, tensor in result.model.state_dict().items()})


class PowerCutError(Exception):
    """Stands for a power cut."""


class Killer(Silent):
    """Raises after a number of steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @contextmanager
    def task(self, description: str, total: int, unit: str = "") -> Iterator[Advance]:
        def advance(steps: int) -> None:
            self.left -= steps
            if self.left < 0:
                raise PowerCutError

        yield advance


def test_it_learns_the_rare_class_too() -> None:
    result = fit(replace(SETTINGS, epochs=6))
    logits = predict(result.model, small_windows(300, seed=3), FRONT_END)
    assert macro_f1(small_windows(300, seed=3).label, logits.argmax(1)) > 0.8
    assert not result.model.training
    scores = [record.validation_macro_f1 for record in result.history]
    assert result.best_epoch == 1 + int(np.argmax(np.array(scores, float)))
    assert len(result.history) == 6


def test_same_seed_same_bytes_and_nothing_global_changes() -> None:
    torch.manual_seed(77)
    before = torch.random.get_rng_state()
    first = content(fit())
    assert torch.equal(before, torch.random.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()
    torch.manual_seed(78)
    assert content(fit()) == first
    assert content(fit(replace(SETTINGS, weight_decay=0.1))) != first


@pytest.mark.parametrize("steps", [0, 3, 5, 6, 14])
def test_interrupted_anywhere_ends_in_the_same_bytes(steps: int, tmp_path: Path) -> None:
    settings = replace(SETTINGS, l1=1e-3, group_lasso=1e-3)
    whole = fit(settings)
    with pytest.raises(PowerCutError):
        fit(settings, tmp_path, Killer(steps))
    resumed = fit(settings, tmp_path)
    assert content(resumed) == content(whole)
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch


def test_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = fit(folder=tmp_path)
    again = fit(folder=tmp_path, progress=Killer(15))
    assert content(first) == content(again)


def test_checkpoint_of_another_training_is_ignored(tmp_path: Path) -> None:
    fit(folder=tmp_path)
    other = replace(SETTINGS, learning_rate=2e-2)
    assert content(fit(other, tmp_path)) == content(fit(other))
    (tmp_path / "checkpoint.safetensors").write_bytes(b"half a file")
    assert content(fit(folder=tmp_path)) == content(fit())


SCRIPT = """
import os, signal, sys
from contextlib import contextmanager
from pathlib import Path
from edgeprune.progress import Silent
from tests.training.test_loop import content, fit

class Suicide(Silent):
    @contextmanager
    def task(self, description, total, unit=""):
        left = [int(sys.argv[2])]
        def advance(steps):
            left[0] -= steps
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        yield advance

Path(sys.argv[3]).write_bytes(content(fit(folder=Path(sys.argv[1]), progress=Suicide())))
"""


def test_kill_9_then_the_same_command(tmp_path: Path) -> None:
    def run(steps: int) -> int:
        arguments = [str(tmp_path / "state"), str(steps), str(tmp_path / "result")]
        checkout = Path(__file__).parents[2]
        return subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments], cwd=checkout, check=False
        ).returncode

    assert run(7) == -signal.SIGKILL
    assert not (tmp_path / "result").exists()
    assert run(1000) == 0
    assert (tmp_path / "result").read_bytes() == content(fit())


def test_interrupted_while_a_teacher_learns(tmp_path: Path) -> None:
    settings = replace(SETTINGS, teachers=2)
    whole = fit(settings)
    assert content(whole) != content(fit())
    for steps in (8, 3):  # epochs of 2 for each teacher, 5 steps each; then the second teacher
        with pytest.raises(PowerCutError):
            fit(settings, tmp_path, Killer(steps))
    assert content(fit(settings, tmp_path)) == content(whole)


def test_teachers_are_followed() -> None:
    teacher = fit(replace(SETTINGS, epochs=6)).model
    model = create("residual-ecg-small", (32, 1), 2, 3, seed=4)
    only = replace(SETTINGS, epochs=6, distillation=1.0, label_smoothing=0.0)
    swapped = replace(WINDOWS, label=(WINDOWS.label + 1) % 3)  # wrong labels, right teacher
    taught = train(model, swapped, VALIDATION, FRONT_END, only, 9, Silent(), None, [teacher]).model
    decisions = [predict(each, VALIDATION, FRONT_END).argmax(1) for each in (teacher, taught)]
    assert (decisions[0] == decisions[1]).mean() > 0.85


def test_no_validation_keeps_the_last_epoch() -> None:
    nothing = VALIDATION.select(np.zeros(150, bool))
    model = create("r1", (32, 1), 0, 3, seed=4)
    result = train(model, WINDOWS, nothing, FRONT_END, SETTINGS, 9, Silent())
    assert result.best_epoch == 3
    assert {record.validation_macro_f1 for record in result.history} == {None}


def test_errors() -> None:
    model = create("r1", (32, 1), 0, 3, seed=4)
    nothing = WINDOWS.select(np.zeros(300, bool))
    with pytest.raises(DataError, match="no windows"):
        train(model, nothing, VALIDATION, FRONT_END, SETTINGS, 9, Silent())
    with torch.no_grad():
        model.dense.weight.fill_(float("inf"))
    with pytest.raises(ModelError, match="not a number in epoch 1"):
        train(model, WINDOWS, VALIDATION, FRONT_END, SETTINGS, 9, Silent())


def test_macro_f1_is_the_textbook_s() -> None:
    label = np.array([0, 0, 0, 1, 1, 2])
    decision = np.array([0, 0, 1, 1, 0, 0])
    assert macro_f1(label, decision) == pytest.approx((2 * 2 / 7 + 2 * 1 / 4 + 0) / 3)
    assert macro_f1(np.array([1, 1]), np.array([1, 3])) == pytest.approx(2 / 3)
