"""One process of a machine at a time: what several would otherwise fetch or prepare twice."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atelier.errors import StorageError


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Waits until no other process is inside for the same file, which is made and stays; a killed one lets go.

    Raises:
        StorageError: the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("ab")
    except OSError as error:
        raise StorageError(str(path), f"the cache cannot be written: {error.strerror}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
