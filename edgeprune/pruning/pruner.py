"""Pruning to a ratio or to a budget, in steps with fine-tuning between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from torch import Tensor, nn

from edgeprune.classifiers import example_inputs
from edgeprune.classifiers.structure import LayerWidth, layer_widths
from edgeprune.config import PruningSettings
from edgeprune.errors import ConfigurationError, TargetTooSmallError
from edgeprune.progress import Progress
from edgeprune.pruning.channels import Removal, channel_candidates, remove
from edgeprune.pruning.counts import Counts, count
from edgeprune.registry import Registry


@dataclass(frozen=True)
class Cost:
    """What a classifier takes once it is firmware, counted and not estimated.

    Attributes:
        flash: Bytes of the firmware image in flash.
        ram: Bytes of RAM, stack included.
        instructions: Instructions of one window.
    """

    flash: int
    ram: int
    instructions: int


@dataclass(frozen=True)
class PruningStep:
    """One round of removing and fine-tuning.

    Attributes:
        removals: What was removed, in numbers of the network that the step began with.
        before: Counts at its beginning.
        after: Counts at its end.
        cost: What the network took as firmware after the removal; None where nobody measured.
    """

    removals: tuple[Removal, ...]
    before: Counts
    after: Counts
    cost: Cost | None


@dataclass(frozen=True)
class PruningResult:
    """A narrower classifier and its history.

    Attributes:
        model: The classifier, fine-tuned.
        steps: The rounds; `replay` repeats their removals.
        before: Counts of the classifier that was given.
        after: Counts of the result.
    """

    model: nn.Module
    steps: tuple[PruningStep, ...]
    before: Counts
    after: Counts


Method = Callable[[nn.Module, tuple[Tensor, ...], PruningSettings], tuple[Removal, ...]]
METHODS: Registry[Method] = Registry("pruning method", channel=channel_candidates)
METHODS.add("none", lambda *_: ())

FineTune = Callable[[nn.Module, int], nn.Module]
Measure = Callable[[nn.Module], Cost]


def prune(
    model: nn.Module,
    signal_shape: tuple[int, int],
    rhythm_features: int,
    settings: PruningSettings,
    fine_tune: FineTune,
    progress: Progress,
    measure: Measure | None = None,
) -> PruningResult:
    """Remove channels until the classifier is small enough.

    Method "none" removes nothing. Without a budget, channels go until the share `settings.ratio` of
    the deployed parameters is gone. With a budget (`max_flash`, `max_ram`, `max_instructions`), as
    little goes as meets it, whatever the ratio: nothing, if the classifier meets it as it is.

    Args:
        model: The classifier; it is not changed.
        signal_shape: Length and channels of the signal.
        rhythm_features: Features of the rhythm input.
        settings: How much and in how many steps.
        fine_tune: Trains a pruned classifier; called with it and the number of the step (from 0).
        progress: Receives the steps.
        measure: Counts what a classifier takes as firmware; needed for a budget.

    Raises:
        UnknownNameError: No method, importance or scope has that name.
        ConfigurationError: The ratio cannot be reached, or a budget is given that nobody measures.
        TargetTooSmallError: The budget cannot be met; the smallest costs reached are given.
    """
    work = _Work(signal_shape, rhythm_features, settings, measure)
    dense = work.count(model)
    if settings.method == "none":
        target = dense.parameters
    elif work.has_budget:
        target = work.parameters_within_budget(model, progress)
    else:
        target = round(dense.parameters * (1 - settings.ratio))
        work.check_reachable(model, target)
    steps: list[PruningStep] = []
    current = model
    with progress.task("pruning", settings.steps, "step") as advance:
        for number in range(settings.steps):
            if target >= dense.parameters:
                break
            before = work.count(current)
            share = (number + 1) / settings.steps
            wanted = round(dense.parameters - share * (dense.parameters - target))
            last = number == settings.steps - 1
            if last and work.has_budget:
                removals = work.within_budget(current)
            else:
                removals = work.down_to(current, wanted)
            if removals:
                current = remove(current, removals, work.example(current))
                cost = work.cost(current) if work.has_budget else None
                current = fine_tune(current, number)
                steps.append(PruningStep(removals, before, work.count(current), cost))
            advance(1)
    return PruningResult(current, tuple(steps), dense, work.count(current))


def replay(
    model: nn.Module,
    steps: tuple[PruningStep, ...],
    signal_shape: tuple[int, int],
    rhythm_features: int,
) -> nn.Module:
    """Return `model` with the removals of a history repeated, without its fine-tuning.

    Args:
        model: The classifier that the history began with.
        steps: The history.
        signal_shape: Length and channels of the signal.
        rhythm_features: Features of the rhythm input.

    Raises:
        ModelError: The history is of another classifier.
    """
    for step in steps:
        model = remove(model, step.removals, example_inputs(model, signal_shape, rhythm_features))
    return model


class _Work:
    """The questions of one pruning, with the costs that have been measured."""

    def __init__(
        self,
        signal_shape: tuple[int, int],
        rhythm_features: int,
        settings: PruningSettings,
        measure: Measure | None,
    ) -> None:
        self.shape = signal_shape
        self.rhythm_features = rhythm_features
        self.settings = settings
        self.limits = {
            "flash": settings.max_flash,
            "ram": settings.max_ram,
            "instructions": settings.max_instructions,
        }
        self.has_budget = any(self.limits.values())
        if self.has_budget and measure is None:
            raise ConfigurationError(
                "a budget is given, but nothing that measures the firmware",
                where="pruning",
                hint="prune as part of a build, or give pruning.ratio only",
            )
        self.measure = measure
        self.costs: dict[tuple[LayerWidth, ...], Cost] = {}

    def example(self, model: nn.Module) -> tuple[Tensor, ...]:
        return example_inputs(model, self.shape, self.rhythm_features)

    def count(self, model: nn.Module) -> Counts:
        return count(model, self.example(model))

    def cost(self, model: nn.Module) -> Cost:
        """Return what the classifier takes; measured once for each set of widths."""
        widths = layer_widths(model)
        if widths not in self.costs:
            assert self.measure is not None
            self.costs[widths] = self.measure(model)
        return self.costs[widths]

    def meets_budget(self, model: nn.Module) -> bool:
        cost = asdict(self.cost(model))
        return all(not limit or cost[name] <= limit for name, limit in self.limits.items())

    def candidates(self, model: nn.Module) -> tuple[Removal, ...]:
        method = METHODS.get(self.settings.method, where="pruning.method")
        return method(model, self.example(model), self.settings)

    def shortest(
        self, model: nn.Module, enough: Callable[[nn.Module], bool]
    ) -> tuple[Removal, ...] | None:
        """Return the shortest beginning of the candidates after which `enough` holds, if any."""
        if enough(model):
            return ()
        ordered = self.candidates(model)
        example = self.example(model)
        if not ordered or not enough(remove(model, ordered, example)):
            return None
        too_few, sufficient = 0, len(ordered)
        while sufficient - too_few > 1:
            middle = (too_few + sufficient) // 2
            if enough(remove(model, ordered[:middle], example)):
                sufficient = middle
            else:
                too_few = middle
        return ordered[:sufficient]

    def down_to(self, model: nn.Module, parameters: int) -> tuple[Removal, ...]:
        found = self.shortest(model, lambda m: self.count(m).parameters <= parameters)
        return self.candidates(model) if found is None else found

    def within_budget(self, model: nn.Module) -> tuple[Removal, ...]:
        found = self.shortest(model, self.meets_budget)
        if found is None:
            raise self.too_small(model)
        return found

    def parameters_within_budget(self, model: nn.Module, progress: Progress) -> int:
        """Return how many parameters are left once the budget is met, before any fine-tuning."""
        progress.note("measuring how much has to go")
        removals = self.within_budget(model)
        return self.count(remove(model, removals, self.example(model))).parameters

    def smallest(self, model: nn.Module) -> nn.Module:
        return remove(model, self.candidates(model), self.example(model))

    def check_reachable(self, model: nn.Module, parameters: int) -> None:
        least = self.count(self.smallest(model)).parameters
        if least > parameters:
            total = self.count(model).parameters
            raise ConfigurationError(
                f"a pruning ratio of {self.settings.ratio:g} leaves {parameters} parameters, but "
                f"the smallest reached is {least} (a ratio of {1 - least / total:.3f})",
                where="pruning.ratio",
                hint="lower the ratio, or lower pruning.channel_multiple",
            )

    def too_small(self, model: nn.Module) -> TargetTooSmallError:
        smallest = asdict(self.cost(self.smallest(model)))
        rows = [
            f"{name}: smallest reached {smallest[name]:,}, budget {limit:,}"
            for name, limit in self.limits.items()
            if limit
        ]
        return TargetTooSmallError(
            f"pruning cannot meet the budget ({'; '.join(rows)})",
            where="pruning",
            hint="raise the budget, start from a smaller classifier, or lower channel_multiple",
        )
