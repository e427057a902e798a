"""The generated C against the numpy specification, layer by layer, tolerance 0."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from edgeprune.errors import NetworkError
from edgeprune.firmware import Golden, build_host_library, generate
from edgeprune.firmware.toolchains import WARNINGS
from edgeprune.targets import load_target
from tests.firmware.conftest import Make, labels
from tests.firmware.networks import r1, residual
from tests.network.strategies import Case, cases, inputs_for

# GNU's sanitizer ends the test run at the first undefined operation in the C.
UNDEFINED = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")


@given(cases(most_operations=10))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_layer_of_random_networks(make_sources: Make, host_compiler: str, case: Case) -> None:
    sources = make_sources(case.network)
    flags = UNDEFINED if host_compiler == "gcc" else ("-O1",)
    library = build_host_library(sources, compiler=host_compiler, flags=flags)
    expected = case.network.run_layers(*case.inputs)
    for name, values in library.run_layers(*case.inputs).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    np.testing.assert_array_equal(library.run(*case.inputs), case.network.run(*case.inputs))


@pytest.mark.parametrize("compiler", ["zig", "gcc"])
def test_ten_thousand_windows_in_seconds(make_sources: Make, compiler: str) -> None:
    if compiler == "gcc" and not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    network = residual()
    windows = inputs_for(network, 10_000, seed=3)
    library = build_host_library(make_sources(network), compiler=compiler)
    np.testing.assert_array_equal(library.run(*windows), network.run(*windows))


def test_inputs_of_another_shape_are_refused(make_sources: Make, host_compiler: str) -> None:
    library = build_host_library(make_sources(r1()), compiler=host_compiler)
    with pytest.raises(NetworkError, match="int8"):
        library.run(np.zeros((3, 255, 1), np.int8))
    with pytest.raises(NetworkError, match="takes 1 inputs"):
        library.run(np.zeros((3, 256, 1), np.int8), np.zeros((3, 2), np.int8))


def test_host_test_finds_no_fault_and_no_bad_address(tmp_path: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    network = residual()
    golden = Golden(inputs_for(network, 20, seed=5))
    sources = generate(network, None, load_target("host"), labels(network), tmp_path, golden=golden)
    command = ["gcc", *WARNINGS, "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command += ["-I.", "-Iruntime", "host_test.c", *sources.c_files, "-o", "host_test"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "host_test"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "PASS: 0 of 20 windows differ" in done.stdout


def test_host_test_notices_a_wrong_weight(tmp_path: Path, host_compiler: str) -> None:
    if host_compiler != "gcc":
        pytest.skip("gcc is not installed")
    network = r1()
    sources = generate(network, None, load_target("host"), labels(network), tmp_path)
    weights = tmp_path / "edgeprune_portable.c"
    text = weights.read_text()
    start = text.index("layer_08_bias")
    first = text.index("{", start) + 1
    end = text.index(",", first)
    weights.write_text(f"{text[:first]} 20000{text[end:]}")
    command = ["gcc", *WARNINGS, "-I.", "-Iruntime", "host_test.c", *sources.c_files]
    subprocess.run([*command, "-o", "host_test"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "host_test"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FAIL" in done.stdout
