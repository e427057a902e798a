"""Sex and age as headers say them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprune.data import Subject
from edgeprune.data.subjects import read_subject
from edgeprune.data.wfdb_header import read_header
from edgeprune.data.wfdb_reader import read_wfdb_record
from tests.data.records import small_card, write_record

SharedData = Callable[[str], Path]


@pytest.mark.parametrize(
    ("comments", "subject"),
    [
        (["69 M 1085 1629 x1", "Aldomet, Inderal"], Subject("male", 69)),
        (["84 F 1633 1629 x1"], Subject("female", 84)),
        (["-1 M 742 654 x1"], Subject("male", None)),
        (["? ? "], Subject("unknown", None)),
        (["<age>: 65  <sex>: F  <diagnoses> Transient ischemic attack"], Subject("female", 65)),
        (["Age: 62  Sex: M", "Myocardial infarction"], Subject("male", 62)),
        (["Patient", "age: 44", "sex: female"], Subject("female", 44)),
        (["3 M cuvettes were used"], Subject("male", 3)),
        (["Digoxin", "69 M"], Subject("unknown", None)),
        (["dosage: 40 mg, sexes: all"], Subject("unknown", None)),
        (["age: 400"], Subject("unknown", None)),
        ([], Subject("unknown", None)),
    ],
)
def test_what_headers_say(comments: list[str], subject: Subject) -> None:
    assert read_subject(comments) == subject


def test_a_recording_knows_its_subject(tmp_path: Path) -> None:
    write_record(tmp_path, "r1")
    assert read_wfdb_record(small_card(), tmp_path, "r1").subject == Subject("male", 69)
    header = tmp_path / "r1.hea"
    header.write_text(header.read_text().replace("# 69 M", "# nobody wrote it down"))
    assert read_wfdb_record(small_card(), tmp_path, "r1").subject == Subject()


@pytest.mark.parametrize(
    ("age", "group"),
    [
        (0, "under 18"),
        (17, "under 18"),
        (18, "18 to 39"),
        (39, "18 to 39"),
        (40, "40 to 64"),
        (64, "40 to 64"),
        (65, "65 and over"),
        (None, "unknown"),
    ],
)
def test_age_groups(age: int | None, group: str) -> None:
    assert Subject("female", age).age_group == group


def test_the_patients_of_mit_bih(shared_data: SharedData) -> None:
    """The publisher: 25 men of 32 to 89 years, 22 women of 23 to 89; one person recorded twice."""
    folder = shared_data("mitdb")
    records = sorted(path.stem for path in folder.glob("*.hea"))
    subjects = [read_subject(read_header(folder / f"{r}.hea", r).comments) for r in records]
    assert len(subjects) == 48
    men = [subject.age for subject in subjects if subject.sex == "male"]
    women = [subject.age for subject in subjects if subject.sex == "female"]
    assert (len(men), len(women)) == (26, 22)
    assert min(age for age in men if age is not None) == 32
    assert min(age for age in women if age is not None) == 23
    assert max(age for age in (*men, *women) if age is not None) == 89
