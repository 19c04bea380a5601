"""Local disk as a store: whole files only, durable, with compare and swap."""

from __future__ import annotations

import fcntl
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from atelier.errors import AccessDenied, NotFound, PreconditionFailed, StorageError, TooLarge
from atelier.storage.addresses import local_path
from atelier.storage.store import Entry, Put

# What a killed writer leaves behind starts so, and is never listed.
_OURS = ".atelier-"


class LocalStore:
    """Files. A token is `size-mtime_ns`."""

    def get(self, address: str, *, max_bytes: int | None = None) -> bytes:
        return self.get_with_token(address, max_bytes=max_bytes)[0]

    def get_with_token(self, address: str, *, max_bytes: int | None = None) -> tuple[bytes, str]:
        with _said(address), Path(local_path(address)).open("rb") as file:
            status = os.fstat(file.fileno())  # of the opened file, whatever takes its name meanwhile
            if max_bytes is not None and status.st_size > max_bytes:
                raise TooLarge(address, f"holds {status.st_size} bytes; must be at most {max_bytes}")
            return file.read(), _token(status)

    def head(self, address: str) -> Entry:
        with _said(address):
            status = Path(local_path(address)).stat()
        if not stat.S_ISREG(status.st_mode):
            raise NotFound(address, "is no file")
        return Entry(address=address, size=status.st_size, token=_token(status))

    def exists(self, address: str) -> bool:
        try:
            self.head(address)
        except NotFound:
            return False
        return True

    def put(
        self,
        address: str,
        data: bytes,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        content_type: str | None = None,
    ) -> Put:
        path = Path(local_path(address))
        temporary = path.parent / f"{_OURS}{uuid.uuid4().hex}"
        with _said(address):
            _make_folder(path.parent)
            try:
                _write(temporary, data)
                token = _token(temporary.stat())  # not asked for later: somebody else's may lie there by then
                if if_absent:
                    try:
                        os.link(temporary, path)  # atomic, and the only rename that refuses an existing name
                    except FileExistsError:
                        return self._same(address, data)
                elif if_match is not None:
                    token = _swap(temporary, path, if_match)
                else:
                    temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(path.parent)
        return Put(created=True, token=token)

    def delete(self, address: str) -> None:
        with _said(address):
            Path(local_path(address)).unlink(missing_ok=True)

    def list(self, folder: str, *, recursive: bool = True) -> Iterator[Entry]:
        pending = [local_path(folder)]
        while pending:
            here = pending.pop()
            with _said(here):
                try:
                    found = os.scandir(here)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                with found:
                    for item in found:
                        if item.name.startswith(_OURS):
                            continue
                        if item.is_file():
                            with suppress(FileNotFoundError):  # removed since the folder was read
                                status = item.stat()
                                yield Entry(address=item.path, size=status.st_size, token=_token(status))
                        elif recursive and item.is_dir(follow_symlinks=False):
                            pending.append(item.path)

    def _same(self, address: str, data: bytes) -> Put:
        entry = self.head(address)
        if entry.size != len(data) or self.get(address) != data:
            raise PreconditionFailed(address, "other content lies there already")
        return Put(created=False, token=entry.token)


def _token(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _swap(temporary: Path, path: Path, expected: str) -> str:
    """Replaces a file if it still has the expected token, and gives the new one's.

    Swaps of one file wait for each other, across processes.
    """
    with (path.parent / f"{_OURS}lock-{path.name}").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            before = path.stat()
        except FileNotFoundError:
            raise PreconditionFailed(str(path), f"nothing lies there; version {expected} was expected") from None
        if _token(before) != expected:
            raise PreconditionFailed(str(path), f"version {_token(before)} lies there; {expected} was expected")
        # File clocks tick every few milliseconds: two swaps within one tick, of equal size, would share a token.
        modified = max(temporary.stat().st_mtime_ns, before.st_mtime_ns + 1)
        os.utime(temporary, ns=(modified, modified))
        token = _token(temporary.stat())
        temporary.replace(path)
        return token


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    # Without it a power cut may lose the name, though the content was written.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _said(address: str) -> Iterator[None]:
    """The operating system's errors as storage errors of this address."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(address, "nothing lies there") from error
    except IsADirectoryError as error:
        raise NotFound(address, "is a folder, must be a file") from error
    except PermissionError as error:
        raise AccessDenied(address, error.strerror or "permission denied") from error
    except OSError as error:
        raise StorageError(address, error.strerror or str(error)) from error
