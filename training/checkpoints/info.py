"""What a checkpoint is of: the run, the data, the step; and why another run must not take it up."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self

import torch

from atelier.errors import ConfigError
from training.checkpoints.settings import Plain, settings_of

_LISTED = 12
"""Differences that an error spells out; the rest is counted."""


@dataclass(frozen=True, kw_only=True)
class CheckpointInfo:
    """A checkpoint's facts, small enough to be read of every one there is.

    Args:
        run: the run's name.
        num_steps_done: optimizer steps behind.
        settings: what decides the weights, flat, from `settings_of`.
        data: digest of the data set.
        metrics: of the validation of this very step, by name; empty where none was made.
        num_workers: how many wrote it. Any other number can load it.
        versions: of what trained.
        command: that started the run, and below it others that took it up, for the model card; may be empty.
    """

    run: str
    num_steps_done: int
    settings: Mapping[str, Plain]
    data: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    num_workers: int = 1
    versions: Mapping[str, str] = field(default_factory=lambda: installed_versions())
    command: str = ""

    @classmethod
    def start(cls, run: Any, *, data: str, num_workers: int, command: str = "") -> Self:
        """The facts of a `TrainRun` before its first step; `at` gives those of later ones."""
        return cls(
            run=run.name,
            num_steps_done=0,
            settings={name: value for name, value in settings_of(run).items() if name != "name"},
            data=data,
            num_workers=num_workers,
            command=command,
        )

    def at(self, num_steps_done: int, metrics: Mapping[str, float] | None = None) -> Self:
        """The same run's facts after so many steps.

        Args:
            metrics: of a validation of this very step; what is no number is left out.
        """
        known = {name: value for name, value in (metrics or {}).items() if math.isfinite(value)}
        return dataclasses.replace(self, num_steps_done=num_steps_done, metrics=known)

    def going_on_from(self, found: CheckpointInfo) -> Self:
        """This start of the run, where a checkpoint of it is taken up."""
        commands = dict.fromkeys([*found.command.splitlines(), *self.command.splitlines()])
        return dataclasses.replace(self.at(found.num_steps_done, found.metrics), command="\n".join(commands))

    @property
    def fingerprint(self) -> str:
        """The sha256 (hex) of the run's name and settings."""
        return hashlib.sha256(json.dumps([self.run, dict(self.settings)], sort_keys=True).encode()).hexdigest()

    def refuse_stranger(self, address: str, found: CheckpointInfo, *, changed: Collection[str] = ()) -> None:
        """Holds a found checkpoint against this run.

        Args:
            address: where it was found, for the message.
            changed: settings that may differ, by name or by their first part (`num_steps`, `step`).

        Raises:
            ConfigError: it is another run's or another data set's; lists every setting that differs.
        """
        mine, theirs = self.settings, found.settings
        differing = [
            f"  {name}: the checkpoint has {theirs.get(name, 'none')!r}, this run {mine.get(name, 'none')!r}"
            for name in sorted({*mine, *theirs})
            if (name in mine, mine.get(name)) != (name in theirs, theirs.get(name)) and not _is_among(name, changed)
        ]
        if self.run != found.run:
            differing.insert(0, f"  run: the checkpoint has {found.run!r}, this run is {self.run!r}")
        if self.data != found.data:
            differing.append(f"  data: the checkpoint's data set has the digest {found.data}, this run's {self.data}")
        if differing:
            what = "another run's" if self.run != found.run else "of this run with other settings or data"
            if len(differing) > _LISTED:
                differing[_LISTED:] = [f"  and {len(differing) - _LISTED} more"]
            raise ConfigError("\n".join([f"{address}: this checkpoint is {what} and is not taken up:", *differing]))


def installed_versions() -> dict[str, str]:
    """The versions that bits depend on: Python, torch and Atelier."""
    try:
        atelier = version("atelier")
    except PackageNotFoundError:
        atelier = "from source"
    return {"python": platform.python_version(), "torch": torch.__version__, "atelier": atelier}


def _is_among(name: str, changed: Collection[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in changed)
