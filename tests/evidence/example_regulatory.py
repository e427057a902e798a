"""The example with its regulatory sections, drawn from it as a build draws them."""

from __future__ import annotations

from functools import cache

from edgeprune.config import (
    BuildConfig,
    ModificationSettings,
    PccpSettings,
    ProductSettings,
    RiskSettings,
)
from edgeprune.evidence import Evidence
from edgeprune.evidence.policy import DEFAULT_POLICY
from edgeprune.pipeline.regulatory import with_regulatory
from tests.evidence.example import example_evidence

CONFIG = BuildConfig(
    profile="fda",
    product=ProductSettings(
        name="Ward seven", manufacturer="Example Ltd", intended_use="to name heart beats"
    ),
    risks=(
        RiskSettings(
            "the strap rubs",
            control="padding",
            evidence=("monitor.limits", "monitor.nothing"),
            requirements=("sensitivity.V",),
        ),
    ),
    pccp=PccpSettings(
        str(DEFAULT_POLICY), (ModificationSettings("re-training", description="more patients"),)
    ),
)


@cache
def example_regulatory(*, synthetic: bool = False) -> Evidence:
    """Return the complete example with risks, traces, SOUP and all the rest."""
    return with_regulatory(example_evidence(synthetic=synthetic), CONFIG, segments=False)
