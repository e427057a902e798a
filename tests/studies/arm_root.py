"""Prepares a Debian arm64 root with the real aarch64 wheels, and runs runtimes in it.

    python -m tests.studies.arm_root [--root FOLDER]

Nothing is booted and nobody need be root: apt downloads the packages of a state of its own,
`dpkg-deb -x` unpacks them, pip unpacks the wheels beside them, and QEMU's user mode runs the Python
in there. Good for numbers, not for times. It takes a Debian machine, for apt and dpkg-deb.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.devices.board_runtimes import RUNNER, runtime_inputs, runtime_logits
from edgeprune.devices.qemu_user import find_qemu_user
from edgeprune.errors import DeviceError, MissingToolError
from edgeprune.network import IntegerNetwork
from edgeprune.targets import load_target

VARIABLE = "EDGEPRUNE_ARM_ROOT"
# The Python of Debian 12, the last for which there is a wheel of tflite-runtime.
PYTHON = "3.11"
SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PACKAGES = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6", "libgcc-s1", "libgomp1")
WHEELS = (
    "numpy==1.26.4",
    "onnxruntime==1.23.2",
    "tflite-runtime==2.14.0",
    "ai-edge-litert==2.3.0",
    "flatbuffers==25.12.19",
    "typing_extensions==4.15.0",
)
PLATFORMS = (
    "manylinux_2_34",
    "manylinux_2_28",
    "manylinux_2_27",
    "manylinux_2_17",
    "manylinux2014",
)
# onnxruntime looks for processors there, and would find this machine's own.
CPU_FILES = ("possible", "present", "online")
CPU_INFO = """processor\t: 0
BogoMIPS\t: 100.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3
"""
DONE = ".prepared"
CPU = "cortex-a72"


def default_root() -> Path:
    """The folder that the variable names, or one in the user's cache."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(os.environ.get(VARIABLE) or home / "edgeprune" / "arm-root")


def is_prepared(root: Path) -> bool:
    return (root / DONE).is_file()


def prepare(root: Path) -> None:
    """Fill the folder; what is downloaded is kept beside it, and a second call does nothing."""
    if is_prepared(root):
        return
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise MissingToolError(
                f"{tool} is not on this machine", where="PATH", hint="take a Debian machine"
            )
    root.mkdir(parents=True, exist_ok=True)
    for package in _download(root.with_name(f"{root.name}.apt")):
        subprocess.run(("dpkg-deb", "-x", package, root), check=True)
    _install_wheels(root)
    cpus = root / "sys" / "devices" / "system" / "cpu"
    cpus.mkdir(parents=True, exist_ok=True)
    for name in CPU_FILES:
        (cpus / name).write_text("0\n")
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc" / "cpuinfo").write_text(CPU_INFO)
    (root / DONE).write_text("\n".join((*PACKAGES, *WHEELS)) + "\n")


def _download(state: Path) -> list[Path]:
    """Let apt fetch the packages for arm64 into a state of its own."""
    lists, archives = state / "lists" / "partial", state / "archives" / "partial"
    for folder in (lists, archives):
        folder.mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    (state / "sources.list").write_text(
        f"deb [arch=arm64 signed-by={KEYRING}] {MIRROR} {SUITE} main\n"
    )
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",
        "Dir::Etc::SourceList": state / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": state / "lists",
        "Dir::State::Status": state / "status",
        "Dir::Cache": state,
        "Dir::Cache::Archives": state / "archives",
        "Debug::NoLocking": "1",
    }
    apt = ("apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items()))
    subprocess.run((*apt, "update"), check=True)
    install = ("--yes", "--download-only", "--no-install-recommends", "install", *PACKAGES)
    subprocess.run((*apt, *install), check=True)
    return sorted((state / "archives").glob("*.deb"))


def _install_wheels(root: Path) -> None:
    platforms = (f"--platform={name}_aarch64" for name in PLATFORMS)
    subprocess.run(
        (
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"),
            *("--only-binary=:all:", "--implementation=cp", "--abi=cp311", "--abi=none"),
            *(f"--python-version={PYTHON}", *platforms, "--upgrade", "--target", root / "site"),
            *WHEELS,
        ),
        check=True,
    )


def run_runtime(
    root: Path,
    runtime: str,
    network: IntegerNetwork,
    inputs: Sequence[npt.NDArray[np.int8]],
    folder: Path,
) -> npt.NDArray[np.int8]:
    """Run a network's files through a runtime of the root; logits int8 [n, classes].

    Args:
        root: A prepared root.
        runtime: One of `IMPLEMENTATIONS` of `edgeprune.devices.board_runtimes`.
        network: The network.
        inputs: int8 values for each of its inputs.
        folder: A folder with its model.tflite and model.onnx; written to.
    """
    if not is_prepared(root):
        raise MissingToolError(
            "there is no root with the aarch64 wheels",
            where=str(root),
            hint=f"make arm-root, or name it in {VARIABLE}",
        )
    (folder / "inputs.npz").write_bytes(runtime_inputs(network, inputs))
    command = (
        *(find_qemu_user(load_target(CPU)), "-cpu", CPU, "-L", root),
        *("-E", f"PYTHONPATH={root / 'site'}", "-E", f"PYTHONHOME={root / 'usr'}"),
        *("-E", "OMP_NUM_THREADS=1", root / "usr" / "bin" / f"python{PYTHON}"),
        *(RUNNER, folder, runtime),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"code {done.returncode}"]
        raise DeviceError(
            f"{runtime} of the arm64 root failed: {said[0]}",
            where=str(root),
            hint="remove the folder and run make arm-root again",
        )
    found = np.load(folder / "outputs.npy")
    return runtime_logits(network, found.reshape(len(inputs[0]), -1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=default_root())
    root = parser.parse_args().root
    prepare(root)
    print(f"{root} holds Python {PYTHON} of Debian {SUITE} for arm64 and {', '.join(WHEELS)}")


if __name__ == "__main__":
    main()
