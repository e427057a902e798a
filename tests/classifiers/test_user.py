"""A user's classifier: what goes wrong is said, and a file alone imports nothing."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edgeprune.classifiers import (
    ClassifierSpec,
    create,
    load_classifier,
    load_user_classifier,
    load_weights,
    save_classifier,
)
from edgeprune.errors import ModelError

SOURCE = """
from torch import nn

class Tiny(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 3)
        self.dense = nn.Linear(4, classes)

    def forward(self, signal):
        return self.dense(self.conv(signal).relu().mean(2))

def make(signal_shape, classes):
    assert signal_shape == (16, 1)
    return Tiny(classes)

def fails():
    raise ValueError("no such file")

def text():
    return "hello"

number = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_classifiers.py").write_text(SOURCE)
    (tmp_path / "my_broken.py").write_text("import a_package_that_is_absent")
    monkeypatch.chdir(tmp_path)
    for name in ("my_classifiers", "my_broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_factory_gets_what_it_names() -> None:
    path = list(sys.path)
    model = load_user_classifier("my_classifiers:make", signal_shape=(16, 1), classes=7)
    assert model(torch.zeros(2, 1, 16)).shape == (2, 7)
    assert sys.path == path
    assert load_user_classifier("my_classifiers:Tiny")(torch.zeros(2, 1, 16)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_classifiers:", "does not name a classifier"),
        ("absent_module:make", "cannot be imported: ModuleNotFoundError"),
        ("my_broken:make", "a_package_that_is_absent"),
        ("my_classifiers:absent", "no callable 'absent'"),
        ("my_classifiers:number", "no callable 'number'"),
        ("my_classifiers:fails", "ValueError: no such file"),
        ("my_classifiers:text", "returned str"),
    ],
)
def test_what_is_wrong_is_said(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load_user_classifier(name)
    assert caught.value.hint


def test_saved_user_classifier_is_imported_only_on_demand(tmp_path: Path) -> None:
    model = create("my_classifiers:Tiny", (16, 1), 0, 3, seed=1)
    spec = ClassifierSpec("my_classifiers:Tiny", (16, 1), 0, 3)
    path = tmp_path / "a.safetensors"
    save_classifier(model, spec, path)
    del sys.modules["my_classifiers"]
    with pytest.raises(ModelError, match="user's classifier"):
        load_classifier(path)
    assert "my_classifiers" not in sys.modules
    again, _ = load_classifier(path, user_classifier="my_classifiers:Tiny")
    assert torch.equal(again.conv.weight, model.conv.weight)


@pytest.mark.parametrize("kind", ["safetensors", "torch", "checkpoint"])
def test_weights_are_read(kind: str, tmp_path: Path) -> None:
    source, sink = (create("my_classifiers:Tiny", (16, 1), 0, 3, seed=seed) for seed in (1, 2))
    path = tmp_path / ("a.safetensors" if kind == "safetensors" else "a.pt")
    if kind == "safetensors":
        save_file(source.state_dict(), path)
    else:
        state = source.state_dict()
        torch.save(state if kind == "torch" else {"state_dict": state, "epoch": 3}, path)
    load_weights(sink, path)
    assert torch.equal(source.conv.weight, sink.conv.weight)


class Trap:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path("sprung").touch, ()  # type: ignore[return-value]


def test_pickle_is_never_executed(tmp_path: Path) -> None:
    model = load_user_classifier("my_classifiers:Tiny")
    torch.save({"conv.weight": Trap()}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Trap()))
    for name in ("a.pt", "b.pt"):
        with pytest.raises(ModelError):
            load_weights(model, tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_misfits_and_nans_are_listed(tmp_path: Path) -> None:
    model = load_user_classifier("my_classifiers:Tiny")
    state = model.state_dict()
    state["extra"] = state.pop("dense.bias")
    state["conv.weight"] = torch.zeros(4, 1, 5)
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(ModelError) as caught:
        load_weights(model, tmp_path / "a.safetensors")
    for part in ("dense.bias is missing", "extra is not in", r"conv.weight has shape (4, 1, 5)"):
        assert part in str(caught.value)
    state = model.state_dict()
    state["conv.bias"] = torch.full((4,), torch.inf)
    save_file(state, tmp_path / "b.safetensors")
    with pytest.raises(ModelError, match="conv.bias"):
        load_weights(model, tmp_path / "b.safetensors")
    with pytest.raises(ModelError, match="do not exist"):
        load_weights(model, tmp_path / "absent.pt")
