"""The generated stream against every window computed alone, tolerance 0."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from edgeprune.errors import NetworkError
from edgeprune.firmware import generate
from edgeprune.firmware.streaming import least_hop
from edgeprune.network import IntegerNetwork
from edgeprune.targets import load_target
from tests.firmware.conftest import labels
from tests.firmware.library import NOT_READY, OK, Library
from tests.firmware.networks import r1, residual
from tests.firmware.test_streaming import windows
from tests.network.strategies import networks


def check_stream(library: Library, network: IntegerNetwork, hop: int, moves: int = 6) -> None:
    """Fill the first window hop by hop, then move it; classify another one in between."""
    length = network.input_tensors[0].shape[0]
    fill = -(-length // hop)
    random = np.random.default_rng(9)
    channels = network.input_tensors[0].shape[1]
    samples = random.integers(-128, 128, (hop * (fill + moves), channels)).astype(np.int8)
    library.c.edgeprune_stream_reset()
    for number in range(1, fill + moves + 1):
        result, logits = library.stream(samples[hop * (number - 1) : hop * number])
        if number < fill:
            assert result == NOT_READY
            assert (logits == 77).all()
            continue
        assert result == OK
        window = samples[hop * number - length : hop * number][None]
        np.testing.assert_array_equal(logits, network.run(window)[0])
    # A window classified whole is the one that the next samples move.
    other = random.integers(-128, 128, (1, length + hop, channels)).astype(np.int8)
    np.testing.assert_array_equal(
        library.classify(other[0, :length])[1], network.run(other[:, :length])[0]
    )
    np.testing.assert_array_equal(
        library.stream(other[0, length:])[1], network.run(other[:, hop:])[0]
    )


@given(networks(), st.integers(1, 3), st.booleans())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
def test_streams_of_random_networks(
    tmp_path_factory: pytest.TempPathFactory,
    host_compiler: str,
    network: IntegerNetwork,
    steps: int,
    guards: bool,
) -> None:
    hop = steps * least_hop(network)
    folder = tmp_path_factory.mktemp("stream")
    try:
        sources = generate(
            network, None, load_target("host"), labels(network), folder, hop=hop, guards=guards
        )
    except NetworkError:
        reject()
    check_stream(Library(sources, host_compiler), network, hop)


@pytest.mark.parametrize("hop", [8, 32, 40])
def test_stream_of_r1(
    tmp_path_factory: pytest.TempPathFactory, host_compiler: str, hop: int
) -> None:
    network = r1()
    folder = tmp_path_factory.mktemp("stream")
    sources = generate(network, None, load_target("host"), labels(network), folder, hop=hop)
    check_stream(Library(sources, host_compiler), network, hop)


def test_steps_and_a_stream_in_one_library(
    tmp_path_factory: pytest.TempPathFactory, host_compiler: str
) -> None:
    network = r1()
    folder = tmp_path_factory.mktemp("stream")
    sources = generate(network, None, load_target("host"), labels(network), folder, hop=32)
    library = Library(sources, host_compiler)
    ((window, *_),) = windows(network, 32, 4)
    np.testing.assert_array_equal(library.stepped(window)[1], network.run(window[None])[0])
    assert library.stream(window[:32])[0] == NOT_READY
    assert library.c.edgeprune_self_test() == OK


def test_a_second_input_cannot_stream(tmp_path_factory: pytest.TempPathFactory) -> None:
    network = residual()
    with pytest.raises(NetworkError, match="one input"):
        generate(
            network,
            None,
            load_target("host"),
            labels(network),
            tmp_path_factory.mktemp("stream"),
            hop=8,
        )
