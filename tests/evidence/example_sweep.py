"""A made-up sweep: no figure here was measured."""

from __future__ import annotations

from edgeprune.evidence import SettingFigure, SettingResult, SweepEvidence, SweepSetting

SEEDS = (1, 2, 3)
RATIOS = (0.5, 0.75, 0.875)
_CLASSES = ("N", "S", "V")
_WAYS = (
    ("channel", "l1", "global", 0.02),
    ("channel", "random", "global", 0.06),
    ("weight", "l1", "global", 0.008),
    ("weight", "l1", "local", 0.012),
    ("kernel", "l2", "global", 0.02),
    ("layer", "consensus", "", 0.03),
    ("vnn", "", "", 0.015),
)


def example_sweep(ways: int = 7, ratios: tuple[float, ...] = RATIOS) -> SweepEvidence:
    """Return up to seven ways of pruning at some ratios with three seeds, and the parent."""
    settings = [_result(SweepSetting("none"), 0.0, 0)]
    for method, importance, scope, loss in _WAYS[:ways]:
        for ratio in ratios:
            fine_tune = "natural" if method != "vnn" else "none"
            setting = SweepSetting(method, importance, scope, "one-shot", ratio, fine_tune)
            settings.append(_result(setting, loss, len(settings)))
    refused = SweepSetting("layer", "consensus", "", "one-shot", 0.9375, "natural")
    numbers = tuple(3 * len(settings) + seed for seed in SEEDS)
    reason = "seed 1 refused: a ratio of 0.94 cannot be reached"
    settings.append(SettingResult(refused, SEEDS, numbers, (), on_front=False, refused=(reason,)))
    return SweepEvidence(
        file_sha256="5e" * 32,
        point=11,
        network_sha256="ab" * 32,
        recommended=10,
        chosen_on="the means over the seeds of validation patients",
        rule="the one with the fewest instructions of those that meet every requirement",
        objectives=("most recall S", "least attack success linf:20uV", "least instructions"),
        settings=tuple(settings),
    )


def _result(setting: SweepSetting, loss: float, place: int) -> SettingResult:
    figures = []
    steps = round(1 / (1 - setting.ratio)) - 1

    def add(name: str, subject: str, part: str, value: float, unit: str = "1") -> None:
        spread = 0.01 * abs(value) * (1 + place % 3)
        values = tuple(round(value + spread * (seed - 2), 6) for seed in SEEDS)
        network = "" if name in ("compression", "remaining", "parameters") else "int8"
        figures.append(SettingFigure(name, subject, part, network, unit, values))

    compression = 1 / (1 - setting.ratio)
    add("parameters", "", "", 31_000.0)
    add("remaining", "", "", 31_000 / compression)
    add("compression", "", "", compression)
    add("flash", "", "", 47_000 - 3_000.0 * steps, "byte")
    add("instructions", "", "", 1_400_000.0 / (1 + 0.3 * steps), "instruction")
    for part, shift in (("validation", 0.0), ("test", -0.05)):
        add("accuracy", "", part, 0.95 + shift - loss * steps * 0.6)
        add("macro_f1", "", part, 0.80 + shift - loss * steps)
        add("calibration_error", "", part, 0.03 + 0.004 * steps)
        for index, name in enumerate(_CLASSES):
            add("recall", name, part, 0.96 + shift - 0.2 * index * loss * 8 * (1 + steps))
        for size in (10, 20, 50):
            success = min(1.0, 0.004 * size + 0.04 * steps + loss)
            add("attack_success", f"linf:{size}uV", part, success)
        add("least_change", "l2", part, 900.0 - 60 * steps, "uV")
        add("least_change", "l0", part, 11.0 - 0.8 * steps, "samples")
        add("certified_share", "linf:20uV", part, max(0.0, 0.4 + shift - 0.03 * steps))
    refused = () if place == 3 else (f"instructions {1_400_000 - 1_000 * place:,} > 1,076,923",)
    return SettingResult(
        setting,
        SEEDS,
        tuple(3 * place + seed for seed in SEEDS),
        tuple(figures),
        on_front=place % 3 == 0,
        refused=refused,
    )
