"""PlatformIO itself builds the library's example, without its registry.

Its build program SCons and the platform of this machine would come from there; the package index
has SCons, and the platform is a few lines.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edgeprune.firmware import generate, package
from edgeprune.targets import load_target
from tests.firmware.conftest import labels
from tests.firmware.networks import residual

PLATFORM = """
from platformio.public import PlatformBase
class NativePlatform(PlatformBase):
    pass
"""
BUILDER = """
from SCons.Script import Default, DefaultEnvironment
env = DefaultEnvironment()
for tool in ("gcc", "gnulink", "ar", "gas"):
    env.Tool(tool)
Default([env.BuildProgram()])
"""
SCONS = """
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import SCons.Script
SCons.Script.main()
"""
ASK = "import SCons, platformio.dependencies as d; print(SCons.__path__[0])"
ASK += "; print(d.get_core_dependencies()['tool-scons'])"


def needed(place: Path, kind: str, name: str, version: str) -> Path:
    """Write what PlatformIO notes of something that it installed."""
    folder = place / f"{kind}s".replace("tools", "packages") / name
    folder.mkdir(parents=True)
    spec = {"owner": "platformio", "id": None, "name": name, "requirements": None, "uri": None}
    note = {"type": kind, "name": name, "version": version, "spec": spec}
    (folder / ".piopm").write_text(json.dumps(note))
    return folder


@pytest.fixture
def pio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return PlatformIO's command, its home filled with SCons and a platform for this machine."""
    command = shutil.which("pio")
    if command is None:
        pytest.skip("pio is absent")
    interpreter = Path(command).read_text(errors="replace").splitlines()[0].removeprefix("#!")
    asked = subprocess.run([interpreter, "-c", ASK], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        pytest.skip("pio's Python has no SCons")
    scons, wanted = asked.stdout.split()
    version = wanted.lstrip("~^=")
    home = tmp_path / "home"
    tool = needed(home, "tool", "tool-scons", version)
    shutil.copytree(scons, tool / "SCons")
    (tool / "scons.py").write_text(SCONS)
    (tool / "package.json").write_text(json.dumps({"name": "tool-scons", "version": version}))
    platform = needed(home, "platform", "native", "1.2.1")
    (platform / "platform.py").write_text(PLATFORM)
    manifest = {"name": "native", "version": "1.2.1", "title": "This machine", "packages": {}}
    manifest |= {"description": "This machine", "license": "Apache-2.0", "frameworks": {}}
    manifest |= {"repository": {"type": "git", "url": "https://github.com/platformio/none.git"}}
    (platform / "platform.json").write_text(json.dumps(manifest))
    (platform / "builder").mkdir()
    (platform / "builder/main.py").write_text(BUILDER)
    monkeypatch.setenv("PLATFORMIO_CORE_DIR", str(home))
    monkeypatch.setenv("PLATFORMIO_SETTING_ENABLE_TELEMETRY", "no")
    return command


def run(*command: object) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.system
def test_platformio_builds_the_example(pio: str, tmp_path: Path) -> None:
    network, folder = residual(), tmp_path / "edgeprune_model"
    target = load_target("cortex-m4")
    sources = generate(network, None, target, labels(network), tmp_path / "library")
    package(sources, "platformio", folder)
    example = folder / "examples/classify_beat"
    output = run(pio, "run", "-d", example)
    assert "edgeprune_model @ " in output
    for name in ("edgeprune_model.o", "edgeprune_portable.o", "edgeprune_layers.o"):
        assert f"/{name}\n" in output
    assert run(example / ".pio/build/native/program").endswith(
        "PASS: the same logits, to the bit\n"
    )


@pytest.mark.system
def test_platformio_accepts_the_manifest(pio: str, tmp_path: Path) -> None:
    network, folder = residual(), tmp_path / "edgeprune_model"
    sources = generate(network, None, load_target("host"), labels(network), tmp_path / "library")
    package(sources, "platformio", folder)
    manifest = json.loads((folder / "library.json").read_text())
    # pio fetches the list of licences from the network.
    assert manifest.pop("license") == "Apache-2.0"
    (folder / "library.json").write_text(json.dumps(manifest))
    run(pio, "pkg", "pack", folder, "-o", tmp_path / "package.tar.gz")
    assert (tmp_path / "package.tar.gz").is_file()
