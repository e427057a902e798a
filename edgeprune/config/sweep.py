"""What a sweep tries and how it measures, and which sweep a build comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SweepSettings:
    """What `edgeprune sweep` tries: every sensible combination of the lists is a point.

    An empty list takes the one value that `[pruning]` has, or the build's seed.

    Attributes:
        methods: Pruning methods.
        importances: What makes a part important.
        scopes: Over what parts are ranked.
        schedules: In how many rounds they go.
        ratios: Shares of the deployed parameters that go: 0.5 is a compression of 2, 0.75 of 4.
        fine_tunes: How the rest is trained.
        seeds: Seeds of everything that is drawn: parents, prunings, fine-tunings.
        windows: Windows of each part that are attacked and verified, from every record.
        attacks: Attacks of each point's integer network.
        balls: Within what they are made, besides those that are required.
        least: Norms in which the least change is looked for: "linf", "l2", "l1", "l0".
        steps: Steps of an attack.
        perturbations: What is to be proved, besides what is required or trained for.
        seconds: Processor time that a proof may take a window; 0 takes plain bounds alone, which
            end alike on every machine.
    """

    methods: tuple[str, ...] = ("channel",)
    importances: tuple[str, ...] = ("l2", "random")
    scopes: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    ratios: tuple[float, ...] = (0.5, 0.75)
    fine_tunes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    windows: int = 32
    attacks: tuple[str, ...] = ("pgd",)
    balls: tuple[str, ...] = ("linf:10uV", "linf:20uV", "linf:50uV")
    least: tuple[str, ...] = ("l2", "l0")
    steps: int = 20
    perturbations: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class ChosenSettings:
    """The sweep that the settings come from; `build --from-sweep` fills this in.

    Attributes:
        sweep: The sweep's file; empty for settings that come from none.
        sha256: What that file must be.
        point: Number of the point that was taken.
    """

    sweep: str = ""
    sha256: str = ""
    point: int = 0
