"""The driver of a Nucleo-H743ZI's serial port, against its registers as RM0433 describes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from unicorn import Uc
from unicorn import arm_const as arm

from edgeprune.devices import frames
from edgeprune.devices.unicorn_device import emulator_for
from edgeprune.firmware import compile_image, generate
from edgeprune.targets import load_target
from tests.firmware.conftest import labels
from tests.firmware.networks import residual
from tests.network.strategies import inputs_for

RCC, GPIOD, USART3 = 0x5802_4000, 0x5802_0000, 0x4000_4000
# Places within the mapped pages.
AHB4ENR, APB1LENR, MODER, AFRH, USART = 0x4E0, 0x4E8, 0xC00, 0xC24, 0x800
CR1, BRR, ISR, RDR, TDR = 0x00, 0x0C, 0x1C, 0x24, 0x28
PAGE = 0x1000


class Nucleo:
    """Registers of the chip around an emulated core.

    Args:
        machine: The core.
        line: What the host sends.
    """

    def __init__(self, machine: Uc, line: bytes) -> None:
        self.registers: dict[int, int] = {GPIOD + MODER: 0xFFFF_FFFF}
        self.sent = bytearray()
        self._line = list(line)
        self._machine = machine
        for page in (RCC, GPIOD, USART3):
            machine.mmio_map(page, PAGE, self._read, page, self._write, page)

    def _read(self, _: Uc, offset: int, size: int, page: int) -> int:
        assert size == 4
        place = page + offset
        if place == USART3 + USART + ISR:
            if not self._line:
                self._machine.emu_stop()
            return 1 << 7 | (bool(self._line) << 5)
        if place == USART3 + USART + RDR:
            return self._line.pop(0)
        return self.registers.get(place, 0)

    def _write(self, _: Uc, offset: int, size: int, value: int, page: int) -> None:
        assert size == 4
        if page + offset == USART3 + USART + TDR:
            # Nothing is sent before clock, pins and transmitter are on.
            assert self.registers[RCC + APB1LENR] & 1 << 18
            assert self.registers[USART3 + USART + CR1] & 0b1101 == 0b1101
            self.sent.append(value & 0xFF)
        else:
            # A peripheral without its clock keeps nothing.
            if page == GPIOD:
                assert self.registers[RCC + AHB4ENR] & 1 << 3
            self.registers[page + offset] = value


def test_windows_through_the_registers(tmp_path: Path) -> None:
    network, target = residual(), load_target("stm32h743")
    sources = generate(network, None, target, labels(network), tmp_path / "c")
    image = compile_image(sources, target, tmp_path / "image.elf", program="serial")
    windows = inputs_for(network, 2, seed=1)
    requests = [frames.encode(1, frames.INFO)]
    requests += [
        frames.encode(2 + row, frames.CLASSIFY, signal.tobytes() + rhythm.tobytes())
        for row, (signal, rhythm) in enumerate(zip(*windows, strict=True))
    ]
    emulator = emulator_for(image.elf, target)
    board = Nucleo(emulator.machine, b"".join(requests))
    emulator.machine.reg_write(arm.UC_ARM_REG_SP, emulator.program.stack_top)
    emulator.machine.emu_start(emulator.program.entry, 0xFFFF_FFFE, timeout=20_000_000)
    info, *answers = frames.Decoder().feed(bytes(board.sent))
    assert network.sha256.encode() in info.payload
    found = [np.frombuffer(each.payload, np.int8) for each in answers]
    np.testing.assert_array_equal(found, network.run(*windows))
    # 64 MHz / 115,200 is 555.6: the nearest divider is 0.08 % off.
    assert board.registers[USART3 + USART + BRR] == 556
    # PD8 and PD9 are what they became, the other pins what they were: analog.
    assert board.registers[GPIOD + MODER] == 0xFFFA_FFFF
    assert board.registers[GPIOD + AFRH] == 0x77
