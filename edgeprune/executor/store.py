"""Results on disk: one file a task, whole or absent."""

from __future__ import annotations

from pathlib import Path

from edgeprune.files import sha256_bytes, write_bytes

_DIGEST_LENGTH = 64


class ResultStore:
    """The results of one run.

    Args:
        folder: Where they are kept; None keeps nothing. What the tasks read besides their key must
            be the same whenever the same folder is given.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def find(self, key: str) -> bytes | None:
        """Return the result of an earlier run; None where there is none or it is damaged."""
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        content = path.read_bytes()
        digest, result = content[:_DIGEST_LENGTH], content[_DIGEST_LENGTH + 1 :]
        return result if digest == sha256_bytes(result).encode() else None

    def keep(self, key: str, result: bytes) -> None:
        """Write a result atomically.

        Raises:
            DiskError: No space or no permission.
        """
        path = self._path(key)
        if path is not None:
            write_bytes(path, sha256_bytes(result).encode() + b"\n" + result)

    def _path(self, key: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{sha256_bytes(key.encode())[:32]}.result"
