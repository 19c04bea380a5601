"""What a disk refuses, as an error of ours: no code is to blame for it, and no restart mends it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from atelier.errors import StorageError

_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}


def is_of_the_disk(error: OSError) -> bool:
    """Whether a disk is full, over quota, read-only or not ours to write to."""
    return error.errno in _OF_THE_DISK


@contextmanager
def telling_of_the_disk(where: str = "disk") -> Iterator[None]:
    """What a disk refuses inside is raised as a `StorageError` that names the file.

    Args:
        where: what is written to, for an error that names no file: a write onto a full disk does not.
    """
    try:
        yield
    except OSError as error:
        if not is_of_the_disk(error):
            raise
        reason = f"{error.strerror}; the last whole checkpoint stays"
        raise StorageError(str(error.filename or where), reason) from error
