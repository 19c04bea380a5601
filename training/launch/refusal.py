"""Errors that end a run for good, however often its launcher would start workers anew."""

from __future__ import annotations

from atelier import storage
from atelier.errors import AtelierError, StorageError


def would_come_again(error: AtelierError) -> bool:
    """Whether workers that start anew would meet the error again: settings, data, a loss that ran away, a full disk.

    Only a store far away that does not answer may do so the next time.
    """
    return not (type(error) is StorageError and storage.is_s3(error.address))
