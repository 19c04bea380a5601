"""A run's checkpoints: saved while it trains, kept by rule, taken up again by any number of workers."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence

from atelier import storage
from atelier.errors import ConfigError, StorageError
from training.checkpoints import folders
from training.checkpoints.info import CheckpointInfo
from training.checkpoints.loading import load_checkpoint
from training.checkpoints.manifest import DamagedCheckpoint, UnfinishedCheckpoint, read_manifest
from training.checkpoints.ranks import Ranks
from training.checkpoints.retention import Retention
from training.checkpoints.saving import Save, Saved
from training.checkpoints.staging import Stager
from training.checkpoints.state import TrainState
from training.world import World

log = logging.getLogger(__name__)


class CheckpointStore:
    """The checkpoints of one run below an address. Every rank makes one, at the same time.

    `save` copies the state and returns; a thread stores the copy while steps go on. At most one save is under way. One
    that fails (a full disk, a store that is gone) leaves the checkpoints before it as they are, is told, and does not
    stop the run.

    Args:
        address: a folder, local or `s3://`; made when first saved to.
        world: the workers; None for one process that only reads.
        keep: which checkpoints stay.
        max_failed_saves: so many failed saves in a row end the run.

    Raises:
        StorageError: the store does not answer.
    """

    def __init__(
        self,
        address: str,
        world: World | None = None,
        *,
        keep: Retention | None = None,
        max_failed_saves: int = 3,
    ) -> None:
        self.address = storage.resolve(address)
        self._ranks = Ranks(world)
        self._keep = keep or Retention()
        self._max_failed_saves = max_failed_saves
        self._stager: Stager | None = None
        self._save: Save | None = None
        self._num_failed, self._last_failure = 0, ""
        found = self._ranks.agreed(lambda: folders.find(self.address))
        self._kept, self._torn = list(found.whole), found.torn

    @property
    def kept(self) -> tuple[CheckpointInfo, ...]:
        """The whole checkpoints, by step."""
        return tuple(self._kept)

    def latest(self) -> CheckpointInfo | None:
        """The newest whole checkpoint; None where there is none."""
        return self._kept[-1] if self._kept else None

    def resume(
        self, state: TrainState, expected: CheckpointInfo, *, changed: Collection[str] = ()
    ) -> CheckpointInfo | None:
        """Takes up the newest checkpoint that is whole, into `state`; says which, or None where there is none at all.

        Any number of workers loads what any other wrote. A torn or damaged checkpoint is passed over for the one
        before, and then removed; a warning says so. Where none is whole, the damaged ones stay.

        Args:
            state: of a run that has made no step.
            expected: the run that wants to go on.
            changed: settings that may differ from those it was trained with, e.g. `num_steps`.

        Raises:
            ConfigError: the newest is another run's, data set's or model's, or of those there are none is whole;
                `state` may then be half of one.
            StorageError: the store does not answer.
        """
        unfinished = [torn for torn in self._torn if isinstance(torn, UnfinishedCheckpoint)]
        damaged = {torn.address: torn.reason for torn in self._torn if torn not in unfinished}
        if self._kept or not damaged:
            for torn in unfinished:
                self._discard(torn.address, torn.reason)
            self._torn = ()
        while self._kept:
            info = self._kept[-1]
            folder = self._folder(info)
            expected.refuse_stranger(folder, info, changed=changed)
            try:
                load_checkpoint(folder, state, self._ranks)
            except DamagedCheckpoint as damage:
                damaged[folder] = damage.reason if damage.address == folder else str(damage)
                self._kept.pop()
                continue
            for folder_passed, reason in damaged.items():
                self._discard(folder_passed, reason)
            if info.versions != expected.versions:
                mine, theirs = dict(expected.versions), dict(info.versions)
                log.warning("%s: was written with %s, this is %s: bits may differ", folder, theirs, mine)
            self._tidy()
            return info
        if damaged:
            # They stay: somebody may mend them, and a run from the start would bury them.
            raise ConfigError(
                f"{self.address}: no checkpoint is whole any more: " + "; ".join(map(": ".join, damaged.items()))
            )
        return None

    def load(self, state: TrainState, step: int | None = None) -> CheckpointInfo:
        """Reads a checkpoint into the parts that `state` has, and changes nothing in the store.

        Args:
            step: which; None is the newest.

        Raises:
            ConfigError: there is none of that step, it is damaged, or it is another model's.
            StorageError: the store does not answer.
        """
        info = self.at(step)
        try:
            load_checkpoint(self._folder(info), state, self._ranks)
        except DamagedCheckpoint as damage:
            others = [kept.num_steps_done for kept in self._kept if kept is not info]
            way_out = f"name the step of another one: {others}" if others else "there is no other"
            raise ConfigError(f"{damage}: the checkpoint is damaged; {way_out}") from damage
        return info

    def at(self, step: int | None = None) -> CheckpointInfo:
        """The checkpoint of a step; None is the newest.

        Raises:
            ConfigError: there is none of that step, or none that is whole; lists those there are, or what is wrong.
        """
        steps = [info.num_steps_done for info in self._kept]
        torn = {damage.address: damage.reason for damage in self._torn}
        if not steps and torn:
            raise ConfigError(f"{self.address}: no checkpoint is whole: " + "; ".join(map(": ".join, torn.items())))
        if not steps:
            raise ConfigError(f"{self.address}: holds no checkpoint")
        if step is not None and step not in steps:
            folder = folders.folder_of(self.address, step)
            what = (
                f"{folder}: {torn[folder]}" if folder in torn else f"{self.address}: holds no checkpoint of step {step}"
            )
            raise ConfigError(f"{what}; there are those of {steps}")
        return self._kept[-1 if step is None else steps.index(step)]

    def digest(self, info: CheckpointInfo) -> str:
        """The sha256 (hex) of a checkpoint's manifest, which names all of its bits."""
        return read_manifest(self._folder(info)).digest

    def save(self, state: TrainState, info: CheckpointInfo) -> Saved | None:
        """Begins to keep the state as it is now; steps may go on as soon as this returns.

        Gives how the save before ended, where that has not been told yet. A step that is kept is not kept again.

        Raises:
            StorageError: the last `max_failed_saves` all failed.
        """
        started = time.monotonic()
        before = self._settled(num_told_by_error=self._max_failed_saves)
        if self._num_failed >= self._max_failed_saves:
            raise StorageError(
                self.address,
                f"{self._num_failed} saves in a row have failed: {self._last_failure}; {self._last_whole()}",
            )
        if all(info.num_steps_done != kept.num_steps_done for kept in self._kept):
            kept = self.kept
            self._stager = self._stager or Stager(self._ranks.world.device)
            self._save = Save(
                self._folder(info),
                state,
                info,
                self._ranks,
                self._stager,
                started=started,
                after=lambda: self._prune(kept, info),
            )
        return before

    def poll(self) -> Saved | None:
        """How the save under way ended, if it has; never waits, and never raises for one that failed."""
        return self._settled() if self._save is not None and self._save.is_done else None

    def wait(self) -> Saved | None:
        """Waits for the save under way and says how it ended; None where there is none.

        Raises:
            StorageError: it failed: whoever waits wants to be sure.
        """
        saved = self._settled(num_told_by_error=1)
        if saved is not None and saved.error:
            raise StorageError(saved.address, f"the checkpoint could not be saved: {saved.error}; {self._last_whole()}")
        return saved

    def close(self) -> None:
        """Waits for the save under way, tells of a failed one by a warning only, and gives back the copy's memory."""
        self._settled()
        if self._stager is not None:
            self._stager.close()
            self._stager = None

    def _settled(self, *, num_told_by_error: int | None = None) -> Saved | None:
        """How the save under way ended; a failed one is told once for all ranks.

        Args:
            num_told_by_error: so many failures in a row and more are told by the error that the caller raises.
        """
        save, self._save = self._save, None
        if save is None:
            return None
        saved = save.result()
        if saved.error:
            self._num_failed, self._last_failure = self._num_failed + 1, saved.error
            if self._ranks.world.is_first:
                if num_told_by_error is None or self._num_failed < num_told_by_error:
                    log.warning("%s: could not be saved: %s; %s", saved.address, saved.error, self._last_whole())
                self._remove(saved.address)
        else:
            self._num_failed = 0
            self._kept = self._keep.kept([*self._kept, saved.info])
        return saved

    def _folder(self, info: CheckpointInfo) -> str:
        return folders.folder_of(self.address, info.num_steps_done)

    def _last_whole(self) -> str:
        last = self.latest()
        return f"the last whole checkpoint is of step {last.num_steps_done}" if last else "there is none before it"

    def _prune(self, kept: Sequence[CheckpointInfo], newest: CheckpointInfo) -> None:
        stay = {info.num_steps_done for info in self._keep.kept([*kept, newest])}
        for info in kept:
            if info.num_steps_done not in stay:
                self._remove(self._folder(info))

    def _tidy(self) -> None:
        """Removes what a killed run had kept beyond its retention; kill after kill it would pile up."""
        stay = self._keep.kept(self._kept)
        if self._ranks.world.is_first:
            for info in self._kept:
                if info not in stay:
                    self._remove(self._folder(info))
        self._kept = stay

    def _discard(self, folder: str, reason: str) -> None:
        log.warning("%s: is passed over and removed: %s", folder, reason)
        if self._ranks.world.is_first:
            self._remove(folder)

    def _remove(self, folder: str) -> None:
        try:
            folders.remove(folder)
        except StorageError as error:
            # What is left over costs room, not correctness; the next resume tries again.
            log.warning("%s: could not be removed: %s", folder, error)
