"""What of an evidence speaks to a hazard, a threat or a fault: names to links that exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from edgeprune.errors import ConfigurationError
from edgeprune.evidence import Evidence, EvidenceLink, is_present, value_at
from edgeprune.evidence.figures import FigurePath, find
from edgeprune.pipeline.requirements import FLOAT, INT8, PRUNED

NO_EVIDENCE = "no evidence in this build"
Named = Iterator[tuple[str, str]]


class Findings:
    """Looks up links in one evidence.

    Args:
        evidence: The evidence; what it does not have is not linked.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self._by_name: dict[str, Callable[[], Named]] = {
            "sensitivities": self._sensitivities,
            "precisions": self._precisions,
            "rarest": self._rarest,
            "scores": self._scores,
            "macro-f1": self._macro_f1,
            "by-record": self._by_record,
            "beats": self._beats,
            "events": self._events,
            "false-alarms": self._false_alarms,
            "refusals": self._refusals,
            "curves": lambda: self._curves(""),
            "monitored": lambda: self._monitored(""),
            "subgroups": self._subgroups,
            "guard": self._guard,
            "loss:pruned": lambda: self._loss(PRUNED),
            "loss:int8": lambda: self._loss(INT8),
            "parity-gates": self._parity,
            "proofs": lambda: self._proofs(""),
            "attacked": self._attacked,
            "calibration": self._calibration,
            "splits": self._splits,
        }
        self._by_prefix: dict[str, Callable[[str], Named]] = {
            "curve": self._curves,
            "monitored": self._monitored,
            "proofs": self._proofs,
            "reason": self._reason,
            "requirement": self._requirement,
            "setting": self._setting,
        }

    def links(self, names: Iterable[str]) -> tuple[EvidenceLink, ...]:
        """Return the links behind some names or paths, each once; what is absent is left out.

        Args:
            names: Names of this class ("sensitivities", "curve:lead-off"), or paths of the
                evidence.
        """
        found: dict[str, EvidenceLink] = {}
        for name in names:
            for path, what in self._find(name):
                if self.is_there(path):
                    found.setdefault(path, EvidenceLink(path, what))
        return tuple(found.values())

    def is_there(self, path: str) -> bool:
        """Say whether the evidence has anything at a path; an undefined figure is nothing."""
        value = value_at(self.evidence, path)
        return is_present(self.evidence, path) and getattr(value, "value", 0) is not None

    def places(self, name: str) -> tuple[str, ...]:
        """Return the paths behind what a team names, as far as there is anything.

        Args:
            name: A path of the evidence, or the name that a figure keeps from build to build, as
                policies have it ("performance.{int8 as flashed}.scores.accuracy").
        """
        if self.is_there(name):
            return (name,)
        try:
            figures = find(self.evidence, FigurePath.parse(name))
        except ConfigurationError:
            return ()
        return tuple(figure.source for figure in figures if self.is_there(figure.source))

    def _find(self, name: str) -> Named:
        prefix, _, rest = name.partition(":")
        if name in self._by_name:
            return self._by_name[name]()
        if rest and prefix in self._by_prefix:
            return self._by_prefix[prefix](rest)
        return iter(((name, _in_words(name)),))

    def _home(self) -> str:
        """Path of the scores of what is flashed; nothing is there where it was not scored."""
        stages = [row.stage for row in self.evidence.performance]
        return f"performance.{stages.index(INT8)}" if INT8 in stages else "performance.none"

    def _classes(self) -> list[tuple[int, str, int]]:
        rows = value_at(self.evidence, f"{self._home()}.scores.classes") or ()
        return [(position, row.name, row.n) for position, row in enumerate(rows)]

    def _of_classes(self, score: str) -> Named:
        # Where the first class is the usual one (normal beats, segments without an event), it is
        # no event that could be missed.
        window = value_at(self.evidence, "data.window")
        usual = bool(self.evidence.seizures) or window is None or window.rhythm_features > 0
        for position, name, _ in self._classes()[usual:]:
            yield (
                f"{self._home()}.scores.classes.{position}.{score}",
                f"{score} of class {name}, {INT8}",
            )

    def _sensitivities(self) -> Named:
        return self._of_classes("sensitivity")

    def _precisions(self) -> Named:
        return self._of_classes("precision")

    def _rarest(self) -> Named:
        seen = [row for row in self._classes() if row[2]]
        if seen:
            position, name, _ = min(seen, key=lambda row: row[2])
            yield (
                f"{self._home()}.scores.classes.{position}.sensitivity",
                f"sensitivity of the rarest class, {name}",
            )

    def _scores(self) -> Named:
        yield f"{self._home()}.scores.accuracy", f"accuracy, {INT8}"
        yield from self._macro_f1()

    def _macro_f1(self) -> Named:
        yield f"{self._home()}.scores.macro_f1", f"macro-F1, {INT8}"

    def _by_record(self) -> Named:
        yield f"{self._home()}.records", f"scores of each recording, {INT8}"

    def _beats(self) -> Named:
        for number, row in enumerate(self.evidence.beats):
            for score, words in (
                ("veb_sensitivity", "sensitivity for ventricular ectopic beats"),
                ("sveb_sensitivity", "sensitivity for supraventricular ectopic beats"),
                ("veb_false_positive_rate", "false positive rate of ventricular ectopic beats"),
                ("sveb_false_positive_rate", "the same of supraventricular ectopic beats"),
            ):
                yield f"beats.{number}.gross.{score}", f"{words}, {row.part} part"

    def _events(self) -> Named:
        for number, row in enumerate(self.evidence.seizures):
            yield f"seizures.{number}.events.sensitivity", f"events found, {row.stage}"

    def _false_alarms(self) -> Named:
        for number, row in enumerate(self.evidence.seizures):
            for unit in ("hour", "day"):
                yield (
                    f"seizures.{number}.events.false_alarms_per_{unit}",
                    f"false alarms a{'n' * (unit == 'hour')} {unit}, {row.stage}",
                )

    def _refusals(self) -> Named:
        yield "monitor.sets.0.coverage", "share of undisturbed windows that is decided"
        yield "monitor.sets.0.error", "share decided wrongly of those"
        yield "monitor.sets.0.refused_of_wrong", "share refused of those decided wrongly"

    def _reason(self, name: str) -> Named:
        rows = value_at(self.evidence, "monitor.sets.0.reasons") or ()
        for number, row in enumerate(rows):
            if row.reason == name:
                yield f"monitor.sets.0.reasons.{number}", f"undisturbed windows that are {name}"

    def _monitored(self, name: str) -> Named:
        for number, row in enumerate(self.evidence.monitor.sets if self.evidence.monitor else ()):
            if number and row.name.startswith(name):
                words = row.name.partition(": ")[0]
                yield f"monitor.sets.{number}.coverage", f"share decided, {words}"
                yield f"monitor.sets.{number}.error", f"share decided wrongly of those, {words}"

    def _curves(self, name: str) -> Named:
        disturbances = self.evidence.disturbances
        for number, row in enumerate(disturbances.curves if disturbances else ()):
            if row.name.startswith(name):
                made = ", made by rule" if row.synthetic else ""
                yield f"disturbances.curves.{number}", f"scores under {row.title}{made}"

    def _subgroups(self) -> Named:
        steps = value_at(self.evidence, "pruning.guard.steps") or ()
        yield f"pruning.guard.steps.{len(steps) - 1}.groups", "recall by sex and age"

    def _guard(self) -> Named:
        yield "pruning.guard.verdict", "what pruning cost each guarded class"

    def _loss(self, stage: str) -> Named:
        before = FLOAT if stage == PRUNED else (FLOAT, PRUNED)
        for number, row in enumerate(self.evidence.comparisons):
            if row.after == stage and row.before in before:
                words = f"{row.before} to {row.after}"
                yield f"comparisons.{number}.macro_f1_change", f"change of macro-F1, {words}"
                yield f"comparisons.{number}.agreement", f"windows decided alike, {words}"

    def _parity(self) -> Named:
        yield from self._requirement("parity.mismatches")
        for number, row in enumerate(self.evidence.parity):
            if row.gate:
                yield f"parity.{number}", f"{row.implementation}, {row.place}: {row.compared}"

    def _proofs(self, family: str) -> Named:
        certificates = self.evidence.certificates
        for number, network in enumerate(certificates.networks if certificates else ()):
            if network.stage == INT8:
                for place, row in enumerate(network.perturbations):
                    if row.text.startswith(family):
                        home = f"certificates.networks.{number}.perturbations.{place}"
                        yield f"{home}.proved_and_right_share", f"proved and right, {row.text}"

    def _attacked(self) -> Named:
        attacks = self.evidence.attacks
        for number, network in enumerate(attacks.networks if attacks else ()):
            if network.stage == INT8:
                for place, ball in enumerate(network.balls):
                    home = f"attacks.networks.{number}.balls.{place}"
                    yield f"{home}.worst.success", f"turned by the best attack, {ball.text}"

    def _calibration(self) -> Named:
        for number, row in enumerate(self.evidence.probabilities):
            words = f"expected calibration error, {row.stage}, {row.part} part"
            yield f"probabilities.{number}.calibration_error", words

    def _splits(self) -> Named:
        for number, row in enumerate(self.evidence.data.splits if self.evidence.data else ()):
            yield f"data.splits.{number}", f"{row.name} part: {row.purpose}"

    def _requirement(self, name: str) -> Named:
        for number, row in enumerate(self.evidence.requirements):
            if row.name == name:
                yield f"requirements.{number}", f"requirement {name}"

    def _setting(self, key: str) -> Named:
        for number, row in enumerate(self.evidence.config):
            if row.key == key:
                yield f"config.{number}", f"setting {key}"


_WORDS = {
    "classifier.description": "the classifier in words",
    "classifier.macs": "multiply-accumulates before pruning",
    "classifier.name": "name of the classifier",
    "classifier.parameters": "parameters before pruning",
    "config": "the configuration as resolved",
    "data.adc": "the converter",
    "data.adc.bits": "bits of the converter",
    "data.adc.rate_hz": "samples a second",
    "data.citation": "how the data are cited",
    "data.classes": "the classes",
    "data.lead": "leads or channels",
    "data.licence": "licence of the data",
    "data.window": "the window",
    "data.window.seconds": "length of the window",
    "device.core": "the processor core",
    "device.firmware.toolchain": "the compiler",
    "data.excluded": "what was left out of the data",
    "data.origin": "where the recordings come from",
    "data.shared_patients": "patients on both sides of the split",
    "data.notes": "what is known of the split",
    "device.cycles.cycles.maximum": "cycles a window at most, by a model",
    "device.firmware.flash_bytes": "flash of the image",
    "device.firmware.ram_bytes": "RAM of the image",
    "device.instructions.maximum": "instructions a window at most, counted in an emulator",
    "device.memory.arena_bytes": "working memory",
    "device.memory.stack_bound_bytes": "deepest stack by the call graph",
    "device.memory.stack_measured": "deepest stack measured",
    "fail_safe": "what the device does upon faults",
    "identity.edgeprune": "version of edgeprune",
    "identity.firmware_sha256": "hash of the image",
    "identity.network_sha256": "hash of the network",
    "identity.synthetic": "whether the recordings were generated",
    "identity.target_title": "the target",
    "limits": "what this evidence does not reach",
    "monitor.limits": "limits of the input monitor",
    "not_tested": "what was not tested",
    "product.labelling": "what a label can take from this evidence",
    "product.model_card": "the model card",
    "pruning.aim": "what pruning was to reach",
    "pruning.method": "how it was pruned",
    "quantization.scheme": "how it was quantized",
    "training.selected_by": "how the epoch was chosen",
    "training.summary": "the recipe of training",
    "pccp.gates": "gates of the policy",
    "requirements": "requirements, judged",
    "soup": "others' software",
}


def _in_words(path: str) -> str:
    """Return a path in words, by its last steps where nobody wrote any."""
    return _WORDS.get(path) or path.replace("_", " ").replace(".", ", ")
