"""Building, running, saving and loading a network."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from edgeprune.errors import ModelError, NetworkError
from edgeprune.network import IntegerNetwork, Requantize
from tests.network.builders import dense_network, header, tensor
from tests.network.strategies import Case, cases

WEIGHTS = [[1, -2, 3], [4, 5, -6]]


def test_run_is_the_formula() -> None:
    network = dense_network(WEIGHTS, [10, -20], factor=0.5, zero_point=3)
    values = np.array([[1, 2, 3], [-4, 5, 6]], np.int8)
    # (1 - 4 + 9 + 10) / 2 = 8; (4 + 10 - 18 - 20) / 2 = -12; (-4 - 10 + 18 + 10) / 2 = 7;
    # (-16 + 25 - 36 - 20) / 2 = -23.5, which the first of the two roundings takes up.
    assert network.run(values).tolist() == [[11, -9], [10, -20]]
    assert network.predict(values).tolist() == [0, 0]


def test_the_first_of_equal_logits_wins() -> None:
    network = dense_network([[1], [1], [-1]], [0, 0, 0])
    assert network.predict(np.array([[5], [-5], [0]], np.int8)).tolist() == [0, 2, 0]


def test_windows_do_not_depend_on_each_other() -> None:
    network = dense_network(WEIGHTS, [10, -20], factor=0.25)
    values = np.random.default_rng(1).integers(-128, 128, (150, 3)).astype(np.int8)
    alone = np.concatenate([network.run(values[i : i + 1]) for i in range(150)])
    np.testing.assert_array_equal(network.run(values), alone)
    assert network.run(values[:0]).shape == (0, 2)
    assert network.run_layers(values[:0])["logits"].shape == (0, 2)


def test_costs_are_summed() -> None:
    network = dense_network([[1, 0, 3], [4, 5, -6]], [10, -20])
    assert network.multiply_accumulates() == 6
    assert network.multiply_accumulates(nonzero_only=True) == 5
    assert network.parameters() == 8
    assert network.weight_bytes() == 14


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((), "0 inputs were given"),
        ((np.zeros((2, 3), np.float32),), "float32"),
        ((np.zeros((2, 4), np.int8),), r"\[2, 4\]"),
    ],
)
def test_wrong_inputs_are_refused(inputs: tuple[np.ndarray, ...], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        dense_network(WEIGHTS, [0, 0]).run(*inputs)


def test_inconsistent_networks_are_refused() -> None:
    network = dense_network(WEIGHTS, [0, 0])
    (dense,) = network.operations
    extra = {"more": tensor("more", 2)}
    reader = Requantize(**header("more", "logits"))
    early = (Requantize(**header("more", "logits")), dense)
    for changes, message in (
        ({"outputs": ()}, "0 outputs"),
        ({"inputs": ()}, "0 inputs"),
        ({"tensors": network.tensors | extra}, "both written and described"),
        ({"tensors": {"logits": network.tensors["logits"]}}, "both written and described"),
        ({"operations": (dense, dense)}, "more than one operation"),
        ({"operations": (dense, replace(dense, name="again"))}, "more than one tensor"),
        ({"operations": early, "tensors": network.tensors | extra}, "before they are written"),
        (
            {"operations": (dense, reader), "tensors": network.tensors | extra},
            "nothing reads more",
        ),
        ({"tensors": {**network.tensors, "signal": tensor("x", 3)}}, "is filed as 'signal'"),
    ):
        with pytest.raises(NetworkError, match=message):
            replace(network, **changes)


@pytest.mark.parametrize(
    ("shape", "scale", "zero_point"),
    [
        ((3, 0), 1.0, 0),
        ((1, 2, 3, 4), 1.0, 0),
        ((3,), 0.1, 0),
        ((3,), 0.0, 0),
        ((3,), float("nan"), 0),
        ((3,), float("inf"), 0),
        ((3,), 1.0, 128),
    ],
)
def test_impossible_tensors_are_refused(
    shape: tuple[int, ...], scale: float, zero_point: int
) -> None:
    with pytest.raises(NetworkError):
        tensor("x", *shape, scale=scale, zero_point=zero_point)


def test_quantize_rounds_half_to_even_and_saturates() -> None:
    value = tensor("x", 1, scale=0.5, zero_point=10)
    assert value.quantize([0.25, 0.75, -0.25, 1e9, -1e9]).tolist() == [10, 12, 10, 127, -128]
    assert value.dequantize(np.array([10, 11, -128], np.int8)).tolist() == [0.0, 0.5, -69.0]


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_a_file_gives_the_same_network_back(
    tmp_path_factory: pytest.TempPathFactory, case: Case
) -> None:
    folder = tmp_path_factory.mktemp("networks")
    case.network.save(folder / "first")
    loaded = IntegerNetwork.load(folder / "first")
    assert loaded == case.network
    np.testing.assert_array_equal(loaded.run(*case.inputs), case.network.run(*case.inputs))
    loaded.save(folder / "second")
    assert (folder / "first").read_bytes() == (folder / "second").read_bytes()


def test_other_processes_get_the_same_network() -> None:
    network = dense_network(WEIGHTS, [0, 1])
    sent = pickle.loads(pickle.dumps(network))
    assert sent.sha256 == network.sha256
    with pytest.raises(TypeError):
        sent.tensors["more"] = sent.output_tensor  # type: ignore[index]


def test_the_hash_covers_everything() -> None:
    network = dense_network(WEIGHTS, [0, 1])
    assert network == dense_network(WEIGHTS, [0, 1])
    others = [
        dense_network(WEIGHTS, [0, 2]),
        dense_network([[1, -2, 3], [4, 5, -5]], [0, 1]),
        dense_network(WEIGHTS, [0, 1], factor=0.5),
        dense_network(WEIGHTS, [0, 1], zero_point=1),
        replace(network, operations=(replace(network.operations[0], clamp_low=0),)),
        replace(network, operations=(replace(network.operations[0], name="other"),)),
    ]
    assert len({network.sha256, *(other.sha256 for other in others)}) == 7
    assert network != "network"


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    dense_network(WEIGHTS, [0, 0]).save(path)
    content = path.read_bytes()
    for damaged in (
        b"",
        b"not a network",
        content[:-3],
        content[: len(content) // 2],
        content.replace(b"edgeprune.integer-network", b"edgeprune.integer-netw0rk"),
        content.replace(b'\\"version\\":1', b'\\"version\\":2'),
        content.replace(b'\\"kind\\":\\"dense\\"', b'\\"kind\\":\\"dance\\"'),
        content.replace(b'\\"clamp_low\\"', b'\\"clamp_lov\\"'),
    ):
        assert damaged != content
        path.write_bytes(damaged)
        with pytest.raises(ModelError) as caught:
            IntegerNetwork.load(path)
        assert str(path) in str(caught.value)
    with pytest.raises(ModelError):
        IntegerNetwork.load(tmp_path / "absent")
