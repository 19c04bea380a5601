"""What is asked of a launcher: small and picklable, so that it crosses to any worker."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atelier import storage
from atelier.errors import ConfigError
from training.checkpoints import CheckpointStore
from training.data.sources import finding
from training.earlier import fetch
from training.run import TrainRun
from training.watch.settings import WatchSettings


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """A run, from where and to where.

    Args:
        run: one of `training.runs`, or `package.module:function` of another that gives a `TrainRun`.
        output: folder of runs, local or `s3://`; this one's lies in `output/name`.
        data: address of its data; None draws what the run names.
        cache: folder of each machine for drawn and fetched data.
        overrides: fields of the run with other values than its own; `step.NAME` is a field of its step, `keep.NAME` of
            which checkpoints stay.
        resume: may go on from checkpoints that are there, with the overrides; else they refuse the run.
        command: that was typed, for the model card.
    """

    run: str
    output: str
    data: str | None = None
    cache: Path = Path("~/.cache/atelier")
    overrides: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    watch: WatchSettings = field(default_factory=WatchSettings)
    command: str = ""

    def __post_init__(self) -> None:
        # Workers of other processes stand in other folders.
        object.__setattr__(self, "output", storage.resolve(self.output))
        if self.data is not None:
            object.__setattr__(self, "data", finding.resolve(self.data))
        if not str(self.cache).startswith("~"):
            object.__setattr__(self, "cache", self.cache.absolute())

    def resolved(self) -> TrainRun:
        """The run, its overrides in place.

        Raises:
            ConfigError: no such run, or no such field.
        """
        run = self._run()
        changes: dict[str, Any] = {}
        inside: dict[str, dict[str, Any]] = {"step": {}, "keep": {}}
        for name, value in self.overrides.items():
            part, _, field_name = name.partition(".")
            (inside[part] if part in inside and field_name else changes)[field_name or name] = value
        for part, values in inside.items():
            if values:
                changes[part] = _replaced(getattr(run, part), values, f"run {run.name}: its {part}")
        return _replaced(run, changes, f"run {run.name}")

    @property
    def about(self) -> str:
        """What the run's function says of itself, in a line; may be empty."""
        return about_of(_function(self.run))

    @property
    def runs_folder(self) -> Path:
        """Where earlier runs' exported weights lie on this machine."""
        if not storage.is_s3(self.output):
            return Path(self.output)
        return self.cache_folder / "runs" / self.output.removeprefix("s3://")

    def fetch_earlier(self, run: TrainRun) -> None:
        """Brings the earlier runs that a run reads to `runs_folder`, where they lie in an object store.

        Raises:
            StorageError: the store does not answer, or the cache cannot be written.
        """
        if storage.is_s3(self.output):
            fetch(run.read_names, self.output, self.runs_folder)

    @property
    def cache_folder(self) -> Path:
        """`cache`, with the home folder of whoever reads it."""
        return self.cache.expanduser()

    @property
    def folder(self) -> str:
        """Address of the run's own folder."""
        return storage.join(self.output, self.resolved().name)

    def address(self, name: str) -> str:
        """Of something in the run's own folder."""
        return storage.join(self.folder, name)

    def refuse_overwriting(self) -> None:
        """Looks, before any worker starts, for checkpoints that nobody asked to go on from.

        Workers themselves always take up the newest checkpoint: that is how a run goes on when one of them was lost.

        Raises:
            ConfigError: there are some, and `resume` was not asked for.
        """
        if not self.resume and (info := CheckpointStore(self.address("checkpoints")).latest()) is not None:
            raise ConfigError(
                f"{self.address('checkpoints')}: holds checkpoints up to step {info.num_steps_done}; "
                "add --resume to go on from there, or name another output"
            )

    def _run(self) -> TrainRun:
        run = _function(self.run)()
        if not isinstance(run, TrainRun):
            raise ConfigError(f"run {self.run!r}: gives a {type(run).__name__}, must give a TrainRun")
        return run

    def to_bytes(self) -> bytes:
        """For the worker's side of a launcher that starts processes of its own."""
        return pickle.dumps(self)


def about_of(run: Callable[[], TrainRun]) -> str:
    """The first paragraph of what a run's function says of itself, as one line."""
    return " ".join((run.__doc__ or "").strip().partition("\n\n")[0].split())


def _replaced(value: Any, changes: Mapping[str, Any], called: str) -> Any:
    names = {field.name for field in dataclasses.fields(value)}
    if unknown := sorted(set(changes) - names):
        raise ConfigError(f"{called}: overrides {unknown}: it has no such field; it has {sorted(names)}")
    return dataclasses.replace(value, **changes)


def _function(name: str) -> Callable[[], TrainRun]:
    module_name, colon, function = name.partition(":")
    if not colon:
        # Here, since every run imports every network: a driver that only starts workers never needs them.
        from training.runs import function_of

        return function_of(name)
    # A path has slashes, a leading dot or an ending; importlib answers each with another error of its own.
    parts = module_name.split(".")
    if not function or "/" in module_name or not all(parts) or parts[-1] == "py":
        raise ConfigError(
            f"run {name!r}: must be MODULE:FUNCTION, the module by its dotted name as Python imports it, such as "
            "my_runs:my_run for my_run in my_runs.py; it is looked for in the folder where the command is typed"
        )
    try:
        found = getattr(importlib.import_module(module_name), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"run {name!r}: cannot be imported: {error}") from error
    if not _can_be_called(found):
        raise ConfigError(
            f"run {name!r}: is {_kind(found)}, must be a function without arguments that gives a TrainRun"
        )
    return found


def _can_be_called(found: Any) -> bool:
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):
        return False
    return True


def _kind(found: Any) -> str:
    return f"a function of {inspect.signature(found)}" if inspect.isfunction(found) else f"a {type(found).__name__}"
