"""How foolbox is imported: late, and where there is no git too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgeprune.errors import MissingToolError

_REFRESH = "GIT_PYTHON_REFRESH"


def foolbox_attacks() -> Any:
    """Return foolbox's attacks.

    foolbox imports GitPython for a collection of models that is not used here; without a git
    binary that import fails unless it is told to be quiet.

    Raises:
        MissingToolError: foolbox cannot be imported.
    """
    try:
        with _quiet_git():
            import foolbox.attacks
    except ImportError as error:
        raise MissingToolError(
            f"foolbox cannot be imported: {str(error).splitlines()[0]}",
            where="minimum-norm attacks",
            hint="pip install foolbox==3.3.4",
        ) from error
    return foolbox.attacks


@contextmanager
def _quiet_git() -> Iterator[None]:
    before = os.environ.get(_REFRESH)
    os.environ[_REFRESH] = before or "quiet"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_REFRESH]
