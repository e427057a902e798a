"""The C program behind a line that loses, changes and holds up one byte in a hundred each."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.devices.connections import PortStream
from edgeprune.devices.serial_link import SerialLink
from edgeprune.errors import PortError
from edgeprune.targets import Adc
from tests.devices.faulty_proxy import ONE_PERCENT, Faults, faulty_pty, faulty_tcp
from tests.devices.host_device import HostDevice, compile_program, powered
from tests.firmware.networks import behind_front_end
from tests.firmware.test_front_end import expected, recording
from tests.network.strategies import inputs_for

OFFERS = {"socket": faulty_tcp, "pty": faulty_pty}
WINDOWS = 8


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program of a network with the front end, 250 Hz."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    front_end = BeatFrontEnd.for_adc(Adc(250.0, 5.0, 11))
    folder = tmp_path_factory.mktemp("serial")
    return compile_program(behind_front_end(), folder, ("gcc",), front_end=front_end)


@pytest.fixture
def device(program: Path) -> Iterator[HostDevice]:
    with powered(program) as running:
        yield running


@pytest.mark.parametrize("offer", OFFERS)
def test_every_window_is_answered_and_none_wrong(device: HostDevice, offer: str) -> None:
    network = behind_front_end()
    windows = inputs_for(network, WINDOWS, seed=6)
    with (
        OFFERS[offer](device.line.fileno(), ONE_PERCENT) as (address, line),
        PortStream(address) as stream,
    ):
        link = SerialLink(stream, address, timeout_seconds=2)
        assert link.info().network_sha256 == network.sha256
        for signal, rhythm, logits in zip(*windows, network.run(*windows), strict=True):
            np.testing.assert_array_equal(link.classify(signal, rhythm), logits)
    happened = line.happened
    assert min(happened.dropped, happened.flipped, happened.delayed) > 10
    assert link.counts.resends > 10


def test_no_sample_and_no_beat_is_taken_twice(device: HostDevice) -> None:
    """Half a percent, because a whole recording goes over the line."""
    network, front_end = behind_front_end(), BeatFrontEnd.for_adc(Adc(250.0, 5.0, 11))
    samples, beats = recording(250.0, 6)
    samples, beats = samples[:1200], beats[beats < 1200]
    logits = network.run(*expected(front_end, samples, beats))
    found, waiting, done = [], list(beats), 0
    with (
        faulty_tcp(device.line.fileno(), Faults(0.005, 0.005, 0.0, seed=2)) as (address, _),
        PortStream(address) as stream,
    ):
        link = SerialLink(stream, address, timeout_seconds=2)
        most = link.info().most_payload // 2
        link.start()
        while done < len(samples):
            beat = waiting[0] + 1 if waiting else len(samples)
            done += link.push_samples(samples[done : min(done + most, beat)])
            while waiting and waiting[0] < done:
                assert link.push_beat(int(waiting.pop(0)))
            while window := link.next_window():
                found.append(window[1])
        assert link.counts.resends > 10
    assert len(found) == len(logits) > 2
    np.testing.assert_array_equal(np.array(found), logits)


def test_a_good_line_carries_whole_windows(device: HostDevice) -> None:
    network = behind_front_end()
    windows = inputs_for(network, 3, seed=6)
    with (
        faulty_pty(device.line.fileno(), Faults()) as (address, line),
        PortStream(address) as stream,
    ):
        link = SerialLink(stream, address, timeout_seconds=2)
        for signal, rhythm in zip(*windows, strict=True):
            link.classify(signal, rhythm)
    assert (link.counts.requests, link.counts.resends) == (4, 0)
    assert line.happened.carried < 4 * 320 + 300


@pytest.mark.parametrize("address", ["/dev/ttyNONE9", "socket://127.0.0.1:1", "modem://x", "{}"])
def test_a_port_that_is_not_there(tmp_path: Path, address: str) -> None:
    (tmp_path / "file").write_text("no port")
    address = address.format(tmp_path / "file")
    with pytest.raises(PortError, match="cannot be opened") as caught:
        PortStream(address)
    assert caught.value.where == address
    assert caught.value.hint


def test_an_unplugged_device_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            server.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        with PortStream(f"socket://127.0.0.1:{server.getsockname()[1]}") as stream:
            with pytest.raises(PortError, match="unplugged") as caught:
                SerialLink(stream, "here").info()
            assert "run the same command again" in caught.value.hint
    ours, theirs = os.openpty()
    with PortStream(os.ttyname(theirs)) as stream:
        os.close(theirs)
        os.close(ours)
        with pytest.raises(PortError, match="unplugged"):
            SerialLink(stream, "here").info()
