"""What really happens to a lead: recorded noise and faults of electrodes, converter and clock.

| text                    | what happens to the whole recording                                  |
|-------------------------|----------------------------------------------------------------------|
| `electrode-motion:6dB`  | noise of moving electrodes at that signal-to-noise ratio; `@nst`:    |
|                         | by turns, as in the noise stress test                                |
| `baseline-wander:6dB`   | the same of slow wander                                              |
| `muscle-noise:6dB`      | the same of the electromyogram                                       |
| `mains-hum:200uV`       | 50 Hz hum of that amplitude; `@60Hz`                                 |
| `drop-out:200ms`        | the signal freezes that long, 10 times a minute; `@20/min`           |
| `lead-off:200ms`        | the converter delivers a rail that long, 10 times a minute; `@20/min`|
| `saturation:1000uV`     | the amplifier saturates at that level                                |
| `gain-error:10%`        | the gain is wrong                                                    |
| `offset-error:1000uV`   | a constant voltage is added                                          |
| `sampling-jitter:1ms`   | each sample is taken too early or too late (standard deviation)      |
| `clock-drift:1%`        | the sampling rate is wrong                                           |
| `resolution:8bit`       | the converter resolves that many bits                                |
| `polarity-swap:50%`     | the lead is upside down that share of the time                       |
| `qrs-jitter:20ms`       | each beat is found up to that much too early or too late             |
| `missed-beats:5%`       | beats are not found and get no window                                |
| `extra-beats:5%`        | beats are found where there are none                                 |
| `eye-blink:100uV`       | eye blinks of that height at the frontal poles (EEG); `@20/min`      |
| `emg-burst:20uV`        | bursts of muscle of that RMS (EEG); `@20/min`                        |
| `electrode-pop:200uV`   | single electrodes jump by that and decay (EEG); `@20/min`            |
"""

from edgeprune.disturbances.clock import ClockDrift, SamplingJitter
from edgeprune.disturbances.converter import GainError, OffsetError, Resolution, Saturation
from edgeprune.disturbances.detection import ExtraBeats, MissedBeats, QrsJitter
from edgeprune.disturbances.disturbance import (
    DISTURBANCES,
    THREAT_MODEL,
    Disturbance,
    Disturbed,
    Surroundings,
)
from edgeprune.disturbances.drop_out import DropOut, LeadOff
from edgeprune.disturbances.eeg import ElectrodePop, EmgBurst, EyeBlink
from edgeprune.disturbances.mains import MainsHum
from edgeprune.disturbances.noise import BaselineWander, ElectrodeMotion, MuscleNoise
from edgeprune.disturbances.other_data import other_windows
from edgeprune.disturbances.parse import parse_disturbance, parse_family
from edgeprune.disturbances.polarity import PolaritySwap
from edgeprune.disturbances.sweep import (
    LOST,
    DisturbedDecisions,
    DisturbedWindows,
    decide_disturbed,
    disturbed_windows,
)

_FAMILIES: tuple[type[Disturbance], ...] = (
    ElectrodeMotion,
    BaselineWander,
    MuscleNoise,
    MainsHum,
    DropOut,
    LeadOff,
    Saturation,
    GainError,
    OffsetError,
    SamplingJitter,
    ClockDrift,
    Resolution,
    PolaritySwap,
    QrsJitter,
    MissedBeats,
    ExtraBeats,
    EyeBlink,
    EmgBurst,
    ElectrodePop,
)
for _family in _FAMILIES:
    DISTURBANCES.add(_family.name, _family)

__all__ = [
    "DISTURBANCES",
    "LOST",
    "THREAT_MODEL",
    "Disturbance",
    "Disturbed",
    "DisturbedDecisions",
    "DisturbedWindows",
    "Surroundings",
    "decide_disturbed",
    "disturbed_windows",
    "other_windows",
    "parse_disturbance",
    "parse_family",
]
