"""The generated folder as a firmware engineer meets it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgeprune.errors import NetworkError
from edgeprune.firmware import Labels, generate
from edgeprune.firmware.lowering import interleave
from edgeprune.firmware.toolchains import WARNINGS, zig_command
from edgeprune.firmware.writer import class_macros, float_text
from edgeprune.targets import load_target
from tests.firmware.conftest import Make, labels
from tests.firmware.networks import r1, residual


def test_cmake_builds_and_the_host_test_passes(make_sources: Make) -> None:
    if not shutil.which("cmake") or not shutil.which("cc"):
        pytest.skip("cmake or a C compiler is not installed")
    folder = make_sources(residual()).folder
    for command in (
        ("cmake", "-S", ".", "-B", "build"),
        ("cmake", "--build", "build"),
        ("ctest", "--test-dir", "build", "--output-on-failure"),
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("language", ["c99", "c11"])
def test_the_line_in_the_readme(make_sources: Make, language: str) -> None:
    folder = make_sources(r1()).folder
    line = re.search(r"^cc -std=c99 (.*) -o host_test", (folder / "README.md").read_text(), re.M)
    assert line is not None
    flags = [f"-std={language}" if flag == "-std=c99" else flag for flag in WARNINGS]
    command = [*zig_command(), *flags, *line[1].split(), "-o", "host_test"]
    subprocess.run(command, cwd=folder, check=True)
    done = subprocess.run([folder / "host_test"], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("PASS: 0 of 4 windows differ\n")


def test_the_header_is_plain_c_and_cpp(make_sources: Make) -> None:
    folder = make_sources(residual()).folder
    (folder / "use.cpp").write_text('#include "edgeprune_model.h"\nint main() { return 0; }\n')
    command = (
        *zig_command(),
        "-std=c++17",
        "-Wall",
        "-Werror",
        "-c",
        "-o",
        "out.o",
        "-I.",
        "use.cpp",
    )
    subprocess.run(command, cwd=folder, check=True)


def test_synthetic_and_real_data_are_told_apart(tmp_path: Path) -> None:
    network = r1()
    names = labels(network).class_names
    for synthetic in (False, True):
        folder = tmp_path / str(synthetic)
        words = Labels("test", names, "mit-bih", synthetic)
        generate(network, None, load_target("host"), words, folder)
        for name in ("edgeprune_model.h", "README.md"):
            text = (folder / name).read_text()
            assert ("synthetic data" in text.lower().replace("\n", " ")) is synthetic or (
                "EDGEPRUNE_SYNTHETIC 0" in text
            )
            assert ("mit-bih" in text) is not synthetic


def test_hostile_names_cannot_leave_their_comment(tmp_path: Path) -> None:
    network = r1()
    names = ('a"; system("x', "*/ int bad; /*", "\\", "ü\nline", "??/")
    words = Labels("*/ #error out /*", names, "*/", synthetic=False)
    sources = generate(network, None, load_target("host"), words, tmp_path)
    command = (
        *zig_command(),
        *WARNINGS,
        "-c",
        "-o",
        "out.o",
        "-I.",
        "-Iruntime",
        "edgeprune_model.c",
    )
    subprocess.run(command, cwd=sources.folder, check=True)


def test_class_names_must_fit(tmp_path: Path) -> None:
    words = Labels("test", ("N", "S"), "nothing", synthetic=True)
    with pytest.raises(NetworkError, match="2 class names for 5 logits"):
        generate(r1(), None, load_target("host"), words, tmp_path)


def test_class_macros_are_different() -> None:
    assert class_macros(("N", "n", "", "very odd")) == (
        "EDGEPRUNE_CLASS_N_0",
        "EDGEPRUNE_CLASS_N_1",
        "EDGEPRUNE_CLASS_NUMBER_2",
        "EDGEPRUNE_CLASS_VERY_ODD",
    )


def test_scales_read_back_exactly() -> None:
    random = np.random.default_rng(0)
    for value in np.exp2(random.uniform(-60, 60, 500)).astype(np.float32):
        assert np.float32(float_text(float(value)).removesuffix("f")) == value


def test_interleaved_weights() -> None:
    weights = np.arange(1, 16, dtype=np.int8).reshape(3, 5)
    pairs = interleave(weights, 1)
    assert pairs.shape == (1, 2, 6, 2)
    assert pairs[0, 0].tolist() == [[1, 6], [2, 7], [3, 8], [4, 9], [5, 10], [0, 0]]
    assert pairs[0, 1].tolist() == [[11, 0], [12, 0], [13, 0], [14, 0], [15, 0], [0, 0]]
    assert interleave(np.ones((6, 2), np.int8), 2).shape == (2, 2, 2, 2)
