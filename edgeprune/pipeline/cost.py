"""What a classifier takes once it is firmware: generated, linked, emulated, counted."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from torch import nn

from edgeprune.devices import count_instructions
from edgeprune.errors import ConfigurationError
from edgeprune.firmware import Labels, compile_image, generate
from edgeprune.monitor import InputMonitor, fit_monitor
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.learn import quantize_quickly, windows_of
from edgeprune.pipeline.products import stratified
from edgeprune.pipeline.store import Stage
from edgeprune.pruning import Cost

_FITTED = 512


class Meter:
    """Counts the cost of classifiers on the target of a build.

    Args:
        context: The build.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def measure(self, model: nn.Module, data: Stage) -> Cost:
        """Return the real cost of a classifier with its present channels.

        Raises:
            ConfigurationError: The target is the host, or no emulator counts its instructions.
        """
        self._check()
        network = quantize_quickly(self._context, model, windows_of(data, "train"))
        return self.measure_network(network, data)

    def measure_network(self, network: IntegerNetwork, data: Stage) -> Cost:
        """Return the real cost of an integer network; no instructions where nothing counts them.

        Raises:
            ConfigurationError: The target is the host, or no emulator counts its instructions.
        """
        self._check()
        target = self._context.target
        with tempfile.TemporaryDirectory(prefix="edgeprune-") as name:
            folder = Path(name)
            labels = Labels("cost", self._context.card.class_names, "", synthetic=False)
            sources = generate(
                network,
                self._context.front_end,
                target,
                labels,
                folder / "c",
                optimize=self._context.config.firmware.optimize,
                hop=self._context.config.firmware.hop or None,
                guards=self._context.config.firmware.guards,
                small_steps=self._context.config.firmware.small_steps,
                monitor=self._monitor(network, data),
            )
            image = compile_image(
                sources,
                target,
                folder / "image.elf",
                toolchain=self._context.config.firmware.toolchain,
            )
            instructions = 0
            if target.emulator is not None:
                inputs = [np.zeros((1, *tensor.shape), np.int8) for tensor in network.input_tensors]
                rhythm = inputs[1] if len(inputs) == 2 else None
                classes = network.output_tensor.size
                profile = count_instructions(image.elf, target, inputs[0], rhythm, classes)
                instructions = profile.maximum
        return Cost(image.flash_bytes, image.ram_bytes, instructions)

    def _check(self) -> None:
        target = self._context.target
        if target.is_host or (target.emulator is None and self._limits_instructions):
            raise ConfigurationError(
                f"nothing counts the cost of firmware on {target.name}",
                where="pruning",
                hint="prune to a ratio instead of a budget",
            )

    def _monitor(self, network: IntegerNetwork, data: Stage) -> InputMonitor | None:
        """Return a monitor that takes what the fitted one will take, fitted on few windows."""
        context = self._context
        if not context.config.monitor.enabled:
            return None
        parts = [windows_of(data, part) for part in ("train", "validation")]
        few = [each.select(stratified(each, _FITTED, context.seed)) for each in parts]
        settings = context.config.monitor
        return fit_monitor(settings, network, few[0], few[1], context.front_end, context.adc)

    @property
    def _limits_instructions(self) -> bool:
        return self._context.config.pruning.max_instructions > 0
