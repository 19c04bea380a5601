"""What a worker says of a row before it tries it, so that a row is found out whose worker does not live to tell."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

from atelier import storage
from atelier.errors import NotFound


@dataclass(frozen=True, kw_only=True)
class LastWords:
    """How far a row had come.

    Args:
        pool: that had it last.
        tries: how often each pool has begun it.
        finished: the pool has handed it on; whatever was lost then, the row did not do it.
        stack: where it hung, if it did.
    """

    pool: str
    tries: Mapping[str, int]
    finished: bool = False
    stack: str = ""

    def write(self, folder: str, row: int) -> None:
        """Stores them for a row, in place of earlier ones."""
        storage.put(_address(folder, row), json.dumps(dataclasses.asdict(self)).encode())

    @classmethod
    def read(cls, folder: str, row: int) -> LastWords | None:
        """Those of a row, None where nobody has begun it."""
        try:
            return cls(**json.loads(storage.get(_address(folder, row))))
        except NotFound:
            return None


def _address(folder: str, row: int) -> str:
    return f"{folder}/{row:016x}.json"
