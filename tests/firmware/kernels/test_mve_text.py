"""Helium kernels without a board: the text is the same each time and zig's assembler takes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from elftools.elf.elffile import ELFFile

from edgeprune.firmware.kernels import InstructionSet, KernelCode
from edgeprune.firmware.steps import choices
from edgeprune.targets import load_target
from tests.firmware.kernels.bench import assembly_text
from tests.firmware.networks import r1, residual


def _codes() -> list[KernelCode]:
    """Return the first code of every step; the symbols of one network differ."""
    network = residual()
    return [option.codes[0] for option in choices(network, InstructionSet.MVE) if option.codes]


def test_the_same_network_gives_the_same_text() -> None:
    first, second = _codes(), _codes()
    assert [code.text for code in first] == [code.text for code in second]
    assert [code.constants for code in first] == [code.constants for code in second]


def test_zig_assembles_it_in_the_size_that_is_told(tmp_path: Path) -> None:
    toolchain = load_target("cortex-m55").toolchain
    assert toolchain is not None
    codes = _codes()
    assert len(codes) >= 7
    (tmp_path / "kernels.S").write_text("\n".join(map(assembly_text, codes)))
    command = [sys.executable, "-m", "ziglang", "cc", *toolchain.zig, "-c", "kernels.S"]
    subprocess.run([*command, "-o", "kernels.o"], cwd=tmp_path, check=True, capture_output=True)
    with (tmp_path / "kernels.o").open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        for code in codes:
            (symbol,) = table.get_symbol_by_name(code.symbol)
            assert 0 < symbol["st_size"] <= code.code_bytes


def test_the_plain_network_stays_below_a_hundred_thousand_instructions() -> None:
    """CMSIS-NN with Helium takes about 400,000."""
    options = choices(r1(), InstructionSet.MVE)
    best = [min(code.instructions for code in option.codes) for option in options if option.codes]
    assert len(best) == 5
    assert sum(best) < 100_000
