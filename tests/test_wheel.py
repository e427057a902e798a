"""The wheel holds all that the checkout has, and runs without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run(
        [*command, str(CHECKOUT)], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("edgeprune-*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(folder)
    return folder


def _files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("folder", ["targets", "datasets", "firmware_export"])
def test_the_data_folders_are_inside(unpacked: Path, folder: str) -> None:
    inside = unpacked / "edgeprune" / "_data" / folder
    assert _files(inside) == _files(CHECKOUT / folder)
    for name in _files(inside):
        assert (inside / name).read_bytes() == (CHECKOUT / folder / name).read_bytes()


def test_the_package_is_inside_whole(unpacked: Path) -> None:
    inside = {name for name in _files(unpacked / "edgeprune") if not name.startswith("_data/")}
    own = {name for name in _files(CHECKOUT / "edgeprune") if not name.startswith("_data/")}
    assert inside == own
    for name in ("report/templates/report.html.j2", "report/templates/report.css"):
        assert name in inside
    assert any(name.endswith(".schema.json") for name in inside)


def test_nothing_else_is_inside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        tops = {name.partition("/")[0] for name in content.namelist()}
    assert {top.partition("-")[0] for top in tops} == {"edgeprune"}


def _run(unpacked: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the wheel's package; an editable installation of the checkout is out of reach."""
    code = (
        "import sys; "
        f"sys.path[:] = [p for p in sys.path if p != {str(CHECKOUT)!r}]; "
        "sys.meta_path[:] = [f for f in sys.meta_path if 'ditable' not in repr(f)]; "
        "import edgeprune; "
        f"assert edgeprune.__file__.startswith({str(unpacked)!r}), edgeprune.__file__; "
        "from edgeprune.cli import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
    )


def test_it_runs_without_the_checkout(unpacked: Path, tmp_path: Path) -> None:
    done = _run(unpacked, tmp_path, "targets", "list", "--json")
    assert done.returncode == 0, done.stderr
    names = {target["name"] for target in json.loads(done.stdout)["targets"]}
    assert names == {path.stem for path in (CHECKOUT / "targets").glob("*.toml")}
    done = _run(unpacked, tmp_path, "datasets", "show", "mit-bih")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_is_declared(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        name = next(each for each in content.namelist() if each.endswith("entry_points.txt"))
        assert "edgeprune = edgeprune.cli:main" in content.read(name).decode()
