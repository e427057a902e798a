"""Pruning to a ratio or to a budget, in steps with fine-tuning between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from torch import nn

from edgeprune.config import PruningSettings
from edgeprune.errors import ConfigurationError, TargetTooSmallError
from edgeprune.progress import Progress
from edgeprune.pruning.counts import Counts, count
from edgeprune.pruning.dead_channels import with_dead_channels
from edgeprune.pruning.edits import Edit, Example, apply
from edgeprune.pruning.identity import structure_digest
from edgeprune.pruning.materials import Materials
from edgeprune.pruning.methods import METHODS, Candidates
from edgeprune.pruning.schedules import targets


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
        edits: What was done, in names and numbers of the network that the step began with.
        before: Counts at its beginning.
        after: Counts at its end.
        cost: What the network took as firmware after the removal; None where nobody measured.
    """

    edits: tuple[Edit, ...]
    before: Counts
    after: Counts
    cost: Cost | None


@dataclass(frozen=True)
class PruningResult:
    """A smaller classifier and its history.

    Attributes:
        model: The classifier, fine-tuned.
        steps: The rounds; `replay` repeats their edits.
        before: Counts of the classifier that was given.
        after: Counts of the result.
        stopped: Why the guard ended it before its aim was reached; empty where it did not.
    """

    model: nn.Module
    steps: tuple[PruningStep, ...]
    before: Counts
    after: Counts
    stopped: str = ""


FineTune = Callable[[nn.Module, int], nn.Module]
Measure = Callable[[nn.Module], Cost]
Guard = Callable[[nn.Module, int], str]
_BUDGET_SOLUTIONS = 12
_FINEST = 256  # parts of all candidates that are told apart where each takes long to judge


def prune(
    model: nn.Module,
    materials: Materials,
    settings: PruningSettings,
    fine_tune: FineTune,
    progress: Progress,
    measure: Measure | None = None,
    guard: Guard | None = None,
) -> PruningResult:
    """Make a classifier smaller until it is small enough.

    Method "none" does nothing. Without a budget, pruning goes on until the share `settings.ratio`
    of the non-zero weights and biases is gone. With a budget (`max_flash`, `max_ram`,
    `max_instructions`), as little goes as meets it, whatever the ratio: nothing, if the classifier
    meets it as it is.

    Args:
        model: The classifier; it is not changed.
        materials: What methods and criteria may look at.
        settings: How much and in how many steps.
        fine_tune: Trains a pruned classifier, keeping `held_zeros` of it; called with it and the
            number of the step (from 0).
        progress: Receives the steps.
        measure: Counts what a classifier takes as firmware; needed for a budget.
        guard: Looks at the classifier after each step (and its number, from 0); what it says other
            than "" ends the pruning with the classifier before that step.

    Raises:
        UnknownNameError: No method, importance, scope or schedule has that name.
        ConfigurationError: The ratio cannot be reached, or a budget is given that nobody measures.
        TargetTooSmallError: The budget cannot be met; the smallest costs reached are given.
    """
    work = _Work(materials, settings, measure)
    dense = work.count(model)
    if settings.method == "none":
        target = dense.remaining
    elif work.has_budget:
        target = work.remaining_within_budget(model, progress)
    else:
        target = round(dense.remaining * (1 - settings.ratio))
        work.check_reachable(model, target)
    steps: list[PruningStep] = []
    current = model
    stopped = ""
    wanted = targets(work.method.settled(settings), dense.remaining, target)
    with progress.task("pruning", len(wanted), "step") as advance:
        for number, left in enumerate(wanted):
            if target >= dense.remaining and not work.acts_without_ratio:
                break
            before = work.count(current)
            last = number == len(wanted) - 1
            if last and work.has_budget:
                edits = work.within_budget(current)
            else:
                edits = work.down_to(current, left)
            if edits:
                changed = work.apply(current, edits)
                cost = work.cost(changed) if work.has_budget else None
                changed = fine_tune(changed, number)
                stopped = guard(changed, number) if guard else ""
                if stopped:
                    break
                current = changed
                steps.append(PruningStep(edits, before, work.count(current), cost))
            advance(1)
    return PruningResult(current, tuple(steps), dense, work.count(current), stopped)


def replay(model: nn.Module, steps: tuple[PruningStep, ...], example: Example) -> nn.Module:
    """Return `model` with the edits of a history repeated, without its fine-tuning.

    Args:
        model: The classifier that the history began with.
        steps: The history.
        example: Inputs to call it with.

    Raises:
        ModelError: The history is of another classifier.
    """
    for step in steps:
        model = apply(model, step.edits, example)
    return model


class _Work:
    """The questions of one pruning, with the costs that have been measured."""

    def __init__(
        self, materials: Materials, settings: PruningSettings, measure: Measure | None
    ) -> None:
        self.materials = materials
        self.settings = settings
        self.method = METHODS.get(settings.method, where="pruning.method")
        self.limits = {
            "flash": settings.max_flash,
            "ram": settings.max_ram,
            "instructions": settings.max_instructions,
        }
        self.has_budget = any(self.limits.values())
        self.acts_without_ratio = self.method.solver and not self.has_budget
        if self.has_budget and measure is None:
            raise ConfigurationError(
                "a budget is given, but nothing that measures the firmware",
                where="pruning",
                hint="prune as part of a build, or give pruning.ratio only",
            )
        self.measure = measure
        self.costs: dict[str, Cost] = {}
        # Some criteria take a pass over the windows for every channel: ranked once a model.
        self.ranked: tuple[nn.Module, Candidates] | None = None

    def count(self, model: nn.Module) -> Counts:
        return count(model, self.materials.example)

    def apply(self, model: nn.Module, edits: tuple[Edit, ...]) -> nn.Module:
        return apply(model, edits, self.materials.example)

    def cost(self, model: nn.Module) -> Cost:
        """Return what the classifier takes; measured once for each structure and set of zeros."""
        structure = structure_digest(model)
        if structure not in self.costs:
            assert self.measure is not None
            self.costs[structure] = self.measure(model)
        return self.costs[structure]

    def meets_budget(self, model: nn.Module) -> bool:
        cost = asdict(self.cost(model))
        return all(not limit or cost[name] <= limit for name, limit in self.limits.items())

    def candidates(self, model: nn.Module) -> Candidates:
        if self.method.solver:
            return _Solutions(self, model)
        if self.ranked is None or self.ranked[0] is not model:
            found = self.method.candidates(model, self.materials, self.settings)
            self.ranked = model, found
        return self.ranked[1]

    def solve(self, model: nn.Module, remaining: int) -> tuple[Edit, ...]:
        return self.method.solve(model, self.materials, self.settings, remaining)

    def shortest(
        self,
        model: nn.Module,
        enough: Callable[[nn.Module], bool],
        whole: Callable[[nn.Module, tuple[Edit, ...]], tuple[Edit, ...]] | None = None,
    ) -> tuple[Edit, ...] | None:
        """Return the shortest beginning of the candidates after which `enough` holds, if any.

        With `whole`, what it makes of that beginning, which may be longer than the shortest by a
        small part of all candidates.
        """
        if enough(model):
            return ()
        ordered = self.candidates(model)

        def edits(number: int) -> tuple[Edit, ...]:
            found = ordered.first(number)
            return whole(model, found) if whole else found

        if not len(ordered) or not enough(self.apply(model, edits(len(ordered)))):
            return None
        too_few, sufficient = 0, len(ordered)
        near = max(1, len(ordered) // _FINEST) if whole else 1
        while sufficient - too_few > near:
            middle = (too_few + sufficient) // 2
            if enough(self.apply(model, edits(middle))):
                sufficient = middle
            else:
                too_few = middle
        return edits(sufficient)

    def whole(self, model: nn.Module, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
        """Return edits with what zeros have made useless."""
        multiple = self.settings.channel_multiple
        return with_dead_channels(model, edits, self.materials, multiple)

    def down_to(self, model: nn.Module, remaining: int) -> tuple[Edit, ...]:
        if self.method.solver:
            return self.whole(model, self.solve(model, remaining))

        def left(edits: tuple[Edit, ...]) -> int:
            return self.count(self.apply(model, edits)).remaining

        def enough(pruned: nn.Module) -> bool:
            return self.count(pruned).remaining <= remaining

        found = self.shortest(model, enough)
        if found is None:
            return self.everything(model)
        whole = self.whole(model, found)
        if len(whole) > len(found) and left(whole) < remaining * (1 - 1 / _FINEST):
            # What goes at no price makes room to keep what matters.
            return self.shortest(model, enough, self.whole) or whole
        return whole

    def within_budget(self, model: nn.Module) -> tuple[Edit, ...]:
        found = self.shortest(model, self.meets_budget, self.whole)
        if found is None:
            raise self.too_small(model)
        return found

    def remaining_within_budget(self, model: nn.Module, progress: Progress) -> int:
        """Return how much is left once the budget is met, before any fine-tuning."""
        progress.note("measuring how much has to go")
        return self.count(self.apply(model, self.within_budget(model))).remaining

    def everything(self, model: nn.Module) -> tuple[Edit, ...]:
        ordered = self.candidates(model)
        return self.whole(model, ordered.first(len(ordered)))

    def smallest(self, model: nn.Module) -> nn.Module:
        return self.apply(model, self.everything(model))

    def check_reachable(self, model: nn.Module, remaining: int) -> None:
        if self.method.solver:
            return
        least = self.count(self.smallest(model)).remaining
        if least > remaining:
            total = self.count(model).remaining
            coarse = self.settings.method == "channel"
            raise ConfigurationError(
                f"a pruning ratio of {self.settings.ratio:g} leaves {remaining} parameters, but "
                f"the smallest reached is {least} (a ratio of {1 - least / total:.3f})",
                where="pruning.ratio",
                hint="lower the ratio"
                + (", or lower pruning.channel_multiple" if coarse else ", or take another method"),
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
            hint="raise the budget, start from a smaller classifier, take another pruning.method, "
            "or lower pruning.channel_multiple",
        )


class _Solutions:
    """A solver's answers as candidates: the n-th leaves n parts in `_BUDGET_SOLUTIONS` less."""

    def __init__(self, work: _Work, model: nn.Module) -> None:
        self._work = work
        self._model = model
        self._total = work.count(model).remaining

    def __len__(self) -> int:
        return _BUDGET_SOLUTIONS

    def first(self, number: int) -> tuple[Edit, ...]:
        left = round(self._total * (1 - number / (_BUDGET_SOLUTIONS + 1)))
        return self._work.solve(self._model, left)
