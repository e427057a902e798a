"""Every layout, built with its own tool where that is installed, and as that tool builds it."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from edgeprune import __version__
from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.errors import UnknownNameError
from edgeprune.firmware import Golden, generate
from edgeprune.firmware.layouts import LAYOUTS, package
from edgeprune.firmware.sources import FirmwareSources
from edgeprune.network import IntegerNetwork
from edgeprune.targets import Adc, load_target
from tests.firmware.conftest import labels
from tests.firmware.networks import behind_front_end, residual

DATA = Path(__file__).parent / "data"
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
BOARD = ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-ffreestanding")
Place = Callable[[str], Path]


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is absent")


@pytest.fixture(scope="module")
def network() -> IntegerNetwork:
    return residual()


@pytest.fixture(scope="module")
def golden(network: IntegerNetwork) -> Golden:
    random = np.random.default_rng(5)
    shapes = [tensor.shape for tensor in network.input_tensors]
    return Golden(
        tuple(random.integers(-128, 128, (2, *shape)).astype(np.int8) for shape in shapes)
    )


@pytest.fixture(scope="module")
def sources(
    network: IntegerNetwork, golden: Golden, tmp_path_factory: pytest.TempPathFactory
) -> FirmwareSources:
    target = load_target("cortex-m4")
    folder = tmp_path_factory.mktemp("library")
    return generate(network, None, target, labels(network), folder, golden=golden)


@pytest.fixture
def place(sources: FirmwareSources, golden: Golden, tmp_path: Path) -> Place:
    """Return a function that writes a layout into a folder called edgeprune_model."""

    def write(layout: str) -> Path:
        folder = tmp_path / layout / "edgeprune_model"
        package(sources, layout, folder, golden=golden)
        return folder

    return write


def run(*command: object, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def passes(program: Path) -> None:
    """Run an example of this machine: it says who it is and that its logits are the expected."""
    output = run(program)
    assert output.endswith("PASS: the same logits, to the bit\n")
    assert f"edgeprune {__version__}, network " in output
    assert "\nSYNTHETIC beat: class " in output


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_whole(
    sources: FirmwareSources, golden: Golden, tmp_path: Path, layout: str
) -> None:
    folder = tmp_path / "one"
    files = package(sources, layout, folder, golden=golden)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(files) == there
    code = {Path(name).name for name in (*sources.c_files, *sources.assembly_files)}
    assert code <= {path.name for path in (folder / "src").iterdir()}
    assert "edgeprune_layers.S" in code
    for name in files:
        text = (folder / name).read_text()
        # Side by side: what a file includes lies beside it or is the library's header.
        for included in re.findall(r'#include "(\w+\.h)"', text):
            home = (folder / name).parent / included
            assert home.exists() or (folder / "src" / included).exists()
        if "examples/" in name or "samples/" in name:
            assert not name.endswith((".c", ".h", ".ino")) or "SYNTHETIC" in text
        assert str(tmp_path) not in text
    assert "SYNTHETIC" in (folder / "README.md").read_text()
    package(sources, layout, tmp_path / "two", golden=golden)
    for name in files:
        assert (folder / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_unknown_layout_is_named(sources: FirmwareSources, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="bazel"):
        package(sources, "bazel", tmp_path)


def test_without_a_recording_the_example_says_so(sources: FirmwareSources, tmp_path: Path) -> None:
    package(sources, "cmake", tmp_path)
    text = (tmp_path / "examples/classify_beat/beat.h").read_text()
    assert text.startswith("/* SYNTHETIC window of random values")


@needs("gcc")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_input_behind_the_front_end_for_the_host(tmp_path: Path, layout: str) -> None:
    network, target = behind_front_end(rhythm=False), load_target("host")
    front_end = BeatFrontEnd.for_adc(Adc(250.0, 5.0, 11))
    library = generate(network, front_end, target, labels(network), tmp_path / "library")
    folder = tmp_path / "edgeprune_model"
    files = package(library, layout, folder)
    assert not any(name.endswith(".S") for name in files)
    main = [folder / name for name in files if name.endswith("/main.c")]
    if main:
        program = tmp_path / "program"
        objects = compiled(folder / "src", tmp_path)
        run("gcc", f"-I{folder / 'src'}", *main, *objects, "-o", program)
        assert "\nSYNTHETIC window of random values: class " in run(program)
    if layout == "cmsis-pack":
        project = next((folder / "examples/classify_beat").glob("*.csolution.yml")).read_text()
        assert "device: ARMCM4\n" in project


@needs("cmake")
def test_cmake_builds_installs_and_is_found(place: Place, tmp_path: Path) -> None:
    folder = place("cmake")
    build = tmp_path / "build"
    run("cmake", "-S", folder, "-B", build)
    run("cmake", "--build", build)
    assert "100% tests passed" in run("ctest", cwd=build)
    passes(build / "examples/classify_beat/classify_beat")
    run("cmake", "--install", build, "--prefix", tmp_path / "prefix")
    user = tmp_path / "user"
    shutil.copytree(folder / "examples/classify_beat", user)
    text = (user / "CMakeLists.txt").read_text()
    found = "find_package(edgeprune_model REQUIRED)"
    (user / "CMakeLists.txt").write_text(
        re.sub(r"if\(NOT TARGET.*?endif\(\)", found, text, flags=re.S)
    )
    run("cmake", "-S", user, "-B", user / "build", f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}")
    run("cmake", "--build", user / "build")
    passes(user / "build/classify_beat")


@needs("cmake")
@needs("arm-none-eabi-gcc")
@pytest.mark.parametrize("portable", ["OFF", "ON"])
def test_cmake_builds_for_the_core(place: Place, tmp_path: Path, portable: str) -> None:
    (tmp_path / "core.cmake").write_text(
        "set(CMAKE_SYSTEM_NAME Generic)\nset(CMAKE_SYSTEM_PROCESSOR arm)\n"
        "set(CMAKE_C_COMPILER arm-none-eabi-gcc)\nset(CMAKE_ASM_COMPILER arm-none-eabi-gcc)\n"
        f'set(CMAKE_C_FLAGS_INIT "{" ".join((*BOARD, *WARNINGS))}")\n'
        f'set(CMAKE_ASM_FLAGS_INIT "{" ".join(BOARD)}")\n'
        "set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)\n"
    )
    build = tmp_path / "build"
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={tmp_path / 'core.cmake'}"
    run("cmake", "-S", place("cmake"), "-B", build, toolchain, f"-DEDGEPRUNE_PORTABLE={portable}")
    run("cmake", "--build", build)
    symbols = run("arm-none-eabi-nm", "-A", build / "libedgeprune_model.a")
    assembled = re.findall(r"edgeprune_layers\.S\.\w+:.* T edgeprune_layer_", symbols)
    assert bool(assembled) is (portable == "OFF")


# What the sample needs of Zephyr: its module's Kconfig and CMake files, and the target "app".
ZEPHYR_STAND_IN = """
enable_language(C ASM)
add_executable(app "${ZEPHYR_STAND_IN}/empty.c")
file(STRINGS "${CMAKE_SOURCE_DIR}/prj.conf" lines REGEX "=")
foreach(line IN LISTS lines)
  string(REGEX MATCH "^([A-Z0-9_]+)=(.*)$" whole "${line}")
  set(${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
endforeach()
function(zephyr_include_directories)
  target_include_directories(app PRIVATE ${ARGN})
  set_property(GLOBAL APPEND PROPERTY includes ${CMAKE_CURRENT_SOURCE_DIR}/${ARGN})
endfunction()
function(zephyr_compile_definitions)
  add_compile_definitions(${ARGN})
endfunction()
macro(zephyr_library)
  add_library(module STATIC)
  get_property(includes GLOBAL PROPERTY includes)
  target_include_directories(module PRIVATE ${includes})
  target_link_libraries(app PRIVATE module)
endmacro()
function(zephyr_library_sources)
  target_sources(module PRIVATE ${ARGN})
endfunction()
set(CMAKE_POLICY_DEFAULT_CMP0076 NEW)
foreach(module IN LISTS EXTRA_ZEPHYR_MODULES)
  add_subdirectory(${module} ${CMAKE_BINARY_DIR}/module)
endforeach()
"""


@needs("cmake")
@needs("gcc")
def test_zephyr_module(place: Place, tmp_path: Path) -> None:
    """Zephyr is no package; a stand-in of its CMake functions builds the sample with them."""
    folder = place("zephyr")
    module = yaml.safe_load((folder / "zephyr/module.yml").read_text())
    assert set(module) <= {"name", "build", "samples", "tests"}
    assert (folder / module["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert (folder / module["samples"][0] / "classify_beat/sample.yaml").is_file()
    kconfig = (folder / module["build"]["kconfig"]).read_text()
    defined = set(re.findall(r"^config (\w+)", kconfig, re.M))
    assert defined == {"EDGEPRUNE_MODEL", "EDGEPRUNE_MODEL_PORTABLE"}
    used = set(re.findall(r"CONFIG_(\w+)", (folder / "CMakeLists.txt").read_text()))
    assert used == defined
    assert yaml.safe_load((folder / "samples/classify_beat/sample.yaml").read_text())["tests"]
    stand_in = tmp_path / "stand-in"
    stand_in.mkdir()
    (stand_in / "ZephyrConfig.cmake").write_text(ZEPHYR_STAND_IN)
    (stand_in / "empty.c").write_text("")
    sample, build = folder / "samples/classify_beat", tmp_path / "build"
    options = (f"-DZephyr_DIR={stand_in}", f"-DZEPHYR_STAND_IN={stand_in}")
    run("cmake", "-S", sample, "-B", build, *options)
    run("cmake", "--build", build)
    passes(build / "app")


@needs("gcc")
def test_arduino_sources_compile_as_the_builder_compiles_them(place: Place, tmp_path: Path) -> None:
    """Every .c and .S under src apart, with src alone on the include path; the sketch is C++."""
    folder = place("arduino")
    properties = dict(
        line.split("=", 1) for line in (folder / "library.properties").read_text().splitlines()
    )
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category"}
    assert required | {"url", "architectures", "includes"} == set(properties)
    assert properties["version"] == __version__
    keywords = (folder / "keywords.txt").read_text().split()
    assert {"edgeprune_classify", "edgeprune_decide", "edgeprune_check_weights"} <= set(keywords)
    objects = compiled(folder / "src", tmp_path)
    sketch = folder / "examples/classify_beat/classify_beat.ino"
    (tmp_path / "sketch.cpp").write_text(
        "#include <cstdio>\n#include <cstdint>\n#define NULL 0\n"
        "struct { void begin(long) {} void print(const char *s) { fputs(s, stdout); }\n"
        "void println(const char *s) { puts(s); } } Serial;\n"
        f'#line 1 "sketch"\n{sketch.read_text()}\n'
        "int main() { setup(); loop(); }\n"
    )
    program = tmp_path / "sketch"
    include = (f"-I{folder / 'src'}", f"-I{sketch.parent}")
    run("g++", "-std=c++11", *include, tmp_path / "sketch.cpp", *objects, "-o", program)
    passes(program)


def compiled(
    source: Path, tmp_path: Path, *, gcc: str = "gcc", flags: tuple[str, ...] = ()
) -> list[Path]:
    """Compile every .c and .S of a folder with that folder alone on the include path."""
    objects = []
    for file in sorted(path for path in source.rglob("*") if path.suffix in (".c", ".S")):
        objects.append(tmp_path / f"{file.name}.o")
        language = ("-std=c99", *WARNINGS) if file.suffix == ".c" else ()
        run(gcc, *flags, *language, "-O1", f"-I{source}", "-c", file, "-o", objects[-1])
    return objects


ARDUINO_CORE = """
#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
struct SerialPort { void begin(long); void print(const char *); void println(const char *); };
extern SerialPort Serial;
#endif
"""


@needs("arduino-builder")
@needs("arm-none-eabi-g++")
def test_arduino_builder_builds_the_example(place: Place, tmp_path: Path) -> None:
    folder = place("arduino")
    hardware = tmp_path / "hardware/house/arm"
    (hardware / "cores/plain").mkdir(parents=True)
    (hardware / "cores/plain/Arduino.h").write_text(ARDUINO_CORE)
    (hardware / "cores/plain/core.cpp").write_text('#include "Arduino.h"\n')
    platform = (DATA / "arduino_platform.txt").read_text()
    (hardware / "platform.txt").write_text(f"flags={' '.join(BOARD)} -Os\n{platform}")
    (hardware / "boards.txt").write_text(
        "m4.name=M4\nm4.build.core=plain\nm4.build.board=M4\nm4.build.mcu=cortex-m4\n"
        "m4.upload.maximum_size=1000000\n"
    )
    (tmp_path / "tools").mkdir()
    build = tmp_path / "build"
    build.mkdir()
    run(
        *("arduino-builder", "-compile", "-hardware", tmp_path / "hardware"),
        *("-tools", tmp_path / "tools", "-libraries", folder.parent),
        *("-fqbn", "house:arm:m4", "-build-path", build),
        folder / "examples/classify_beat/classify_beat.ino",
    )
    symbols = run("arm-none-eabi-nm", build / "classify_beat.ino.elf")
    assert re.search(r" T setup|_Z5setupv", symbols)
    for name in ("edgeprune_classify", "edgeprune_layer_00_"):
        assert re.search(rf" T {name}", symbols)


@needs("gcc")
def test_platformio_sources_compile_as_the_builder_compiles_them(
    place: Place, tmp_path: Path
) -> None:
    """srcDir is compiled whole, includeDir goes on the include path of library and project."""
    folder = place("platformio")
    manifest = json.loads((folder / "library.json").read_text())
    assert (manifest["name"], manifest["version"]) == ("edgeprune_model", __version__)
    assert (folder / manifest["build"]["includeDir"] / manifest["headers"]).is_file()
    example = manifest["examples"][0]
    assert all((folder / example["base"] / name).is_file() for name in example["files"])
    settings = configparser.ConfigParser()
    settings.read(folder / example["base"] / "platformio.ini")
    link = settings["env:native"]["lib_deps"].removeprefix("symlink://")
    assert (folder / example["base"] / link).resolve() == folder.resolve()
    objects = compiled(folder / manifest["build"]["srcDir"], tmp_path)
    main = folder / example["base"] / "src/main.c"
    program = tmp_path / "program"
    run(
        "gcc",
        settings["env:native"]["build_flags"],
        f"-I{folder / 'src'}",
        main,
        *objects,
        "-o",
        program,
    )
    passes(program)


def test_the_pack_description_is_whole(place: Place) -> None:
    folder = place("cmsis-pack")
    pack = ElementTree.parse(folder / "edgeprune.model.pdsc").getroot()
    assert pack.findtext("vendor") == "edgeprune"
    assert pack.find("releases/release") is not None
    named = {file.get("name"): file.get("category") for file in pack.iter("file")}
    assert all((folder / str(name)).exists() for name in named)
    sources = {f"src/{path.name}" for path in (folder / "src").iterdir()}
    assert sources <= set(named)
    kinds = {".c": "sourceC", ".h": "header", ".S": "sourceAsm"}
    assert all(named[name] == kinds[Path(name).suffix] for name in sources)
    condition = {each.get("id") for each in pack.iter("condition")}
    assert {each.get("condition") for each in pack.iter("component")} - {None} <= condition
    example = next(pack.iter("example"))
    load = next(pack.iter("environment")).get("load")
    place_of = folder / str(example.get("folder"))
    solution = yaml.safe_load((place_of / str(load)).read_text())["solution"]
    project = yaml.safe_load((place_of / solution["projects"][0]["project"]).read_text())["project"]
    for file in project["groups"][0]["files"]:
        assert (place_of / file["file"]).is_file()
    assert solution["target-types"][0]["device"] == "ARMCM4"


@needs("xmllint")
def test_the_pack_description_is_valid(place: Place) -> None:
    """Against Open-CMSIS-Pack's schema, https://github.com/Open-CMSIS-Pack/Open-CMSIS-Pack-Spec."""
    schema = os.environ.get("EDGEPRUNE_PACK_SCHEMA", "")
    if not schema:
        pytest.skip("EDGEPRUNE_PACK_SCHEMA does not name Open-CMSIS-Pack's PACK.xsd")
    description = place("cmsis-pack") / "edgeprune.model.pdsc"
    run("xmllint", "--noout", "--schema", schema, description)


@needs("arm-none-eabi-gcc")
def test_the_pack_compiles_for_the_core(place: Place, tmp_path: Path) -> None:
    folder = place("cmsis-pack")
    objects = compiled(folder / "src", tmp_path, gcc="arm-none-eabi-gcc", flags=BOARD)
    example = folder / "examples/classify_beat/main.c"
    options = [flag for flag in BOARD if flag != "-ffreestanding"]
    options += [*WARNINGS, "-std=c99", f"-I{folder / 'src'}", "--specs=nosys.specs"]
    elf = tmp_path / "example.elf"
    run("arm-none-eabi-gcc", *options, example, *objects, "-Wl,--gc-sections", "-o", elf)
