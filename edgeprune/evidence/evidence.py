"""evidence.json as one record."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgeprune.evidence.attacks import AttackEvidence
from edgeprune.evidence.beat_scores import BeatScores
from edgeprune.evidence.certificates import CertificateEvidence
from edgeprune.evidence.clauses import ClauseEvidence, ProfileEvidence
from edgeprune.evidence.dataset import DataEvidence
from edgeprune.evidence.device import DeviceEvidence, ParityRow
from edgeprune.evidence.disturbances import DisturbanceEvidence
from edgeprune.evidence.identity import ConfigEntry, Identity, Reproduction, Versions
from edgeprune.evidence.model import (
    ClassifierEvidence,
    PruningEvidence,
    QuantizationEvidence,
    TrainingEvidence,
)
from edgeprune.evidence.monitor import MonitorEvidence
from edgeprune.evidence.pccp import PccpEvidence
from edgeprune.evidence.performance import ModelPerformance, StageComparison
from edgeprune.evidence.probabilities import ProbabilityScores
from edgeprune.evidence.product import ProductEvidence
from edgeprune.evidence.requirements import Outcome, Requirement
from edgeprune.evidence.risks import Risk, TraceRow
from edgeprune.evidence.safety import FailSafeEvidence, MonitoringEvidence, Threat
from edgeprune.evidence.seizures import SeizureScores
from edgeprune.evidence.soup import SoupItem
from edgeprune.evidence.sweep import SweepEvidence

SCHEMA_NAME = "edgeprune-evidence"
SCHEMA_VERSION = 5
# Version 5 only added sections that may be absent.
READ_VERSIONS = (4, 5)


@dataclass(frozen=True)
class Schema:
    """Which form a file has.

    Attributes:
        name: Name of the form.
        version: Rises with every change of the form.
    """

    name: str = SCHEMA_NAME
    version: int = SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that one build found out; the report shows this and nothing else.

    A section that is absent was not made or not tested; the report says so.

    Attributes:
        schema: Which form the file has.
        identity: What it is about.
        foreword: What a reader must hear before any figure; empty where that is nothing.
        versions: With what it was made.
        reproduction: How to make it again.
        config: The configuration as resolved.
        data: The data behind it.
        classifier: The classifier before pruning.
        training: How it was trained.
        pruning: How it was made smaller.
        sweep: What else was tried; absent where the settings come from no sweep.
        quantization: How it became an integer network.
        performance: Each stage on the test part.
        comparisons: Stages against each other.
        beats: Beat-by-beat scores of EC57, per part of the data; the int8 network's.
        seizures: Scores of events by SzCORE, per stage; absent where the data have no events.
        probabilities: What its confidence is worth.
        parity: Implementations against the integer specification.
        device: What runs on the target.
        certificates: What was proved.
        attacks: What withstood somebody who chooses the change.
        disturbances: What withstood what really happens to a lead.
        monitor: What the device refuses to decide.
        requirements: What was demanded, and what became of it.
        limits: What this evidence does not reach, in words.
        not_tested: What was not tested, in words.
        product: What the product is for, by the team's words.
        risks: Hazards and what is held against them.
        traceability: Each requirement traced to its test, its result and the risks it controls.
        soup: Software of others that made the result or is in it.
        fail_safe: What the device does upon faults.
        pccp: Changes planned in advance.
        monitoring: What the field can be watched by.
        threats: Who might attack it, and what is held against that.
        clauses: Clauses that this evidence supports, of all profiles.
        profiles: The profiles that there are.
        profile: Name of the profile that the configuration asks for.
    """

    schema: Schema = field(default_factory=Schema)
    identity: Identity
    versions: Versions
    reproduction: Reproduction
    foreword: str = ""
    config: tuple[ConfigEntry, ...] = ()
    data: DataEvidence | None = None
    classifier: ClassifierEvidence | None = None
    training: TrainingEvidence | None = None
    pruning: PruningEvidence | None = None
    sweep: SweepEvidence | None = None
    quantization: QuantizationEvidence | None = None
    performance: tuple[ModelPerformance, ...] = ()
    comparisons: tuple[StageComparison, ...] = ()
    beats: tuple[BeatScores, ...] = ()
    seizures: tuple[SeizureScores, ...] = ()
    probabilities: tuple[ProbabilityScores, ...] = ()
    parity: tuple[ParityRow, ...] = ()
    device: DeviceEvidence | None = None
    certificates: CertificateEvidence | None = None
    attacks: AttackEvidence | None = None
    disturbances: DisturbanceEvidence | None = None
    monitor: MonitorEvidence | None = None
    requirements: tuple[Requirement, ...] = ()
    limits: tuple[str, ...] = ()
    not_tested: tuple[str, ...] = ()
    product: ProductEvidence | None = None
    risks: tuple[Risk, ...] = ()
    traceability: tuple[TraceRow, ...] = ()
    soup: tuple[SoupItem, ...] = ()
    fail_safe: FailSafeEvidence | None = None
    pccp: PccpEvidence | None = None
    monitoring: MonitoringEvidence | None = None
    threats: tuple[Threat, ...] = ()
    clauses: tuple[ClauseEvidence, ...] = ()
    profiles: tuple[ProfileEvidence, ...] = ()
    profile: str = ""

    @property
    def verdict(self) -> Outcome:
        """What follows from the requirements and from the parity that is a gate.

        One failure or one mismatch fails; otherwise anything not tested, or no requirement at all,
        leaves the verdict at not tested.
        """
        outcomes = {requirement.outcome for requirement in self.requirements}
        if any(row.gate and row.mismatches for row in self.parity) or Outcome.FAIL in outcomes:
            return Outcome.FAIL
        return Outcome.PASS if outcomes == {Outcome.PASS} else Outcome.NOT_TESTED
