"""Fetching from a server that cuts, stalls, lies, ignores and refuses; and checking a folder."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeprune.data import check, fetch, load_card
from edgeprune.data.fetch import FetchReport, Patience
from edgeprune.errors import DataError, DiskError, FetchError
from edgeprune.progress import Silent
from tests.data.publisher import SUMS, Publisher, publisher

QUICK = Patience(timeout_s=0.3, attempts=3, pause_s=0.001)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("no_proxy", "*")
    with publisher() as running:
        yield running


def bring(server: Publisher, folder: Path) -> FetchReport:
    return fetch(server.card(), folder, Silent(), QUICK)


def assert_whole(server: Publisher, folder: Path) -> None:
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == server.files
    report = check(server.card(), folder)
    assert report.ok
    assert not report.missing
    assert not report.damaged


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_everything_arrives_and_nothing_is_fetched_twice(server: Publisher, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    report = bring(server, folder)
    assert_whole(server, folder)
    assert report.files == (SUMS, *server.card().record_files)
    assert report.bytes == sum(map(len, server.files.values()))
    assert (report.resumed, report.reused) == ((), ())
    server.asked.clear()
    again = bring(server, folder)
    assert (again.bytes, again.reused, server.asked) == (0, report.files, [])


def test_an_interrupted_fetch_goes_on_where_it_stopped(server: Publisher, tmp_path: Path) -> None:
    whole = server.files["1.dat"]
    (tmp_path / ".1.dat.partial").write_bytes(whole[:100_000])
    report = bring(server, tmp_path)
    assert ("1.dat", "bytes=100000-") in server.asked
    assert report.resumed == ("1.dat",)
    assert report.bytes == sum(map(len, server.files.values())) - 100_000
    assert_whole(server, tmp_path)


def test_a_part_that_is_already_whole_is_not_fetched(server: Publisher, tmp_path: Path) -> None:
    (tmp_path / ".1.dat.partial").write_bytes(server.files["1.dat"])
    assert "1.dat" in bring(server, tmp_path).reused
    assert_whole(server, tmp_path)


@pytest.mark.parametrize("rubbish", [b"x" * 1000, b"x" * 500_000])
def test_a_part_of_something_else_is_thrown_away(
    server: Publisher, tmp_path: Path, rubbish: bytes
) -> None:
    (tmp_path / ".1.dat.partial").write_bytes(rubbish)
    assert "1.dat" not in bring(server, tmp_path).resumed
    assert_whole(server, tmp_path)


@pytest.mark.parametrize("ignores_range", [False, True])
@pytest.mark.parametrize("without_length", [False, True])
def test_cut_connections(
    server: Publisher, tmp_path: Path, ignores_range: bool, without_length: bool
) -> None:
    server.faults.ignores_range = ignores_range
    server.faults.without_length = without_length
    server.faults.cut = {"1.dat": 1, "2.dat": 1, "3.hea": 1}
    bring(server, tmp_path)
    assert_whole(server, tmp_path)


def test_a_slowly_advancing_file_may_take_more_connections_than_attempts(
    server: Publisher, tmp_path: Path
) -> None:
    server.faults.cut = {"2.dat": 8}
    bring(server, tmp_path)
    assert server.names_asked.count("2.dat") == 9
    assert_whole(server, tmp_path)


def test_a_server_that_always_cuts_and_ignores_ranges_is_given_up(
    server: Publisher, tmp_path: Path
) -> None:
    server.faults.ignores_range = True
    server.faults.cut = {"2.dat": 1000}
    with pytest.raises(FetchError, match=r"2\.dat cannot be fetched: .*cut after") as caught:
        bring(server, tmp_path)
    assert caught.value.where == server.url + "2.dat"
    assert "run the same command again" in caught.value.hint
    assert not (tmp_path / "2.dat").exists()
    server.faults.cut = {}
    assert "1.dat" in bring(server, tmp_path).reused
    assert_whole(server, tmp_path)


def test_silence_counts_as_a_lost_connection(server: Publisher, tmp_path: Path) -> None:
    server.faults.stall = {"1.dat": 1}
    notes = Notes()
    fetch(server.card(), tmp_path, notes, QUICK)
    assert any("1.dat" in note and "timed out" in note for note in notes.notes)
    assert_whole(server, tmp_path)


def test_corrupted_bytes_are_fetched_once_more(server: Publisher, tmp_path: Path) -> None:
    server.faults.corrupt = {"1.dat": 1, SUMS: 1}
    bring(server, tmp_path)
    assert_whole(server, tmp_path)


@pytest.mark.parametrize("name", ["3.dat", SUMS])
def test_a_file_that_stays_corrupted_is_refused(
    server: Publisher, tmp_path: Path, name: str
) -> None:
    server.faults.corrupt = {name: 2}
    with pytest.raises(FetchError, match=f"another {name} than the one") as caught:
        bring(server, tmp_path)
    assert caught.value.where == server.url + name
    assert ("checksums_sha256" in caught.value.hint) == (name == SUMS)
    assert not (tmp_path / name).exists()
    assert not (tmp_path / f".{name}.partial").exists()
    bring(server, tmp_path)
    assert_whole(server, tmp_path)


def test_troubles_that_pass(server: Publisher, tmp_path: Path) -> None:
    server.faults.status = {"1.hea": [503, 500], "2.hea": [429]}
    bring(server, tmp_path)
    assert_whole(server, tmp_path)


def test_troubles_that_do_not_pass(server: Publisher, tmp_path: Path) -> None:
    server.faults.status = {"1.hea": [503] * 3}
    with pytest.raises(FetchError, match=r"1\.hea cannot be fetched: .*HTTP 503 .*3 times"):
        bring(server, tmp_path)


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_file_that_is_not_there_is_asked_for_once(
    server: Publisher, tmp_path: Path, status: int
) -> None:
    server.faults.status = {"1.dat": [status]}
    with pytest.raises(FetchError, match=f"HTTP {status}") as caught:
        bring(server, tmp_path)
    assert caught.value.where == server.url + "1.dat"
    assert "files.base_url" in caught.value.hint
    assert server.names_asked.count("1.dat") == 1


def test_nobody_listens(server: Publisher, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/set/"
        with pytest.raises(FetchError, match="connection failed") as caught:
            fetch(server.card_with(base_url=url), tmp_path, Silent(), QUICK)
    assert caught.value.exit_code == 3


def test_damaged_and_lost_files_are_told_and_repaired(server: Publisher, tmp_path: Path) -> None:
    bring(server, tmp_path)
    (tmp_path / "1.dat").write_bytes(b"damaged")
    (tmp_path / "2.hea").unlink()
    report = check(server.card(), tmp_path)
    assert (report.damaged, report.missing, report.ok) == (("1.dat",), ("2.hea",), False)
    server.asked.clear()
    bring(server, tmp_path)
    assert sorted(server.names_asked) == ["1.dat", "2.hea"]
    assert_whole(server, tmp_path)


def test_a_damaged_list_of_sums_is_told_and_repaired(server: Publisher, tmp_path: Path) -> None:
    bring(server, tmp_path)
    (tmp_path / SUMS).write_bytes(b"damaged")
    assert check(server.card(), tmp_path).damaged == (SUMS,)
    bring(server, tmp_path)
    assert_whole(server, tmp_path)


def test_without_the_list_nothing_counts_as_right(server: Publisher, tmp_path: Path) -> None:
    bring(server, tmp_path)
    (tmp_path / SUMS).unlink()
    report = check(server.card(), tmp_path)
    assert (report.missing, report.damaged, report.ok) == ((SUMS,), (), False)
    assert check(server.card(), tmp_path / "nowhere").missing == (SUMS, *server.card().record_files)


def test_a_list_without_an_anchor_is_taken_as_it_is(server: Publisher, tmp_path: Path) -> None:
    card = server.card_with(checksums_sha256="")
    (tmp_path / f".{SUMS}.partial").write_bytes(b"rubbish")
    fetch(card, tmp_path, Silent(), QUICK)
    assert_whole(server, tmp_path)
    server.files[SUMS] = b"<html>Please log in</html>"
    (tmp_path / SUMS).unlink()
    with pytest.raises(FetchError, match="cannot be read"):
        fetch(card, tmp_path, Silent(), QUICK)


def test_a_record_that_the_publisher_does_not_list(server: Publisher, tmp_path: Path) -> None:
    card = server.card_with(extensions=("hea", "dat", "atr"))
    with pytest.raises(FetchError, match=r"lacks 1\.atr, 2\.atr, 3\.atr"):
        fetch(card, tmp_path, Silent(), QUICK)


def test_a_card_without_an_address(server: Publisher, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="does not say where"):
        fetch(server.card_with(base_url=""), tmp_path, Silent(), QUICK)


def test_folders_that_cannot_be_used(server: Publisher, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FetchError, match="folder cannot be used") as caught:
            bring(server, folder)
        assert caught.value.where == str(folder)
    (tmp_path / "1.dat").mkdir()
    with pytest.raises(FetchError, match=r"folder cannot be used: .*1\.dat"):
        bring(server, tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk(server: Publisher, tmp_path: Path) -> None:
    (tmp_path / ".1.dat.partial").symlink_to("/dev/full")
    with pytest.raises(DiskError, match="full"):
        bring(server, tmp_path)


def test_generated_data_needs_no_files(tmp_path: Path) -> None:
    card = load_card("synthetic-ecg")
    assert fetch(card, tmp_path / "absent", Silent()).files == ()
    assert check(card, tmp_path / "absent").ok
    assert not (tmp_path / "absent").exists()


def test_a_fetch_error_is_a_data_error() -> None:
    assert issubclass(FetchError, DataError)
