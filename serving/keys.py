"""API keys: who may ask for what. Only their hashes are kept; a key itself is seen once, by whoever made it."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from atelier.errors import ConfigError
from serving.quotas.quota import Quota

Scope = Literal["make", "jobs", "models"]
"""`make`: pictures at once. `jobs`: pictures later. `models`: what there is."""
SCOPES: tuple[Scope, ...] = get_args(Scope)

MOST_S = 36500 * 86400.0
"""Longest time that a key may be given: a hundred years."""

_PREFIX = "atl"
_UNKNOWN = hashlib.sha256(b"no key at all").hexdigest()


@dataclass(frozen=True, kw_only=True)
class KeyRecord:
    """What is kept of a key.

    Args:
        id: the part of the key that may be seen, and that jobs and logs know it by.
        owner: the name it was made for; a rotated key has the same.
        sha256: of the secret part. 256 random bits need no slow hash: nobody can go through them.
        expires_at_s: Unix time; None never; one that is no number has passed.
        quota: what its owner may use; counted by owner, so that neither a rotation nor another key doubles it.
        webhook_secret: `whsec_` and base64 of 256 random bits, kept as it is: it must sign again.
    """

    id: str
    owner: str
    sha256: str
    scopes: tuple[Scope, ...]
    created_at_s: float
    expires_at_s: float | None = None
    quota: Quota = field(default_factory=Quota)
    webhook_secret: str = field(default="", repr=False)

    def is_over(self, now_s: float) -> bool:
        """Whether it is not taken any more."""
        return self.expires_at_s is not None and not self.expires_at_s > now_s


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks. Jobs belong to the `owner`, so that they survive a rotation."""

    owner: str
    scopes: tuple[Scope, ...]
    quota: Quota = field(default_factory=Quota)
    has_secret: bool = False
    """Whether there is something to sign webhooks with."""


class KeyRing:
    """The keys in a file, read again whenever it has changed: a key that is taken away is refused at once.

    Changes wait for each other, across processes: none undoes another.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._read_at: tuple[int, int] | None = None
        self._records: dict[str, KeyRecord] = {}

    def caller(self, key: str, *, now_s: float | None = None) -> Caller | None:
        """Who a key belongs to; None for one that is unknown, wrong or expired, in the same time for all of them.

        Raises:
            ConfigError: the file cannot be read.
        """
        prefix, _, rest = key.partition("_")
        identity, _, secret = rest.partition("_")
        record = self._current().get(identity) if prefix == _PREFIX else None
        expected = record.sha256 if record is not None else _UNKNOWN
        fits = hmac.compare_digest(_hash(secret), expected)
        if record is None or not fits or record.is_over(time.time() if now_s is None else now_s):
            return None
        has_secret = bool(record.webhook_secret)
        return Caller(owner=record.owner, scopes=record.scopes, quota=record.quota, has_secret=has_secret)

    def records(self) -> list[KeyRecord]:
        """All keys, oldest first.

        Raises:
            ConfigError: the file cannot be read.
        """
        return sorted(self._current().values(), key=lambda record: record.created_at_s)

    def add(
        self, owner: str, scopes: Sequence[str], *, valid_s: float | None = None, quota: Quota | None = None
    ) -> str:
        """Makes a key and gives it: the one time that anybody sees it.

        Args:
            quota: of the owner from now on, so for all their keys; None leaves it as it is.

        Raises:
            ConfigError: an empty name, a scope that isn't there, or a time that is none.
        """
        if not owner or not owner.isprintable():
            raise ConfigError(f"owner is {owner!r}; must be printable text")
        if not scopes or set(scopes) - set(SCOPES):
            raise ConfigError(f"scopes are {list(scopes)}; must be some of {list(SCOPES)}")
        if valid_s is not None and not 0 < valid_s <= MOST_S:
            raise ConfigError(f"valid_s is {valid_s}; must be more than 0 and at most {MOST_S:.0f}")
        with self._changing() as records:
            return _added(records, owner, scopes, valid_s=valid_s, quota=quota)

    def rotate(self, owner: str, *, overlap_s: float) -> str:
        """A new key with an owner's scopes and quota; the owner's present ones end after `overlap_s`.

        Raises:
            ConfigError: an owner without a key, or a time that is none.
        """
        if not 0 <= overlap_s <= MOST_S:
            raise ConfigError(f"overlap_s is {overlap_s}; must be from 0 to {MOST_S:.0f}")
        now_s = time.time()
        with self._changing() as records:
            mine = [one for one in _of(records, owner) if not one.is_over(now_s)]
            if not mine:
                owners = sorted({one.owner for one in records.values()})
                raise ConfigError(f"owner {owner!r}: has no key; there are keys of {owners}")
            end_s = now_s + overlap_s
            for one in mine:
                ends_s = end_s if one.expires_at_s is None else min(end_s, one.expires_at_s)
                records[one.id] = replace(one, expires_at_s=ends_s)
            return _added(records, owner, mine[-1].scopes)

    def allow(self, owner: str, quota: Quota) -> int:
        """Gives all keys of an owner another quota, and gives their number."""
        with self._changing() as records:
            mine = _of(records, owner)
            records.update((one.id, replace(one, quota=quota)) for one in mine)
            return len(mine)

    def remove(self, owner: str) -> int:
        """Takes all keys of an owner away, and gives their number."""
        with self._changing() as records:
            mine = _of(records, owner)
            for one in mine:
                del records[one.id]
            return len(mine)

    def webhook_secrets(self, owner: str, *, now_s: float | None = None) -> list[str]:
        """Those of an owner's keys that have not expired, the newest first."""
        now_s = time.time() if now_s is None else now_s
        mine = [one for one in self.records() if one.owner == owner and not one.is_over(now_s)]
        return [one.webhook_secret for one in reversed(mine) if one.webhook_secret]

    def owners(self) -> set[str]:
        """Who has keys."""
        return {record.owner for record in self._current().values()}

    def _current(self) -> dict[str, KeyRecord]:
        with self._lock:
            try:
                stat = self._path.stat()
            except FileNotFoundError:
                self._records, self._read_at = {}, None
                return {}
            version = (stat.st_mtime_ns, stat.st_ino)
            if version != self._read_at:
                self._records, self._read_at = _read(self._path), version
            return dict(self._records)

    @contextmanager
    def _changing(self) -> Iterator[dict[str, KeyRecord]]:
        """The keys, to be changed in place, and written at the end; nobody else changes them meanwhile."""
        self._path.parent.mkdir(0o700, parents=True, exist_ok=True)
        lock = self._path.with_name(f"{self._path.name}.lock")
        lock.touch(mode=0o600)
        with lock.open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            records = _read(self._path) if self._path.exists() else {}
            before = dict(records)
            yield records
            if records != before:
                self._write(records)

    def _write(self, records: dict[str, KeyRecord]) -> None:
        entries = [asdict(record) | {"quota": record.quota.words} for record in records.values()]
        text = json.dumps({"keys": entries}, indent=2) + "\n"
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}.partial")
        beside.touch(mode=0o600)
        beside.write_text(text, encoding="utf-8")
        beside.replace(self._path)


def _added(
    records: dict[str, KeyRecord],
    owner: str,
    scopes: Sequence[str],
    *,
    valid_s: float | None = None,
    quota: Quota | None = None,
) -> str:
    """Puts a new key among others, and gives it."""
    mine = _of(records, owner)
    if quota is None:
        quota = mine[-1].quota if mine else Quota()
    else:
        records.update((one.id, replace(one, quota=quota)) for one in mine)
    identity, secret, now_s = secrets.token_hex(4), secrets.token_urlsafe(32), time.time()
    records[identity] = KeyRecord(
        id=identity,
        owner=owner,
        sha256=_hash(secret),
        scopes=tuple(scope for scope in SCOPES if scope in scopes),
        created_at_s=now_s,
        expires_at_s=None if valid_s is None else now_s + valid_s,
        quota=quota,
        webhook_secret="whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
    )
    return f"{_PREFIX}_{identity}_{secret}"


def _of(records: dict[str, KeyRecord], owner: str) -> list[KeyRecord]:
    """An owner's keys, oldest first."""
    return sorted((one for one in records.values() if one.owner == owner), key=lambda one: one.created_at_s)


def _read(path: Path) -> dict[str, KeyRecord]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["keys"]
        records = [_record(entry) for entry in entries]
    except (OSError, ValueError, LookupError, TypeError, OverflowError, ConfigError) as error:
        raise ConfigError(
            f"{path}: is no file of keys ({type(error).__name__}); `python -m serving keys` makes one"
        ) from None
    return {record.id: record for record in records}


def _record(entry: dict[str, Any]) -> KeyRecord:
    ends_s = entry.get("expires_at_s")
    told = {
        "scopes": tuple(entry["scopes"]),
        "quota": Quota.of_words(entry.get("quota", [])),
        "expires_at_s": None if ends_s is None else float(ends_s),
    }
    return KeyRecord(**entry | told)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
