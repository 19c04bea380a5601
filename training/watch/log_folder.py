"""Where a run's logs lie: beside its checkpoints, also where those are in an object store."""

from __future__ import annotations

from pathlib import Path

from atelier import storage
from atelier.errors import StorageError
from training.watch.observer import Observer, ValidationReport


class LogFolder(Observer):
    """A folder on this machine that holds what the address does: fetched once, sent back at checkpoints.

    A run that goes on elsewhere finds its log so. A local address is the folder itself, and nothing is sent.

    Args:
        address: path or `s3://` prefix. cache: where a folder for a remote address may lie.
    """

    may_fail = True

    def __init__(self, address: str, cache: Path) -> None:
        self._address = storage.resolve(address)
        self._remote = storage.is_s3(self._address)
        self.path = cache / "logs" / self._address.removeprefix("s3://") if self._remote else Path(self._address)
        self._sent: dict[Path, tuple[int, int]] = {}

    def make(self) -> None:
        """Makes the folder where there is none: before anything costly, so that an impossible output costs nothing.

        Raises:
            StorageError: it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(str(self.path), f"no folder can be made there ({error.strerror})") from error

    def fetch(self) -> None:
        """Brings the folder up to what lies at the address; call it before the observers are made.

        Raises:
            StorageError: the folder cannot be made, or the store does not answer.
        """
        self.make()
        if not self._remote:
            return
        for entry in storage.list(self._address):
            path = self.path / entry.address.removeprefix(f"{self._address}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(storage.get(entry.address))
            self._sent[path] = _version(path)

    def send(self) -> None:
        """Puts files that have changed since they were fetched or sent."""
        if not self._remote:
            return
        for path in sorted(self.path.rglob("*")):
            if path.is_file() and self._sent.get(path) != (version := _version(path)):
                storage.put(f"{self._address}/{path.relative_to(self.path).as_posix()}", path.read_bytes())
                self._sent[path] = version

    def kept(self, step: int, address: str) -> None:
        self.send()

    def validated(self, report: ValidationReport) -> None:
        self.send()

    def stopped(self, step: int, reason: str) -> None:
        self.send()


def _version(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns
