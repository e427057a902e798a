"""What is made, proved, attacked and disturbed: sections of `edgeprune.toml`."""

from __future__ import annotations

from dataclasses import dataclass

RUNTIMES = ("firmware", "any")


@dataclass(frozen=True)
class FirmwareSettings:
    """How the firmware is made.

    Attributes:
        toolchain: "zig" or "gnu".
        emulator: "unicorn" or "qemu".
        optimize: What the code of the network makes small: "balanced" (instructions, flash and
            RAM), "speed", "size" or "ram".
        layout: Kind of package that the C library is written as, besides the plain folder: "cmake",
            "zephyr", "arduino", "platformio", "cmsis-pack", or none.
        hop: New samples of each window, for firmware that also classifies a stream of windows that
            overlap (one signal, no second input); 0 for windows that stand alone.
        small_steps: Let no step of edgeprune_step() be large, for watchdogs that allow little; some
            instructions more.
        guards: Put a guard behind every tensor in memory, not only around all of them; for
            debugging.
        parity_windows: Test windows on which the emulated device must equal the host.
    """

    toolchain: str = "zig"
    emulator: str = "unicorn"
    optimize: str = "balanced"
    layout: str = ""
    hop: int = 0
    small_steps: bool = False
    guards: bool = False
    parity_windows: int = 1000


@dataclass(frozen=True)
class VerificationSettings:
    """What is certified.

    Attributes:
        perturbations: What each decision must withstand at the converter, one set a text:
            "linf:20uV", "gain:10%", "wander:500uV@0.5Hz", "gain:10%+linf:5uV".
            Segments get smaller sets where nothing is asked for, and those of a normalised signal
            shares of its RMS: "linf:0.005rms".
        windows: Test windows, drawn stratified by record.
        seconds: Processor time that a window may take until it is given up as a timeout; 0 stops
            after plain bounds and a short attack, which always end the same, and leaves the rest
            unknown.
        runtime: "firmware" proves the exact arithmetic that is flashed, "any" every arithmetic
            whose layers round within one step of it.
        workers: Processes; 0 takes one for each processor. It changes no result.
    """

    perturbations: tuple[str, ...] = (
        "linf:5uV",
        "linf:10uV",
        "linf:20uV",
        "linf:50uV",
        "gain:10%",
        "wander:500uV@0.5Hz",
        "hum:100uV@50Hz",
    )
    windows: int = 50
    seconds: float = 0.0
    runtime: str = "firmware"
    workers: int = 0


@dataclass(frozen=True)
class AttackPlan:
    """How the networks are attacked: changes of the raw samples, chosen against each decision.

    Attributes:
        names: Attacks to run, each within all balls whose norm it knows; those that seek the least
            change once for each norm of the balls. None for no attacks.
        balls: How far the raw samples may move, one ball a text: "linf:20uV" a sample, "l2:200uV"
            the root of the sum of squares, "l1:1mV" the sum, "l0:3" samples.
        windows: Test windows; those that are verified come first, so that attacks meet proofs.
        steps: Steps of an attack.
        restarts: Random starts of an attack.
        queries: Decisions that an attack without gradients may ask of the network for a window.
        masking: Ask every network for all signs of masked gradients within the smallest ball of
            the first norm, as well as those that the attacks show by themselves; takes as long as
            a dozen attacks.
        worst: Windows, of those turned within the smallest balls, kept to be drawn.
    """

    names: tuple[str, ...] = ("pgd", "apgd-ce")
    balls: tuple[str, ...] = ("linf:10uV", "linf:20uV", "linf:50uV")
    windows: int = 48
    steps: int = 20
    restarts: int = 1
    queries: int = 500
    masking: bool = False
    worst: int = 4


@dataclass(frozen=True)
class DisturbancePlan:
    """What happens to the lead, recording by recording, before the device sees it.

    Attributes:
        cases: What to try, a disturbance with its severity a text ("electrode-motion:6dB"), or a
            disturbance alone with its usual severities; none for no disturbances.
        windows: Test windows, drawn stratified by record.
        noise_dir: Folder of recorded noise (`edgeprune datasets fetch nstdb`); empty generates it.
    """

    cases: tuple[str, ...] = (
        *("electrode-motion:24dB", "electrode-motion:12dB", "electrode-motion:0dB"),
        *("baseline-wander:24dB", "baseline-wander:12dB", "baseline-wander:0dB"),
        *("muscle-noise:24dB", "muscle-noise:12dB", "muscle-noise:0dB"),
        *("mains-hum:50uV", "mains-hum:200uV", "mains-hum:500uV"),
        *("lead-off:50ms", "lead-off:200ms", "lead-off:1000ms"),
        *("qrs-jitter:5ms", "qrs-jitter:10ms", "qrs-jitter:20ms"),
    )
    windows: int = 200
    noise_dir: str = ""


@dataclass(frozen=True)
class EvaluationSettings:
    """What is told of the evaluation.

    Attributes:
        privacy: Withhold from evidence and report whatever belongs to one patient or recording, and
            windows to be drawn: scores of a patient tell who was trained on. Certificates and
            replays, files of their own, hold windows of patients all the same.
    """

    privacy: bool = False
