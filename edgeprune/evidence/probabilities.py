"""What the network's confidence is worth: order (AUROC, AUPRC) and calibration (ECE, Brier)."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.quantity import Quantity


@dataclass(frozen=True)
class ClassProbabilities:
    """The probability of one class against all others.

    Attributes:
        name: Short name of the class.
        n: Windows of the class in the reference.
        auroc: Chance that a window of the class has a higher probability than one that is not of
            it, ties counted half; undefined where either is missing.
        auprc: Average precision: the mean precision over the class's windows, in the order of
            their probability; what chance alone reaches is `prevalence`.
        prevalence: Share of the class in the reference.
        calibration_error: Expected calibration error of this class's probability, bins of equal
            width.
        calibration_error_equal_mass: The same with equally many windows in every bin.
        brier: Mean squared distance of the probability from 0 or 1.
    """

    name: str
    n: int
    auroc: Quantity
    auprc: Quantity
    prevalence: float
    calibration_error: Quantity
    calibration_error_equal_mass: Quantity
    brier: Quantity


@dataclass(frozen=True)
class ConfidenceBin:
    """Windows of similar confidence: a point of the reliability diagram.

    Attributes:
        low: Lower end of the bin.
        high: Upper end of the bin, which belongs to it.
        n: Windows in it.
        confidence: Their mean confidence; absent where there is none.
        right: Share of them decided rightly; absent where there is none.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    right: float | None


@dataclass(frozen=True)
class ProbabilityScores:
    """Probabilities of one stage of the network on one part of the data.

    Attributes:
        stage: "float", "pruned float" or "int8 as flashed".
        part: The part of the data.
        source: What the probabilities were made from.
        classes: Per class, one against the rest.
        macro_auroc: Mean over `macro_classes`.
        macro_auprc: Mean over `macro_classes`.
        macro_classes: The classes present in the reference.
        calibration_error: Expected calibration error of the decided class's probability, bins of
            equal width.
        calibration_error_equal_mass: The same with equally many windows in every bin.
        classwise_calibration_error: Mean of the classes' calibration errors, equal width.
        brier: Mean squared distance of all classes' probabilities from the reference, summed over
            the classes: 0 to 2.
        negative_log_likelihood: Mean of -log of the reference class's probability, in nats.
        bins: Number of bins.
        reliability: The bins of equal width behind `calibration_error`.
        patients: Patients the windows come from.
    """

    stage: str
    part: str
    source: str
    classes: tuple[ClassProbabilities, ...]
    macro_auroc: Quantity
    macro_auprc: Quantity
    macro_classes: tuple[str, ...]
    calibration_error: Quantity
    calibration_error_equal_mass: Quantity
    classwise_calibration_error: Quantity
    brier: Quantity
    negative_log_likelihood: Quantity
    bins: int
    reliability: tuple[ConfidenceBin, ...]
    patients: int
