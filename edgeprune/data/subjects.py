"""Who was recorded, as far as a record's header says so: sex and age, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

UNKNOWN = "unknown"
_AGE_GROUPS = ((18, "under 18"), (40, "18 to 39"), (65, "40 to 64"))
_OLDEST = 120
# MIT-BIH: "69 M 1085 1629 x1", an unknown age being -1.
_PLAIN = re.compile(r"(?P<age>-?\d{1,3}|\?)\s+(?P<sex>[MF?])(?:\s|$)", re.IGNORECASE)
# Others: "<age>: 65 <sex>: F <diagnoses>: ...", "Age: 62  Sex: M".
_AGE = re.compile(r"<?\bage\b>?\s*:\s*(?P<age>\d{1,3})\b", re.IGNORECASE)
_SEX = re.compile(r"<?\bsex\b>?\s*:\s*(?P<sex>female|male|F|M)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Subject:
    """The person that a recording is of.

    Attributes:
        sex: "female", "male" or "unknown".
        age: In years; None where it is unknown.
    """

    sex: str = UNKNOWN
    age: int | None = None

    @property
    def age_group(self) -> str:
        """Children, two groups of adults, the old; or "unknown"."""
        if self.age is None:
            return UNKNOWN
        return next((name for limit, name in _AGE_GROUPS if self.age < limit), "65 and over")


def read_subject(comments: Iterable[str]) -> Subject:
    """Return what the comments of a header say; what they do not say stays unknown.

    Args:
        comments: Comment lines of a WFDB header, without their "#".
    """
    sex, age = UNKNOWN, None
    for number, comment in enumerate(comments):
        line = comment.strip()
        plain = _PLAIN.match(line) if number == 0 else None
        said_age, said_sex = plain or _AGE.search(line), plain or _SEX.search(line)
        if age is None and said_age is not None:
            age = _years(said_age["age"])
        if sex == UNKNOWN and said_sex is not None:
            letter = said_sex["sex"][0].upper()
            sex = {"M": "male", "F": "female"}.get(letter, UNKNOWN)
    return Subject(sex, age)


def _years(text: str) -> int | None:
    years = int(text) if text != "?" else -1
    return years if 0 <= years <= _OLDEST else None
