"""The stage store: reuse, resumption, damage, and keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeprune.errors import DiskError, EdgepruneError
from edgeprune.pipeline.store import Stage, StageStore


def _writer(calls: list[str], text: str = "one"):
    def produce(folder: Path) -> None:
        calls.append(text)
        (folder / "product.txt").write_text(text)

    return produce


def test_a_finished_stage_is_not_made_again(tmp_path: Path) -> None:
    store, calls = StageStore(tmp_path), []
    first = store.run("train", _writer(calls), settings={"epochs": 1})
    second = store.run("train", _writer(calls), settings={"epochs": 1})
    assert calls == ["one"]
    assert (first.reused, second.reused) == (False, True)
    assert first.digest == second.digest


@pytest.mark.parametrize("change", ["settings", "reads", "damage", "removal"])
def test_whatever_changes_makes_it_again(tmp_path: Path, change: str) -> None:
    store, calls = StageStore(tmp_path), []
    earlier = Stage("data", tmp_path, "aa", reused=False)
    made = store.run("train", _writer(calls), reads=[earlier], settings={"epochs": 1})
    if change == "damage":
        made.file("product.txt").write_text("altered")
    if change == "removal":
        made.file("product.txt").unlink()
    again = store.run(
        "train",
        _writer(calls),
        reads=[Stage("data", tmp_path, "bb" if change == "reads" else "aa", reused=False)],
        settings={"epochs": 2 if change == "settings" else 1},
    )
    assert calls == ["one", "one"]
    assert not again.reused
    assert again.file("product.txt").read_text() == "one"


def test_a_killed_stage_finds_its_checkpoint_only_under_the_same_key(tmp_path: Path) -> None:
    store = StageStore(tmp_path)

    def killed(folder: Path) -> None:
        (folder / "checkpoint").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.run("train", killed, settings={"epochs": 1})
    seen: list[bool] = []

    def resumed(folder: Path) -> None:
        seen.append((folder / "checkpoint").exists())
        (folder / "checkpoint").unlink(missing_ok=True)
        (folder / "product.txt").write_text("whole")

    assert not (tmp_path / "train").exists()
    store.run("train", resumed, settings={"epochs": 1})
    with pytest.raises(KeyboardInterrupt):
        store.run("train", killed, settings={"epochs": 2})
    store.run("train", resumed, settings={"epochs": 3})
    assert seen == [True, False]


def test_a_full_disk_is_told_as_such_and_keeps_the_finished_stage(tmp_path: Path) -> None:
    store, calls = StageStore(tmp_path), []
    store.run("data", _writer(calls))

    def no_space(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskError, match="disk is full"):
        store.run("train", no_space)
    assert store.run("data", _writer(calls)).reused


def test_a_product_that_was_not_made_names_the_stage(tmp_path: Path) -> None:
    made = StageStore(tmp_path).run("prune", _writer([]))
    with pytest.raises(EdgepruneError, match="'prune' has not made 'model.onnx'"):
        made.file("model.onnx")
