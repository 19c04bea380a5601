"""Deleting what has been kept for long enough, and what nobody knows of any more."""

from __future__ import annotations

import time

from serving.jobs.files import JobFiles
from serving.jobs.job import ENDED, JobStore

_STRAY_S = 3600.0
"""How long files may lie without a job before they are deleted: they come first, the job once all of them lie there."""
_LOOK_EVERY_S = 600.0
"""How often the whole store is listed."""


class Sweeper:
    """Deletes jobs that ended long ago, files without a job, and inputs of jobs that have ended.

    Files are without a job where an ingress was killed between the two, or could not delete them when a job was refused
    or deleted. So a store of files belongs to one database: the files of another's jobs would look the same.

    Args:
        stray_s: seconds that files are seen without a job before they are deleted.
    """

    def __init__(self, store: JobStore, files: JobFiles, *, stray_s: float = _STRAY_S) -> None:
        self._store, self._files, self._stray_s = store, files, stray_s
        self._looked_s: float | None = None
        self._strays: dict[str, float] = {}

    def sweep(self) -> None:
        """Deletes what is out of date now, and now and then what nobody knows of.

        Raises:
            StateUnavailable, StorageError: a store is away; the next sweep goes on.
        """
        for job_id in self._store.expired(now_s=time.time()):
            self._files.forget(job_id)
            self._store.delete(job_id)
        now = time.monotonic()
        if self._looked_s is None or now - self._looked_s >= min(_LOOK_EVERY_S, self._stray_s):
            self._sweep_files(now)
            self._looked_s = now

    def _sweep_files(self, now: float) -> None:
        held = self._files.held()
        states = self._store.states(list(held))  # after the listing: whoever lay there with a job has it still
        self._strays = {job_id: self._strays.get(job_id, now) for job_id in held if job_id not in states}
        for job_id, seen_s in self._strays.items():
            if now - seen_s >= self._stray_s:
                self._files.forget(job_id)
        for job_id, has_inputs in held.items():
            if has_inputs and states.get(job_id) in ENDED:
                self._files.forget_inputs(job_id)
