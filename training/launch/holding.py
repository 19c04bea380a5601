"""One trainer a run: a second one in the same folder would mix its checkpoints with the first's."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import psutil

from atelier import storage
from atelier.errors import ConfigError, NotFound, PreconditionFailed, StorageError

HOLDER_NAME = "TRAINING.json"
"""In the run's folder while somebody trains there."""

RENEW_EVERY_S = 10.0
SILENT_S = 30.0
"""A holder on another machine that says nothing for so long is taken for dead; by the newcomer's own clock alone."""

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who trains into a folder.

    Args:
        machine: the host's name, this boot of it and its space of process ids: another one's ids say nothing here.
        started: when the process was, in seconds since 1970, to tell it from a later one of the same id.
        since: when it took the folder, ISO 8601.
        launch: of this launch alone.
        renewals: how often it has said that it lives.
    """

    machine: str
    pid: int
    started: float
    since: str
    launch: str = field(default_factory=lambda: uuid.uuid4().hex)
    renewals: int = 0

    @classmethod
    def here(cls) -> Self:
        """This process, from now on."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(machine=_machine(), pid=os.getpid(), started=psutil.Process().create_time(), since=now)

    @classmethod
    def read(cls, text: bytes) -> Self | None:
        """Whoever wrote it; None where it is no such record."""
        try:
            known: dict[str, Any] = json.loads(text)
            return cls(**known)
        except (ValueError, TypeError):
            return None

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    def renewed(self) -> Holder:
        """Itself, a moment later."""
        return replace(self, renewals=self.renewals + 1)

    @property
    def is_of_this_machine(self) -> bool:
        """Whether its process could be looked for here."""
        return self.machine == _machine()

    def is_any_of(self, processes: list[psutil.Process]) -> bool:
        """Whether it is one of these processes of this machine."""
        return self.is_of_this_machine and any(
            process.pid == self.pid and process.create_time() == self.started for process in processes
        )

    @property
    def lives(self) -> bool:
        """Whether its process runs; to be asked of this machine's alone."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def __str__(self) -> str:
        return f"process {self.pid} of {self.machine.partition(' ')[0]}, since {self.since}"


@contextmanager
def holding(folder: str, lost: Callable[[str], None]) -> Iterator[None]:
    """Holds a run's folder for this launch and gives it back at the end.

    A dead holder's folder is taken over: at once where it was a process of this machine, else after `SILENT_S`.
    Workers of a launcher that holds the folder hold it with it.

    Args:
        folder: address of the run's own folder.
        lost: called with a reason, in another thread, where somebody else took the folder over as this process slept.

    Raises:
        ConfigError: somebody trains there.
        StorageError: the store does not answer, or nothing can be written.
    """
    address = storage.join(folder, HOLDER_NAME)
    found = _found(address)
    if found is not None and found.holder is not None and found.holder.is_any_of(psutil.Process().parents()):
        yield
        return
    renewal = _Renewal(address, *_taken(address, found), lost)
    renewal.start()
    try:
        yield
    finally:
        renewal.end()


@dataclass(frozen=True)
class _Found:
    """What lies at the holder's address, and its version; no holder where the bytes are no such record."""

    holder: Holder | None
    token: str

    def __str__(self) -> str:
        return "an unknown process" if self.holder is None else str(self.holder)


def _found(address: str) -> _Found | None:
    try:
        text, token = storage.get_with_token(address)
    except NotFound:
        return None
    return _Found(Holder.read(text), token)


def _taken(address: str, found: _Found | None) -> tuple[Holder, str]:
    """This process as the holder, and the version's token."""
    mine = Holder.here()
    if found is not None:
        if found.holder is not None and found.holder.is_of_this_machine:
            lives = found.holder.lives
        else:
            _LOGGER.info("%s: held by %s; waiting %.0f s for a sign of life", address, found, SILENT_S)
            time.sleep(SILENT_S)
            before, found = found, _found(address)
            lives = found is not None and found != before
        if lives:
            raise ConfigError(f"{address}: {found} trains here; stop it, or name another output")
    try:
        if found is None:
            return mine, storage.put(address, mine.to_bytes(), if_absent=True).token
        return mine, storage.put(address, mine.to_bytes(), if_match=found.token).token
    except PreconditionFailed as error:
        raise ConfigError(f"{address}: another process has just begun to train here") from error
    except StorageError as error:
        if type(error) is not StorageError:
            raise
        raise StorageError(address, f"{error.reason}; the last whole checkpoint stays") from error


class _Renewal(threading.Thread):
    """Says every few seconds that the holder lives."""

    def __init__(self, address: str, holder: Holder, token: str, lost: Callable[[str], None]) -> None:
        super().__init__(name="holds the run's folder", daemon=True)
        self._address, self._holder, self._token, self._lost = address, holder, token, lost
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(RENEW_EVERY_S):
            after = self._holder.renewed()
            try:
                self._token = storage.put(self._address, after.to_bytes(), if_match=self._token).token
                self._holder = after
            except PreconditionFailed:
                _LOGGER.error("%s: this process was silent for too long, and another trains here now", self._address)
                self._lost("the run's folder was taken over")
                return
            except StorageError as error:
                # The checkpoints go to the same store, and theirs is the say.
                _LOGGER.debug("could not be renewed: %s", error)

    def end(self) -> None:
        """Gives the folder back, if it is still this holder's."""
        self._ended.set()
        self.join()
        with suppress(StorageError):
            found = _found(self._address)
            if found is not None and found.holder is not None and found.holder.launch == self._holder.launch:
                storage.delete(self._address)
        if not storage.is_s3(self._address):
            # Of a run that was refused, nothing else is there.
            with suppress(OSError):
                Path(self._address).parent.rmdir()


def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    booted = boot.read_text().strip() if boot.is_file() else f"{psutil.boot_time():.0f}"
    space = Path("/proc/self/ns/pid")
    return " ".join([socket.gethostname(), booted, *([str(space.readlink())] if space.is_symlink() else [])])
