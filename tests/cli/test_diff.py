"""`edgeprune compare` and `edgeprune diff`, as a person and as a program calls them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from edgeprune.evidence import read_evidence
from edgeprune.evidence.comparison import COMPARISON_SCHEMA_FILE, comparison_schema_bytes
from edgeprune.evidence.update import UPDATE_SCHEMA_FILE, update_schema_bytes
from edgeprune.network import Dense, IntegerNetwork
from edgeprune.pipeline.network_change import network_change
from edgeprune.pipeline.products import inputs_of, load_windows
from tests import certified_beats
from tests.cli.conftest import Edgeprune
from tests.devices.results import seal
from tests.pipeline.bundles import beats, rewrite, updated, windows, write_bundle

HEAD = 'schema = "edgeprune-policy"\nversion = 1\ntitle = "a plan"\n'
SCORE = '[[gates]]\nname = "accuracy"\nfigure = "performance.{int8 as flashed}.scores.accuracy"\n'
GENEROUS = HEAD + SCORE + 'direction = "higher"\nat_most_worse_by = 1.0\n'
STRICT = HEAD + SCORE + 'direction = "higher"\nat_most_worse_by = 0.0\n'
OF_UPDATE = (
    HEAD
    + '[[gates]]\nname = "kept"\nfigure = "update.network.operations_moved"\nat_most = 0\n'
    + '[[gates]]\nname = "lost"\nfigure = "update.decisions.worse_share"\nat_most = 1.0\n'
    + '[[gates]]\nname = "twins"\nfigure = "update.twins.proved_alike_share"\nat_least = 0.0\n'
)


@dataclass(frozen=True)
class Update:
    """Bundles of one network before and after.

    Attributes:
        old: Before; its policy is generous.
        new: After, with a stricter policy of its own.
        network: What is in the new one.
    """

    old: Path
    new: Path
    network: IntegerNetwork

    def old_with(self, folder: Path, policy: str) -> Path:
        """Return the old bundle elsewhere with another policy, or with none."""
        path = shutil.copytree(self.old, folder / "old")
        shutil.copytree(f"{self.old}.work", folder / "old.work")
        (path / "policy.toml").unlink()
        if policy:
            (path / "policy.toml").write_text(policy)
        seal(path)
        return path


@pytest.fixture(scope="module")
def update(tmp_path_factory: pytest.TempPathFactory) -> Update:
    folder = tmp_path_factory.mktemp("diff")
    held = beats()
    network = certified_beats.network(held)
    test = windows(held, network)
    later = updated(network, 9)
    return Update(
        write_bundle(folder / "old", network, test, held, GENEROUS),
        write_bundle(folder / "new", later, test, held, STRICT),
        later,
    )


def test_the_schemas_are_the_generated_ones() -> None:
    """Where this fails and the change is meant, raise the version and write the bytes anew."""
    assert COMPARISON_SCHEMA_FILE.read_bytes() == comparison_schema_bytes()
    assert UPDATE_SCHEMA_FILE.read_bytes() == update_schema_bytes()


def test_compare_judges_the_policy_of_the_old_bundle(
    edgeprune: Edgeprune, update: Update, tmp_path: Path
) -> None:
    document = edgeprune("compare", update.old, update.new, "--json").json
    assert (document["verdict"], document["exit_code"]) == ("PASS", 0)
    found = document["comparison"]
    Draft202012Validator(json.loads(COMPARISON_SCHEMA_FILE.read_bytes())).validate(found)
    assert [gate["name"] for gate in found["gates"]][-1] == "accuracy"
    strict = tmp_path / "strict.toml"
    strict.write_text(STRICT)
    shown = edgeprune("compare", update.old, update.new, "--policy", strict)
    assert shown.code == 1
    assert "1 of 3 gates failed: accuracy" in shown.verdict
    assert "classes.{N}.sensitivity" in shown.out
    assert "SYNTHETIC" in shown.out


def test_compare_without_a_policy_judges_nothing(
    edgeprune: Edgeprune, update: Update, tmp_path: Path
) -> None:
    old = update.old_with(tmp_path, "")
    result = edgeprune("compare", old, update.new)
    assert result.code == 0
    assert "no policy: nothing judged" in result.verdict


def test_what_is_not_comparable_is_refused(
    edgeprune: Edgeprune, update: Update, tmp_path: Path
) -> None:
    other = shutil.copytree(update.new, tmp_path / "new")
    evidence = read_evidence(other / "evidence.json")
    rewrite(other, replace(evidence, identity=replace(evidence.identity, dataset="mitdb")))
    result = edgeprune("compare", update.old, other)
    result.failed(2, "EP101", "other data set: synthetic-ecg and mitdb")
    document = edgeprune("compare", update.old, other, "--json").json
    assert document["comparison"]["figures"] == []
    assert document["comparison"]["incomparable"]
    # An update to something else is outside any plan, even if it limits the new figures alone.
    old = update.old_with(tmp_path, HEAD + SCORE + "at_least = 0.0\n")
    result = edgeprune("diff", old, other, "--windows", "0")
    assert result.code == 1
    assert "outside the plan: not comparable" in result.verdict


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("compare", "{old}"), "edgeprune compare OLD NEW"),
        (("compare", "{old}", "nowhere"), "this is no result directory"),
        (("compare", "{old}", "{new}", "--policy", "nowhere.toml"), "the file does not exist"),
        (("diff", "{old}", "{new}", "--windows", "-1"), "cannot be"),
        (("diff", "{old}", "{new}", "--perturbation", "linf"), "write NAME:SIZE"),
    ],
)
def test_what_cannot_be_used(
    edgeprune: Edgeprune, update: Update, arguments: tuple[str, ...], words: str
) -> None:
    given = [each.format(old=update.old, new=update.new) for each in arguments]
    edgeprune(*given).failed(2, "EP101", words)


def test_a_policy_to_start_from(edgeprune: Edgeprune, update: Update, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    assert edgeprune("compare", "--write-policy", policy).code == 0
    result = edgeprune("compare", update.old, update.old, "--policy", policy)
    # These bundles hold no certificates: what is missing passes no gate.
    assert result.code == 1
    assert "not tested: share proved" in result.verdict


def test_diff_counts_what_changed(edgeprune: Edgeprune, update: Update) -> None:
    document = edgeprune("diff", update.old, update.new, "--windows", "4", "--json").json
    assert (document["verdict"], document["exit_code"]) == ("PASS", 0)
    found = document["update"]
    Draft202012Validator(json.loads(UPDATE_SCHEMA_FILE.read_bytes())).validate(found)
    assert found["verdict"] == "inside the plan"

    old = IntegerNetwork.load(update.old / "network.safetensors")
    layers = {each["name"]: each for each in found["network"]["layers"]}
    changed = [name for name, each in layers.items() if each["change"] != "same"]
    last = old.operations[-1].name
    assert changed == [last]
    before, after = (each.operations[-1].weights for each in (old, update.network))  # type: ignore[attr-defined]
    assert layers[last]["weights_changed"] == int((before != after).sum())
    assert found["network"]["weights_changed"] == layers[last]["weights_changed"]
    assert (found["network"]["structure"], found["network"]["operations_moved"]) == ("same", 0)

    test = load_windows(Path(f"{update.old}.work") / "data" / "test.npz")
    first, second = (each.predict(*inputs_of(each, test)) for each in (old, update.network))
    decisions = found["decisions"]
    assert decisions["counts"]["changed"] == int((first != second).sum()) > 0
    right = [each == test.label for each in (first, second)]
    assert decisions["counts"]["worse"] == int((right[0] & ~right[1]).sum()) > 0
    assert decisions["counts"]["better"] == int((~right[0] & right[1]).sum())
    for group, key in (("classes", test.label), ("records", test.record)):
        told = [each["changed"] for each in decisions[group]]
        assert told == np.bincount(key[first != second], minlength=len(told)).tolist()
    turned = np.array(decisions["turned"]["counts"])
    assert turned.sum() == len(test)
    assert turned.sum() - np.trace(turned) == decisions["counts"]["changed"]

    (twins,) = found["twins"]
    assert twins["windows"] == twins["tried"] == 4
    assert twins["proved_alike"] + twins["different"] + twins["unknown"] == 4
    assert any("the plan itself differs" in note for note in found["comparison"]["notes"])


def test_another_architecture_is_named_operation_by_operation() -> None:
    held = beats()
    old = certified_beats.network(held)
    last = old.operations[-1]
    assert isinstance(last, Dense)
    renamed = replace(last, name="head")
    new = replace(old, operations=(*old.operations[:-1], renamed))
    change = network_change(old, new)
    assert change.operations_moved == 2
    assert change.structure == "1 added: head; 1 removed: logits"
    assert {each.name: each.change for each in change.layers if each.change != "same"} == {
        "head": "added",
        "logits": "removed",
    }
    assert change.weights_changed == 2 * last.weights.size
    tensor = old.tensors[last.output]
    moved = replace(tensor, scale=tensor.scale * 2, zero_point=1)
    rescaled = replace(old, tensors={**old.tensors, tensor.name: moved})
    change = network_change(old, rescaled)
    assert (change.operations_moved, change.weights_changed, change.scales_changed) == (0, 0, 2)
    assert not change.identical


def test_diff_asks_the_plan_of_the_old_bundle(
    edgeprune: Edgeprune, update: Update, tmp_path: Path
) -> None:
    shown = edgeprune("diff", update.old, update.new, "--windows", "0")
    assert (shown.code, "inside the plan" in shown.verdict) == (0, True)
    assert "not tested: no window was asked for" in shown.out
    same = edgeprune("diff", update.new, update.new, "--windows", "3", "--json").json["update"]
    assert same["network"]["identical"]
    assert same["decisions"]["counts"]["changed"] == 0
    assert [each["proved_alike"] for each in same["twins"]] == [3]
    old = update.old_with(tmp_path, STRICT)
    outside = edgeprune("diff", old, update.new, "--windows", "0")
    assert outside.code == 1
    assert "outside the plan: accuracy" in outside.verdict
    (old / "policy.toml").unlink()
    seal(old)
    assert "no plan" in edgeprune("diff", old, update.new, "--windows", "0").verdict


def test_figures_of_the_change_are_gated_and_missing_ones_do_not_pass(
    edgeprune: Edgeprune, update: Update, tmp_path: Path
) -> None:
    old = update.old_with(tmp_path, OF_UPDATE)
    assert edgeprune("compare", old, update.new).code == 1
    assert edgeprune("diff", old, update.new, "--windows", "3").code == 0
    left = edgeprune("diff", old, update.new, "--windows", "0")
    assert left.code == 1
    assert "outside the plan: twins" in left.verdict
    # Other windows than the bundle's own are noticed: its network does not score so on them.
    kept = tmp_path / "old.work" / "data" / "test.npz"
    kept.write_bytes(b"PK not an archive")
    from edgeprune.pipeline import decisions_change as module

    with pytest.MonkeyPatch.context() as patch:
        test = load_windows(Path(f"{update.new}.work") / "data" / "test.npz")
        others = replace(test, label=(test.label + 1) % 3)
        patch.setattr(module, "prepare", lambda *_: type("Data", (), {"test": others}))
        result = edgeprune("diff", old, update.new, "--windows", "3")
        given = edgeprune("diff", old, update.new, "--windows", "0", "--data-dir", tmp_path)
    assert result.code == 1
    assert "outside the plan: lost" in result.verdict
    assert "does not score on these test windows as its bundle says" in result.out
    given.failed(2, "EP201", "does not score on these test windows", "--data-dir DIR")
