"""What can be watched after release: what the device tells, and which signs of drift it gives."""

from __future__ import annotations

from collections.abc import Iterator

from edgeprune.evidence import DriftTrigger, EvidenceLink, LoggedItem, MonitoringEvidence
from edgeprune.pipeline.regulatory.findings import Findings

_LOGGED = (
    LoggedItem(
        "decided class and logits of each window",
        "edgeprune_classify(), edgeprune_decide()",
        "shares of the decided classes over time",
    ),
    LoggedItem(
        "position of each window in the samples",
        "edgeprune_window_position()",
        "where a decision belongs; windows that never came",
    ),
    LoggedItem(
        "return values of every call",
        "EDGEPRUNE_ARENA_DAMAGED, EDGEPRUNE_BAD_WEIGHTS, EDGEPRUNE_SELF_TEST_FAILED",
        "faults of memory and processor",
    ),
    LoggedItem(
        "version and hash of the network",
        "edgeprune_version(), edgeprune_network_hash()",
        "which build a decision is of",
    ),
)
_REASONS = "reasons for no decision, one bit a reason"
_REASONS_SHOW = "share of windows without decision, reason by reason"
_BEATS = LoggedItem(
    "beats that were refused", "edgeprune_push_beat() returns 0", "a beat detector that lags"
)
# Reason of the monitor, its limit in the evidence, and what its rise calls for.
_TRIGGERS = (
    ("saturated", "rail_samples", "look at amplifier, electrodes and converter"),
    ("flat", "flat_range", "look at electrodes and cables"),
    ("unusual", "unusual", "compare the recordings with those learnt from; reconsider the split"),
    ("low margin", "margin", "have a sample of windows annotated and score it"),
)
_LEFT = (
    "The reference: whether a decision was right shows only where somebody annotates recordings "
    "of the field.",
    "How often, over how many windows and patients shares are formed, and from which excess over "
    "the expected share somebody acts.",
    "Which recordings may leave the device, and how patients are protected.",
    "Complaints, incidents and their link to the risk management file.",
)


def monitoring_plan(findings: Findings, *, monitored: bool, beats: bool) -> MonitoringEvidence:
    """Return what a monitoring plan can rest on.

    Args:
        findings: Of the evidence that is pointed at.
        monitored: Whether the firmware has an input monitor.
        beats: Whether windows belong to beats.
    """
    # The monitor of segments reads what it is handed; that of beats looks at raw samples too.
    calls = "edgeprune_monitor(), edgeprune_window_reasons()" if beats else "edgeprune_monitor()"
    reasons = LoggedItem(_REASONS, calls, _REASONS_SHOW)
    logged = (*_LOGGED, *(reasons,) * monitored, *(_BEATS,) * beats)
    summary = (
        "The device keeps no log of its own: its program can log what is named here. Thresholds "
        "are those of the input monitor."
        if monitored
        else "The device keeps no log of its own, and this firmware has no input monitor: it gives "
        "no sign of drift but the shares of its decisions."
    )
    return MonitoringEvidence(summary, logged, tuple(_triggers(findings, monitored)), _LEFT)


def _triggers(findings: Findings, monitored: bool) -> Iterator[DriftTrigger]:
    yield DriftTrigger(
        "share of each decided class",
        _first(findings, "data.splits.2.classes", "windows of the test part by class"),
        None,
        "compare with the prevalence that is expected of these patients",
    )
    if not monitored:
        return
    yield DriftTrigger(
        "share of windows that is decided",
        _first(findings, "monitor.sets.0.coverage", "share of undisturbed test windows decided"),
        _first(findings, "monitor.limits.asked_coverage", "share that was asked for"),
        "find the reason that rose",
    )
    for reason, limit, action in _TRIGGERS:
        expected = findings.links((f"reason:{reason}",))
        yield DriftTrigger(
            f"share of windows that are {reason}",
            expected[0] if expected else None,
            _first(findings, f"monitor.limits.{limit}", f"the device's limit for {reason}"),
            action,
        )


def _first(findings: Findings, path: str, what: str) -> EvidenceLink | None:
    return EvidenceLink(path, what) if findings.is_there(path) else None
