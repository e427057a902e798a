"""The provers of the package, as the harness of `tests.verification.soundness` calls them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeprune.data.windows import Windows
from edgeprune.network.operation import Bounds
from edgeprune.verification import bound_graph as graphs
from edgeprune.verification import decides
from edgeprune.verification.input_sets import CorrelatedInput, InputSets, Selection
from edgeprune.verification.linear_bounds import BoundSettings, linear_bounds, margins, proves
from edgeprune.verification.outcomes import Outcome, VerificationRun
from edgeprune.verification.verify import VerifySettings, verify_windows
from tests.verification.soundness import Claims, Floats, Prover
from tests.verification.tiny_networks import SharedChange, TinyCase


def interval(case: TinyCase) -> Claims:
    """Exact interval bounds of every tensor."""
    network = case.network
    sets = input_sets(case)
    boxes = zip(sets.low, sets.high, strict=True)
    bounds: dict[str, Bounds] = dict(zip(network.inputs, boxes, strict=True))
    for operation in network.operations:
        operands = (bounds[name] for name in operation.inputs)
        bounds[operation.output] = operation.interval(network.tensors, *operands)
    low, high = (each.astype(int) for each in bounds[network.output])
    return Claims(
        proved=decides(low, high, case.decisions),
        low={name: each[0] for name, each in bounds.items()},
        high={name: each[1] for name, each in bounds.items()},
    )


def linear(settings: BoundSettings, rounding_lsb: int = 0) -> Prover:
    """Linear bounds: of every node, and of the margins."""

    def prove(case: TinyCase) -> Claims:
        graph = graphs.bound_graph(case.network, rounding_lsb)
        classes = case.logits.shape[1]
        objectives = margins(case.decisions, classes)
        bounds = linear_bounds(graph, input_sets(case), objectives, settings=settings)
        others = np.arange(classes) != case.decisions[:, np.newaxis]
        lower = np.full((case.windows, classes), -np.inf)
        lower[others] = bounds.lower.reshape(-1)
        nodes = [f"node {number}" for number in range(len(graph.nodes))]
        shapes = {name: tensor.shape for name, tensor in case.network.tensors.items()}

        def named(ends: tuple[Floats, ...]) -> dict[str, Floats]:
            return dict(zip(nodes, ends, strict=True)) | {
                name: ends[number].reshape(-1, *shapes[name])
                for name, number in graph.values.items()
            }

        return Claims(
            proved=proves(bounds.lower, case.decisions),
            low=named(bounds.activations.low),
            high=named(bounds.activations.high),
            values=dict(zip(nodes, graph.run(case.members), strict=True)),
            margins=lower,
        )

    return prove


def complete(settings: VerifySettings) -> Prover:
    """All stages; what they leave open is claimed by nobody."""

    def prove(case: TinyCase) -> Claims:
        assert case.held is not None
        assert case.perturbation is not None
        run = verified(case, settings)
        falsified = {}
        for window, result in enumerate(run.results):
            if result.counterexample is not None:
                raw = result.counterexample.raw
                if raw is not None:
                    assert case.perturbation.contains(
                        case.held.select(np.array([window])), raw[np.newaxis]
                    ).all()
                falsified[window] = result.counterexample.inputs
        proved = run.mask(Outcome.PROVED)
        margins = [
            result.margin if result.outcome is Outcome.PROVED else -np.inf for result in run.results
        ]
        return Claims(
            proved=proved,
            falsified=falsified,
            least_margin=np.array(margins),
            unsettled=len(proved) - int(proved.sum()) - len(falsified),
        )

    return prove


def verified(case: TinyCase, settings: VerifySettings) -> VerificationRun:
    """Verify the windows of a case whose set is that of a perturbation."""
    assert case.held is not None
    assert case.perturbation is not None
    return verify_windows(
        case.network, case.held, _windows(case), case.perturbation, settings=settings
    )


def _windows(case: TinyCase) -> Windows:
    count = case.windows
    return Windows(
        signal=case.centre[0],
        rhythm=case.centre[-1],
        gain=np.ones(count, np.int64),
        label=case.decisions,
        record=np.zeros(count, np.int64),
        beat=np.arange(count),
        record_names=("1",),
        patients=("1",),
        class_names=tuple("ABCDE"),
        synthetic=True,
    )


def input_sets(case: TinyCase) -> InputSets:
    """Return the sets of a case as the package describes them."""
    if case.perturbation is not None and case.held is not None:
        return case.perturbation.input_sets(case.held)
    correlated = None if case.shared is None else correlated_input(case.shared)
    return InputSets(case.low, case.high, correlated)


def correlated_input(shared: SharedChange) -> CorrelatedInput:
    """Return a shared change as the package describes it."""
    most = (shared.gain[:, np.newaxis] * shared.reach)[:, :, np.newaxis]
    ends = shared.centre - most, shared.centre + most
    usable = (ends[0] >= -128) & (ends[1] <= 127)
    clipped = np.maximum(-128 - ends[0], ends[1] - 127)
    slack = 0.5 + 1e-9 + np.where(usable, 0.0, clipped)
    return CorrelatedInput(
        shared.centre, slack, usable, _Budget(shared.reach, shared.budget), None, shared.gain
    )


@dataclass(frozen=True, eq=False)
class _Budget:
    """The changes of a SharedChange, before its gain."""

    reach: np.ndarray
    budget: np.ndarray

    def __len__(self) -> int:
        return len(self.reach)

    def support(self, weights: Floats) -> Floats:
        ones = np.ones(len(self.reach))
        shared = SharedChange(np.zeros((0, 0, 0)), ones, self.reach, self.budget)
        return shared.support(weights)

    def magnitude(self) -> Floats:
        return self.reach.astype(np.float64)

    def select(self, rows: Selection) -> _Budget:
        return _Budget(self.reach[rows], self.budget[rows])
