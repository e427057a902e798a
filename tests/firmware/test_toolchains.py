"""What happens without a compiler, and when it refuses."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from edgeprune.errors import CompilerError, ConfigurationError, MissingToolError, UnknownNameError
from edgeprune.firmware import TOOLCHAINS, build_host_library, compile_image
from edgeprune.firmware.toolchains import run
from edgeprune.targets import load_target
from tests.firmware.conftest import Make
from tests.firmware.networks import r1


def test_without_ziglang(
    make_sources: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ziglang" else real(name)
    )
    with pytest.raises(MissingToolError, match="pip install ziglang"):
        compile_image(make_sources(r1()), load_target("cortex-m4"), tmp_path / "image.elf")
    with pytest.raises(MissingToolError, match="ziglang"):
        build_host_library(make_sources(r1()), compiler="zig")


def test_without_gnu_arm_or_gcc(
    make_sources: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingToolError, match="apt-get install gcc-arm-none-eabi"):
        compile_image(
            make_sources(r1()), load_target("cortex-m4"), tmp_path / "image.elf", toolchain="gnu"
        )
    with pytest.raises(MissingToolError, match="gcc"):
        build_host_library(make_sources(r1()), compiler="gcc")


def test_the_compiler_complains(make_sources: Make, tmp_path: Path) -> None:
    sources = make_sources(r1())
    (sources.folder / "edgeprune_model.c").write_text("int broken = ;\n")
    with pytest.raises(CompilerError, match="expected expression") as caught:
        compile_image(sources, load_target("cortex-m4"), tmp_path / "image.elf")
    assert "edgeprune_model.c:1" in caught.value.what
    assert not (tmp_path / "image.elf").exists()


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="known: gnu, zig"):
        TOOLCHAINS.get("zigg")
    with pytest.raises(ConfigurationError, match="no toolchain"):
        TOOLCHAINS.get("zig")(load_target("host"))


def test_run_shows_the_first_lines_only(tmp_path: Path) -> None:
    script = "import sys; print('\\n'.join(f'line {i}' for i in range(99)), file=sys.stderr)"
    with pytest.raises(CompilerError) as caught:
        run((sys.executable, "-c", f"{script}; sys.exit(1)"), tmp_path)
    assert "line 11" in caught.value.what
    assert "line 12" not in caught.value.what
