"""`edgeprune.toml` and the command line's flags, resolved once into a frozen BuildConfig."""

from edgeprune.config.build import LEFT_OPEN, BuildConfig, check_config, config_of, load_config
from edgeprune.config.guarding import GuardSettings
from edgeprune.config.learning import (
    PruningSettings,
    QuantizationSettings,
    RobustnessSettings,
    TrainingSettings,
)
from edgeprune.config.measuring import (
    RUNTIMES,
    AttackPlan,
    DisturbancePlan,
    EvaluationSettings,
    FirmwareSettings,
    VerificationSettings,
)
from edgeprune.config.regulatory import (
    PROFILES,
    ModificationSettings,
    PccpSettings,
    ProductSettings,
    RiskSettings,
)
from edgeprune.config.requirements import CertifiedShare, Requirements
from edgeprune.config.sweep import ChosenSettings, SweepSettings
from edgeprune.monitor.settings import MonitorSettings

__all__ = [
    "LEFT_OPEN",
    "PROFILES",
    "RUNTIMES",
    "AttackPlan",
    "BuildConfig",
    "CertifiedShare",
    "ChosenSettings",
    "DisturbancePlan",
    "EvaluationSettings",
    "FirmwareSettings",
    "GuardSettings",
    "ModificationSettings",
    "MonitorSettings",
    "PccpSettings",
    "ProductSettings",
    "PruningSettings",
    "QuantizationSettings",
    "Requirements",
    "RiskSettings",
    "RobustnessSettings",
    "SweepSettings",
    "TrainingSettings",
    "VerificationSettings",
    "check_config",
    "config_of",
    "load_config",
]
