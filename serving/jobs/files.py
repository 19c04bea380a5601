"""Where a job's pictures lie: its inputs until it has ended, what was made until it is forgotten."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from atelier import storage
from atelier.errors import NotFound, StorageError
from atelier.images import strip_metadata

_ID = re.compile(r"[0-9a-f]{32}")


class JobFiles:
    """Files below `store`, a folder or an `s3://` prefix. Names are ours: nothing of a caller is in them.

    A folder that is made here is its owner's alone: nobody else on the machine has business with shoppers' pictures.
    """

    def __init__(self, store: str) -> None:
        self._store = storage.resolve(store)

    def check(self) -> None:
        """Looks whether a folder can be written; an `s3://` prefix is not asked, which may take long.

        Raises:
            StorageError: it cannot.
        """
        if storage.is_s3(self._store):
            return
        probe = self._address(f"probe-{uuid.uuid4().hex}")
        self._make_private()
        try:
            storage.put(probe, b"")
            storage.delete(probe)
        except StorageError as error:
            cause = error.__cause__
            why = (cause.strerror if isinstance(cause, OSError) else None) or error.reason
            if isinstance(cause, FileExistsError):
                why = f"{cause.filename} is a file, must be a folder"
            raise StorageError(self._store, f"cannot be written: {why}") from error

    def put_inputs(self, job_id: str, inputs: Mapping[str, bytes]) -> None:
        """Keeps what a job is made from: of pictures nothing but the picture, whatever else their files say."""
        self._make_private()
        for name, data in inputs.items():
            storage.put(self._address(job_id, "inputs", name), strip_metadata(data))

    def inputs(self, job_id: str, names: tuple[str, ...]) -> dict[str, bytes]:
        """What a job is made from.

        Raises:
            StorageError: it cannot be read.
        """
        return {name: storage.get(self._address(job_id, "inputs", name)) for name in names}

    def put_picture(self, job_id: str, number: int, picture: bytes, media_type: str) -> None:
        """Keeps a picture that was made; made again, it replaces itself."""
        storage.put(self._address(job_id, "pictures", str(number)), picture, content_type=media_type)

    def picture(self, job_id: str, number: int) -> bytes | None:
        """A picture that was made; None where there is none."""
        try:
            return storage.get(self._address(job_id, "pictures", str(number)))
        except NotFound:
            return None

    def held(self) -> Mapping[str, bool]:
        """The jobs that something is kept of, by id: whether inputs are.

        Raises:
            StorageError: the store does not say.
        """
        held: dict[str, bool] = {}
        folder = f"{self._store}/jobs/"
        for entry in storage.list(folder.rstrip("/")):
            job_id, _, rest = entry.address.removeprefix(folder).partition("/")
            if _ID.fullmatch(job_id):
                held[job_id] = held.get(job_id, False) or rest.startswith("inputs/")
        return held

    def forget_inputs(self, job_id: str) -> None:
        """Deletes what a job was made from."""
        self._delete(f"{self._store}/jobs/{job_id}/inputs")

    def forget(self, job_id: str) -> None:
        """Deletes everything of a job."""
        self._delete(f"{self._store}/jobs/{job_id}")

    def _delete(self, folder: str) -> None:
        for entry in list(storage.list(folder)):
            storage.delete(entry.address)
        if not storage.is_s3(folder):
            for empty in sorted([Path(folder), *Path(folder).rglob("*")], reverse=True):  # what is inside comes first
                with suppress(OSError):  # something has come meanwhile, and stays
                    empty.rmdir()

    def _make_private(self) -> None:
        if not storage.is_s3(self._store):
            with suppress(OSError):  # what is written next tells it
                Path(self._store).mkdir(0o700, parents=True, exist_ok=True)

    def _address(self, job_id: str, *parts: str) -> str:
        return "/".join((self._store, "jobs", job_id, *parts))
