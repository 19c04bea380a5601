"""What every store does, and the two records it answers with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One stored object: its address, its size in bytes and the token of its version."""

    address: str
    size: int
    token: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Put:
    """What a `put` did: whether it stored the bytes (`False`: they lay there already), and the version's token."""

    created: bool
    token: str


class Store(Protocol):
    """The calls of one store; `atelier.storage` says what each promises."""

    def get(self, address: str, *, max_bytes: int | None = None) -> bytes: ...

    def get_with_token(self, address: str, *, max_bytes: int | None = None) -> tuple[bytes, str]: ...

    def head(self, address: str) -> Entry: ...

    def exists(self, address: str) -> bool: ...

    def put(
        self, address: str, data: bytes, *, if_absent: bool, if_match: str | None, content_type: str | None
    ) -> Put: ...

    def delete(self, address: str) -> None: ...

    def list(self, folder: str, *, recursive: bool = True) -> Iterator[Entry]: ...
