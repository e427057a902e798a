"""Which of the codes that the generators offer a firmware takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from edgeprune.firmware.kernels import KernelCode, instruction_set
from edgeprune.firmware.plan import GUARD_BYTES, MemoryPlan, memory_plan, step_loads
from edgeprune.firmware.steps import Choice, Step, choices, portable_steps
from edgeprune.firmware.streaming import Overlap, StreamingPlan
from edgeprune.network import IntegerNetwork
from edgeprune.registry import Registry
from edgeprune.targets import Target

# What every firmware has beside its layers: weighs the flash and RAM of the layers.
_OTHER_FLASH = 2048
_OTHER_RAM = 1024
# What every further call of a layer takes, of its instructions: weights are expanded again.
_CALL_SHARE = 0.04
# Prices of a byte of flash, in parts of what a byte costs on average; see `_selections`.
_PRICES = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, math.inf)


@dataclass(frozen=True)
class _Cost:
    instructions: int
    flash_bytes: int
    ram_bytes: int


def _speed(cost: _Cost) -> tuple[float, ...]:
    return (cost.instructions, cost.ram_bytes, cost.flash_bytes)


def _size(cost: _Cost) -> tuple[float, ...]:
    return (cost.flash_bytes, cost.ram_bytes, cost.instructions)


def _ram(cost: _Cost) -> tuple[float, ...]:
    return (cost.ram_bytes, cost.instructions, cost.flash_bytes)


def _balanced(cost: _Cost) -> tuple[float, ...]:
    """One per cent of instructions counts as much as one of flash and one of RAM together."""
    flash, ram = _OTHER_FLASH + cost.flash_bytes, _OTHER_RAM + cost.ram_bytes
    return (2 * math.log(cost.instructions + 1) + math.log(flash) + math.log(ram),)


# The objective that takes portable C where that is smaller still.
SMALLEST = "size"
OBJECTIVES: Registry[Callable[[_Cost], tuple[float, ...]]] = Registry(
    "objective", balanced=_balanced, speed=_speed, size=_size, ram=_ram
)


@dataclass(frozen=True, eq=False)
class Implementation:
    """A network as steps, each with its code and its place in memory.

    Attributes:
        steps: In the order in which they run.
        plan: The arena.
        portable: Whether every step is portable C.
        stream: What consecutive windows share; None for windows that stand alone.
    """

    steps: tuple[Step, ...]
    plan: MemoryPlan
    portable: bool
    stream: StreamingPlan | None = None


def implement_portably(
    network: IntegerNetwork, stream: StreamingPlan | None = None
) -> Implementation:
    """Return the network in C99 alone."""
    steps = portable_steps(network)
    plan = memory_plan(network, steps, _kept(steps, stream))
    return Implementation(steps, plan, portable=True, stream=stream)


def implement(
    network: IntegerNetwork,
    target: Target,
    optimize: str = "balanced",
    stream: StreamingPlan | None = None,
    *,
    small_steps: bool = False,
) -> Implementation:
    """Return the network in assembly for a target's core, as far as the generators know how.

    Args:
        network: What to compute.
        target: For whose core.
        optimize: What to make small: a name of `OBJECTIVES`.
        stream: What consecutive windows share; None for windows that stand alone.
        small_steps: Take no code that cannot be cut into bounded steps, where there is other.

    Raises:
        UnknownNameError: There is no such objective.
        NetworkError: The network has not one or two inputs and one output.
    """
    objective = OBJECTIVES.get(optimize, where="firmware.optimize")
    instructions = instruction_set(target)
    if instructions is None:
        return implement_portably(network, stream)
    options = choices(network, instructions, stream, divisible=small_steps)
    if small_steps:
        options = tuple(_divisible(option, network) for option in options)
    whole = {code.text: code.instructions for option in options for code in option.codes}
    if stream is not None:
        options = tuple(_moved(option, stream.overlaps[option.step.output]) for option in options)
    kept = _kept(tuple(option.step for option in options), stream)
    rooms = tuple(_rooms(network, options, kept))
    best: tuple[tuple[float, ...], tuple[Step, ...]] | None = None
    for steps in _selections(options, rooms):
        plan = memory_plan(network, steps, kept, search_nodes=0)
        score = objective(_cost(steps, plan))
        if best is None or score < best[0]:
            best = score, steps
    assert best is not None
    steps = tuple(
        step
        if step.code is None
        else replace(step, code=replace(step.code, instructions=whole[step.code.text]))
        for step in best[1]
    )
    plan = memory_plan(network, steps, kept)
    return Implementation(steps, plan, portable=False, stream=stream)


def with_guards(network: IntegerNetwork, implementation: Implementation) -> Implementation:
    """Return the same implementation with a guard after every tensor and scratch memory."""
    steps = implementation.steps
    kept = _kept(steps, implementation.stream)
    return replace(implementation, plan=memory_plan(network, steps, kept, GUARD_BYTES))


def _moved(option: Choice, overlap: Overlap) -> Choice:
    """Return the choice with the instructions of a window that moved."""

    def instructions(code: KernelCode) -> int:
        ranges = overlap.ranges(code.unit)
        blocks = sum(-(-count // code.block) for _, count in ranges)
        share = min(blocks * code.block / overlap.length, 1.0)
        return int(code.instructions * (share + _CALL_SHARE * (len(ranges) - 1)))

    codes = tuple(replace(code, instructions=instructions(code)) for code in option.codes)
    return Choice(option.step, codes)


def _divisible(option: Choice, network: IntegerNetwork) -> Choice:
    """Return the choice without codes for the whole only, unless it has one row or no others.

    What overwrites its input must compute the whole as well.
    """
    output = option.step.output_tensor(network)
    if not output.is_map or output.shape[0] == 1:
        return option
    codes = tuple(
        replace(code, overwrites_input=False, overwrites_other=False)
        for code in option.codes
        if 0 < code.unit < output.shape[0]
    )
    return Choice(option.step, codes or option.codes)


def _kept(steps: Sequence[Step], stream: StreamingPlan | None) -> frozenset[str]:
    """Return the tensors in memory that the next window reads again."""
    if stream is None:
        return frozenset()
    made = {step.output for step in steps} | {stream.signal}
    return frozenset(name for name in made if stream.overlaps[name].kept)


@dataclass(frozen=True)
class _Load:
    """Bytes of tensors that are alive during a step, by where its output lies."""

    apart: int
    over_input: int
    over_other: int

    def of(self, code: KernelCode) -> int:
        """Return the load of a code, its scratch memory included."""
        loads = [self.apart]
        loads += [self.over_input] if code.overwrites_input else []
        loads += [self.over_other] if code.overwrites_other else []
        return min(loads) + code.scratch_bytes


def _rooms(
    network: IntegerNetwork, options: Sequence[Choice], kept: frozenset[str]
) -> Iterator[_Load]:
    """Yield what each step finds alive, were its output apart from or over one of its inputs."""
    bare = [option.step for option in options]
    apart = step_loads(network, bare, kept)
    for place, option in enumerate(options):
        loads = [apart[place]] * 2
        for operand in range(2):
            if option.codes:
                code = replace(
                    option.codes[0],
                    overwrites_input=operand == 0,
                    overwrites_other=operand == 1,
                )
                steps = [*bare[:place], _with(option, code), *bare[place + 1 :]]
                loads[operand] = step_loads(network, steps, kept)[place]
        yield _Load(apart[place], *loads)


def _selections(options: Sequence[Choice], rooms: Sequence[_Load]) -> Iterator[tuple[Step, ...]]:
    """Yield good selections: for each size of the arena, with flash cheap and flash dear."""
    pairs = list(zip(options, rooms, strict=True))
    floor = max(
        min((load.of(code) for code in option.codes), default=load.apart) for option, load in pairs
    )
    limits = {load.of(code) for option, load in pairs for code in option.codes}
    seen = set()
    for limit in sorted({floor, *(each for each in limits if each > floor)}):
        quickest = _cost([_select(option, load, limit, 0.0) for option, load in pairs], None)
        average = quickest.instructions / (_OTHER_FLASH + quickest.flash_bytes)
        for price in _PRICES:
            steps = tuple(_select(option, load, limit, price * average) for option, load in pairs)
            codes = tuple(id(step.code) for step in steps)
            if codes not in seen:
                seen.add(codes)
                yield steps


def _select(option: Choice, load: _Load, limit: int, price: float) -> Step:
    """Return the step with the code that costs least, a byte of flash being worth `price`."""
    if not option.codes:
        return option.step
    fitting = [code for code in option.codes if load.of(code) <= limit]

    def cost(code: KernelCode) -> tuple[float, ...]:
        if math.isinf(price):
            return (code.flash_bytes, code.instructions)
        return (code.instructions + price * code.flash_bytes, code.scratch_bytes)

    return _with(option, min(fitting, key=cost) if fitting else min(option.codes, key=load.of))


def _with(option: Choice, code: KernelCode) -> Step:
    return replace(option.step, code=code, calls=())


def _cost(steps: Sequence[Step], plan: MemoryPlan | None) -> _Cost:
    codes = [step.code for step in steps if step.code is not None]
    return _Cost(
        sum(code.instructions for code in codes),
        sum(code.flash_bytes for code in codes),
        (plan.arena_bytes if plan else 0) + max((code.stack_bytes for code in codes), default=0),
    )
