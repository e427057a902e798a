"""The rules of the house: floors, light imports, no printing, short modules, no stray words."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = CHECKOUT / "edgeprune"
MODULES = sorted(PACKAGE.rglob("*.py"))
FLOORS = {
    0: "errors late registry resources files progress executor targets "
    "config config_text typed_toml",
    1: "network data classifiers certificate_checker",
    2: "verification firmware quantization devices monitor disturbances",
    3: "training attacks evidence",
    4: "report evaluation pruning",
    5: "pipeline",
    6: "cli",
}
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms.split()}
HEAVY = [
    "torch",
    "onnx",
    "onnxruntime",
    "scipy",
    "matplotlib",
    "wfdb",
    "unicorn",
    "capstone",
    "jinja2",
    "typst",
    "cyclonedx",
    "cryptography",
    "rich.progress",
]


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def _name(path: Path) -> str:
    return ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_room_imports_only_rooms_on_floors_below(path: Path) -> None:
    room = _room(_name(path))
    if room in ("__init__", "__main__"):
        return
    for imported in _imports(path):
        other = _room(imported)
        if imported.startswith("edgeprune.") and other != room:
            assert FLOOR_OF[other] < FLOOR_OF[room] or FLOOR_OF[room] == 0, (
                f"{_name(path)} (floor {FLOOR_OF[room]}) imports {imported}"
            )


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_stays_short_and_does_not_print(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 420
    if _room(_name(path)) != "cli":
        assert not re.search(r"^\s*print\(", text, re.MULTILINE)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom edgeprune.cli.app import create_app\ncreate_app()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_no_tracked_file_names_a_machine_or_a_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    forbidden = re.compile(r"/work/|/root/|/opt/wheels|pypi\.org|files\.pythonhosted")
    for name in listed.stdout.splitlines():
        path = CHECKOUT / name
        if path == Path(__file__) or not path.is_file():
            continue
        found = forbidden.search(path.read_text(encoding="utf-8", errors="ignore"))
        assert found is None, f"{name} says {found[0]}"
