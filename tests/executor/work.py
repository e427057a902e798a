"""Functions that workers import: they square, fail, or kill the process they are in."""

import json
import os
import signal
import time
from pathlib import Path

from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.executor import Codec


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


CODEC = Codec(encode, json.loads)


def square(number: int) -> int:
    return number * number


def square_and_log(folder: Path, number: int) -> int:
    """Leave a mark for every call, so that calls can be counted from outside."""
    with (folder / f"{number}.calls").open("a") as stream:
        stream.write("x")
    return number * number


def calls(folder: Path, number: int) -> int:
    path = folder / f"{number}.calls"
    return len(path.read_text()) if path.exists() else 0


def die_once(folder: Path, number: int) -> int:
    """Kill the own process at the first call for 3 and 4, and at no other."""
    first = calls(folder, number) == 0
    result = square_and_log(folder, number)
    if number in (3, 4) and first:
        os.kill(os.getpid(), signal.SIGKILL)
    return result


def die_at_five(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail_at_two(number: int) -> int:
    if number == 2:
        raise ConfigurationError("two is refused", where="the number", hint="take three")
    return number


def fail_with_arguments(number: int) -> int:
    raise UnknownNameError("number", str(number), ["1", "2"])


def divide(number: int) -> float:
    return 1 / number


def slow_square(folder: Path, number: int) -> int:
    time.sleep(0.2)
    return square_and_log(folder, number)


def processes(_: int) -> tuple[int, str]:
    return os.getpid(), os.environ.get("OMP_NUM_THREADS", "")
