"""Every error that edgeprune raises on purpose: what happened, where, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class EdgepruneError(Exception):
    """Base of all expected errors.

    Args:
        what: One sentence that says what happened.
        where: The file, line, layer, key or record that it happened at.
        hint: What the reader can do about it.

    Attributes:
        code: A stable identifier, listed in the documentation.
        exit_code: The exit code of the command line when this error ends a verb.
        usual_hint: The hint where none is given.
    """

    code = "EP000"
    exit_code = 2
    usual_hint = ""

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint or self.usual_hint

    def __str__(self) -> str:
        lines = [f"{self.code}: {self.what}"]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.hint:
            lines.append(f"  what to do: {self.hint}")
        return "\n".join(lines)


class ConfigurationError(EdgepruneError):
    """A key, value or flag of the configuration cannot be used."""

    code = "EP101"


class UnknownNameError(EdgepruneError):
    """A name is not in its registry; the message lists the known names and the nearest."""

    code = "EP102"

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str = "") -> None:
        names = sorted(known)
        nearest = get_close_matches(name, names, n=1, cutoff=0.5)
        guess = f"did you mean '{nearest[0]}'? " if nearest else ""
        super().__init__(
            f"there is no {kind} '{name}'",
            where=where,
            hint=f"{guess}known: {', '.join(names) or '(none)'}",
        )
        self.name = name
        self.nearest = nearest[0] if nearest else None


class DataError(EdgepruneError):
    """A recording, annotation or card is damaged, absent or inconsistent."""

    code = "EP201"


class FetchError(DataError):
    """A data set could not be fetched or does not match the publisher's checksum."""

    code = "EP202"
    exit_code = 3


class ModelError(EdgepruneError):
    """A model file cannot be used as it is."""

    code = "EP301"
    usual_hint = "export the model again, and check that the file was copied whole"


class UnsupportedOperatorError(ModelError):
    """A graph holds operators outside the supported set; all of them are listed."""

    code = "EP302"
    usual_hint = "`edgeprune ops` lists what is supported"


class MissingRangeError(ModelError):
    """A QDQ graph lacks the quantization range of a tensor, or is not a QDQ graph at all."""

    code = "EP303"


class NetworkError(EdgepruneError):
    """An IntegerNetwork is inconsistent: shapes, ranges or references do not fit."""

    code = "EP401"
    usual_hint = "check the scales, zero points and weights of the model that it was made of"


class TargetTooSmallError(EdgepruneError):
    """The firmware does not fit the target's flash or RAM; a table says what takes the space."""

    code = "EP501"
    exit_code = 1


class CompilerError(EdgepruneError):
    """The C compiler refused the generated sources."""

    code = "EP502"
    exit_code = 4


class DeviceError(EdgepruneError):
    """A device or its emulator stopped, faulted or answered something impossible."""

    code = "EP601"
    exit_code = 4


class MissingToolError(EdgepruneError):
    """A tool that the verb needs is not on this machine; the hint is the install line."""

    code = "EP602"
    exit_code = 3


class DiskError(EdgepruneError):
    """The result could not be written: no space, no permission."""

    code = "EP603"
    exit_code = 3


class PortError(EdgepruneError):
    """A serial port or socket cannot be opened, or its device was unplugged."""

    code = "EP605"
    exit_code = 3


class ParityError(EdgepruneError):
    """Two implementations of the same IntegerNetwork disagree: nothing may be flashed."""

    code = "EP702"
    exit_code = 1


class ContradictionError(EdgepruneError):
    """An attack turned a decision where a proof says that nothing can: one of them is wrong."""

    code = "EP703"
    exit_code = 1
