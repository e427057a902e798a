"""A fuzzer with a fixed seed: damaged files are read, or refused with an error that says why.

Case n is always the same damage of the same file. Every case runs in a worker with limits on its
processor time and its memory; a traceback, a crash, a hang or a blow-up is a failure:

    python -m tests.studies.reach_fuzz             all cases
    python -m tests.studies.reach_fuzz 417 922     these alone, here, with their tracebacks
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeprune.errors import EdgepruneError
from tests.studies.study import Figure

SECTION = "damaged files"
SEED = 7
CASES = 1000
READ = "read"
CPU_SECONDS = 20
WALL_SECONDS = 300
MEGABYTES = 512
_CHECKOUT = Path(__file__).resolve().parent.parent.parent
_DATA = Path(os.environ.get("EDGEPRUNE_TEST_DATA", _CHECKOUT.parent / "shared" / "data"))
_LENGTHS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40)
_TEXTS = ("-1", "0", "99999999", "1e99", "nan", "inf", "''", "[]", "{}", "\u00e9\U0001f600", "\0")


@dataclass(frozen=True)
class Valid:
    """A file that can be read, to be damaged.

    Attributes:
        name: What it is, in a failure's line.
        files: All files of the folder that it is read in.
        damaged: The file among them to damage.
        read: Reads it from a folder.
        text: It is a text: numbers and lines are damaged too.
    """

    name: str
    files: dict[str, bytes]
    damaged: str
    read: Callable[[Path], object]
    text: bool = False


@dataclass(frozen=True)
class Failure:
    """A case that ended as no case may.

    Attributes:
        case: Its number.
        damage: File and damage.
        how: What happened.
    """

    case: int
    damage: str
    how: str

    def __str__(self) -> str:
        return f"case {self.case}, {self.damage}: {self.how}"


def _folder(write: Callable[[Path], object]) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        write(Path(name))
        return {path.name: path.read_bytes() for path in sorted(Path(name).iterdir())}


def wfdb_files() -> list[Valid]:
    """Return a record in WFDB format: header, samples and annotations."""
    from edgeprune.data.wfdb_reader import read_wfdb_record
    from tests.data.records import small_card, write_record

    card = small_card()
    files = _folder(lambda folder: write_record(folder, "r1"))

    def read(folder: Path) -> object:
        return read_wfdb_record(card, folder, "r1")

    return [
        Valid(f"WFDB {name}", files, name, read, text=name.endswith("hea"))
        for name in ("r1.hea", "r1.hea", "r1.dat", "r1.atr", "r1.atr")
    ]


def edf_files() -> list[Valid]:
    """Return EDF+ and BDF+ files of our own, and the fixtures where they are there."""
    from edgeprune.data.edf_reader import read_edf_record
    from edgeprune.data.own_records import to_recording
    from edgeprune.data.survey_files import look_at_edf
    from tests.data.own_data import own_card, own_counts, write_edf

    card = own_card("edf")

    def read_own(folder: Path) -> object:
        (path,) = folder.iterdir()
        return to_recording(card, read_edf_record(card, path, "r1"))

    def look_at(folder: Path) -> object:
        (path,) = folder.iterdir()
        return look_at_edf(path, "r1", "", ".")

    found = []
    counts = own_counts("r1")
    edf = _folder(lambda folder: write_edf(folder / "r1.edf", counts))
    bdf = _folder(lambda folder: write_edf(folder / "r1.bdf", counts, bdf=True))
    for files in (edf, bdf):
        (name,) = files
        found += [Valid(f"EDF {name}", files, name, read) for read in (read_own, look_at)]
    for path in sorted((_DATA / "edf_fixtures").glob("*.edf")):
        if path.stat().st_size < 1 << 18:
            found.append(
                Valid(f"EDF {path.name}", {path.name: path.read_bytes()}, path.name, look_at)
            )
    return found


def onnx_files() -> list[Valid]:
    """Return QDQ models, and a float model that can be trained."""
    from edgeprune.network import read_qdq, write_qdq
    from tests.firmware.networks import r1, residual
    from tests.network.float_models import FloatModel, classifier

    model = FloatModel()
    contents = [write_qdq(r1()), write_qdq(residual())]
    trained = model.model(classifier(model)).SerializeToString()
    name = "model.onnx"
    found = [
        Valid("ONNX (QDQ)", {name: content}, name, lambda folder: read_qdq(folder / name))
        for content in contents
    ]

    def read(folder: Path) -> object:
        from edgeprune.classifiers.onnx_import.reader import load_onnx_classifier

        return load_onnx_classifier(folder / name, (64, 2), 4)

    return [*found, Valid("ONNX (float)", {name: trained}, name, read)]


def tflite_files() -> list[Valid]:
    """Return TFLite files as our own writer makes them."""
    from edgeprune.network import write_tflite
    from edgeprune.network.tflite_reader import read_tflite
    from tests.firmware.networks import r1, residual

    name = "model.tflite"
    return [
        Valid("TFLite", {name: content}, name, lambda folder: read_tflite(folder / name))
        for content in (write_tflite(r1()), write_tflite(residual()))
    ]


def toml_files() -> list[Valid]:
    """Return cards, a target and a configuration."""
    from edgeprune.config import BuildConfig, load_config
    from edgeprune.config_text import render_config
    from edgeprune.data import load_card
    from edgeprune.resources import resource_folder
    from edgeprune.targets import load_target

    def of(name: str, content: bytes, read: Callable[[Path], object]) -> Valid:
        return Valid(f"TOML {name}", {name: content}, name, read, text=True)

    cards = [
        of(f"{name}.toml", content, lambda folder: load_card(next(folder.iterdir())))
        for name in ("mit-bih", "chb-mit-windows")
        for content in [(resource_folder("datasets") / f"{name}.toml").read_bytes()]
    ]
    target = (resource_folder("targets") / "cortex-m7.toml").read_bytes()
    return [
        *cards,
        of("target.toml", target, lambda folder: load_target(str(next(folder.iterdir())))),
        of(
            "edgeprune.toml",
            render_config(BuildConfig()).encode(),
            lambda folder: load_config(next(folder.iterdir()), {}),
        ),
    ]


FAMILIES: tuple[Callable[[], list[Valid]], ...] = (
    wfdb_files,
    edf_files,
    onnx_files,
    tflite_files,
    toml_files,
)


def damage(content: bytes, text: bool, draw: random.Random) -> tuple[bytes, str]:
    """Return damaged content, and in words what was done to it.

    Args:
        content: The file.
        text: Numbers and lines are damaged too.
        draw: Decides all.
    """
    kinds = [_flip, _cut, _length, _swap, _remove, _repeat]
    kinds += [_number, _line, _number] if text or draw.random() < 0.3 else []
    words = []
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        content, word = draw.choice(kinds)(content, draw)
        words.append(word)
    return content, "; ".join(words)


def _place(content: bytes, draw: random.Random) -> int:
    """Return a place in the file; what stands at its beginning is hit more often."""
    end = max(len(content), 1)
    return draw.randrange(min(end, draw.choice((64, 512, 4096, end, end))))


def _flip(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    damaged = bytearray(content)
    places = [_place(content, draw) for _ in range(draw.choice((1, 1, 2, 8)))]
    for place in places:
        if place < len(damaged):
            damaged[place] ^= 1 << draw.randrange(8)
    return bytes(damaged), f"bits flipped at {places}"


def _cut(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    place = _place(content, draw)
    return content[:place], f"cut at {place}"


def _length(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    place, size, value = _place(content, draw), draw.choice((1, 2, 4, 8)), draw.choice(_LENGTHS)
    order = draw.choice(("little", "big"))
    raw = (value & ((1 << 8 * size) - 1)).to_bytes(size, order)  # type: ignore[arg-type]
    return content[:place] + raw + content[place + size :], f"{raw.hex()} written at {place}"


def _block(content: bytes, draw: random.Random) -> tuple[int, int]:
    begin = _place(content, draw)
    return begin, min(begin + draw.choice((1, 4, 16, 256)), len(content))


def _swap(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    (a, b), (c, d) = sorted((_block(content, draw), _block(content, draw)))
    b = min(b, c)
    swapped = content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]
    return swapped, f"{a}..{b} and {c}..{d} swapped"


def _remove(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    a, b = _block(content, draw)
    return content[:a] + content[b:], f"{a}..{b} removed"


def _repeat(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    a, b = _block(content, draw)
    times = draw.choice((2, 3, 50))
    return content[:a] + content[a:b] * times + content[b:], f"{a}..{b} {times} times"


def _number(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content[: 1 << 16]))
    if not found:
        return _flip(content, draw)
    match, value = draw.choice(found), draw.choice(_TEXTS)
    return (
        content[: match.start()] + value.encode() + content[match.end() :],
        f"{value!r} for {match[0].decode()} at {match.start()}",
    )


def _line(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    lines = content.split(b"\n")
    a, b = draw.randrange(len(lines)), draw.randrange(len(lines))
    if draw.random() < 0.5:
        lines[a], lines[b] = lines[b], lines[a]
        return b"\n".join(lines), f"lines {a} and {b} swapped"
    lines.insert(a, lines[b])
    return b"\n".join(lines), f"line {b} again before {a}"


class Cases:
    """All cases; the valid files are made when the first of their kind is asked for."""

    def __init__(self) -> None:
        self._valid: dict[int, list[Valid]] = {}

    def make(self, case: int) -> tuple[Valid, bytes, str]:
        """Return the file that a case damages, what it becomes, and the damage in words."""
        family, number = case % len(FAMILIES), case // len(FAMILIES)
        if family not in self._valid:
            self._valid[family] = FAMILIES[family]()
        found = self._valid[family]
        valid = found[number % len(found)]
        draw = random.Random(f"{SEED}/{case}")
        content, words = damage(valid.files[valid.damaged], valid.text, draw)
        return valid, content, f"{valid.name}: {words}"

    def run(self, case: int) -> tuple[str, str]:
        """Return a case's damage, and "read" or the code of the error.

        Raises:
            Exception: Whatever a reader must not throw.
        """
        valid, content, words = self.make(case)
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        try:
            for name, whole in valid.files.items():
                (folder / name).write_bytes(content if name == valid.damaged else whole)
            valid.read(folder)
            return words, READ
        except EdgepruneError as error:
            if not error.what or not error.hint:
                raise AssertionError(f"the error does not say what to do: {error!r}") from error
            return words, error.code
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def fuzz(cases: Iterable[int]) -> tuple[Counter[str], list[Failure]]:
    """Run cases in a worker that is limited; another takes over where one dies.

    Args:
        cases: Their numbers.

    Returns:
        How many ended how, by family and outcome, and the failures.
    """
    outcomes: Counter[str] = Counter()
    failures: list[Failure] = []
    worker: subprocess.Popen[bytes] | None = None
    for case in cases:
        if worker is None:
            worker = _start()
        family = FAMILIES[case % len(FAMILIES)].__name__.removesuffix("_files")
        assert worker.stdin is not None
        worker.stdin.write(f"{case}\n".encode())
        answers = _answers(worker)
        damage_done = answers[0] if answers else "?"
        if len(answers) == 2 and not answers[1].startswith("!"):
            outcomes[f"{family} {answers[1]}"] += 1
            continue
        if len(answers) == 2:
            how = answers[1][1:]
        else:
            worker.kill()
            code = worker.wait()
            worker = None
            how = (
                f"no answer within {CPU_SECONDS} s of processor time"
                if code in (-signal.SIGPROF, -signal.SIGKILL)
                else f"the process ended with {code}"
            )
        failures.append(Failure(case, damage_done, how))
        outcomes[f"{family} FAILED"] += 1
    if worker is not None:
        assert worker.stdin is not None
        worker.stdin.close()
        worker.wait()
    return outcomes, failures


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.studies.reach_fuzz", "--worker"],
        cwd=_CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )


def _answers(worker: subprocess.Popen[bytes]) -> list[str]:
    """Return the damage and the outcome of the case that the worker has been given.

    Only the damage, or nothing, where it died or is silent for too long.
    """
    assert worker.stdout is not None
    told = b""
    while told.count(b"\n") < 2:
        # The stream is not buffered: what select does not see is not there.
        ready, _, _ = select.select([worker.stdout], [], [], WALL_SECONDS)
        part = os.read(worker.stdout.fileno(), 1 << 16) if ready else b""
        if not part:
            break
        told += part
    return [json.loads(line) for line in told.split(b"\n")[:-1]]


def _work() -> None:
    """Answer the cases on standard input, under limits."""
    cases = Cases()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def say(text: str) -> None:
        answers.write(json.dumps(text) + "\n")
        answers.flush()

    for line in iter(sys.stdin.readline, ""):
        case = int(line)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        # What a reader imports late is no part of what a damaged file makes it take.
        valid, _, words = cases.make(case)
        _warm_up(valid)
        say(words)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + (MEGABYTES << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        try:
            outcome = cases.run(case)[1]
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            outcome = (
                f"!{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
            )
        signal.setitimer(signal.ITIMER_PROF, 0)
        say(outcome)


_WARM: set[str] = set()


def _warm_up(valid: Valid) -> None:
    """Read the file as it was, once: it must be readable."""
    key = f"{valid.name} {len(valid.files[valid.damaged])}"
    if key in _WARM:
        return
    _WARM.add(key)
    with tempfile.TemporaryDirectory() as name:
        for file, whole in valid.files.items():
            (Path(name) / file).write_bytes(whole)
        try:
            valid.read(Path(name))
        except EdgepruneError:
            # Some fixtures hold annotations alone.
            if not valid.name.startswith("EDF"):
                raise


def figures() -> Iterator[Figure]:
    """Measure how many damaged files end as no file may."""
    outcomes, failures = fuzz(range(CASES))
    for family in FAMILIES:
        kind = family.__name__.removesuffix("_files")
        ended = {
            outcome.split()[1]: count
            for outcome, count in sorted(outcomes.items())
            if outcome.startswith(f"{kind} ")
        }
        told = ", ".join(f"{outcome} {count}" for outcome, count in ended.items())
        failed = [str(each) for each in failures if FAMILIES[each.case % len(FAMILIES)] is family]
        yield Figure(
            SECTION,
            f"{kind}: tracebacks, hangs, blow-ups",
            float(len(failed)),
            floor=0.0,
            at_most=True,
            unit=f"of {sum(ended.values())}",
            note="; ".join([told, *failed[:3]]),
        )


def fixtures() -> Iterator[Figure]:
    """Read every odd but valid EDF file that is there, and real ones."""
    from edgeprune.data.survey_files import look_at_edf

    paths = [*(_DATA / "edf_fixtures").glob("*.edf"), *(_DATA / "eegmmidb").rglob("*.edf")]
    told = []
    thrown = 0
    for path in sorted(paths):
        try:
            found = look_at_edf(path, path.stem, "", ".")
            told.append(f"{path.name}: {len(found.channels)} channels, {len(found.texts)} texts")
        except EdgepruneError as error:
            told.append(f"{path.name}: refused, {error.what}")
        except Exception as error:
            thrown += 1
            told.append(f"{path.name}: {error!r}")
    yield Figure(
        "EDF fixtures",
        "neither read nor refused with a reason",
        float(thrown) if paths else None,
        floor=0.0,
        at_most=True,
        unit=f"of {len(paths)}",
        note="; ".join(told),
    )


def main(arguments: Sequence[str]) -> int:
    """Run the cases that are named, or all."""
    if list(arguments) == ["--worker"]:
        _work()
        return 0
    if arguments:
        cases: Any = Cases()
        for text in arguments:
            print(*cases.run(int(text)), sep="\n  ")
        return 0
    outcomes, failures = fuzz(range(CASES))
    for outcome, count in sorted(outcomes.items()):
        print(f"{outcome:<20} {count:5}")
    for failure in failures:
        print(failure)
    print(f"{CASES} cases, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
