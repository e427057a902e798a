"""Keeps what native libraries write to standard error for information off the terminal."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STANDARD_ERROR = 2
_INFORMATION = b"INFO:"


@contextmanager
def without_native_information() -> Iterator[None]:
    """Hold back file descriptor 2 and let pass all but the lines that begin with "INFO:".

    LiteRT's interpreter says which delegate it made and has no switch against it. Warnings and
    errors come out when the block ends, however it ends. Where there is no standard error, nothing
    is held back.
    """
    with suppress(AttributeError, ValueError, OSError):
        sys.stderr.flush()
    try:
        kept = os.dup(_STANDARD_ERROR)
    except OSError:
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), _STANDARD_ERROR)
        try:
            yield
        finally:
            os.dup2(kept, _STANDARD_ERROR)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not line.startswith(_INFORMATION):
                    os.write(_STANDARD_ERROR, line)
