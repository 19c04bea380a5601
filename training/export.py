"""From a checkpoint to the weight folder that batch and serving load by its name or path."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import torch
from torch import nn

from atelier.errors import ConfigError
from atelier.weights import CONFIG_NAME, SUFFIX, folder_digest
from training.card import Card
from training.checkpoints import CheckpointInfo, CheckpointStore, TrainState, settings_of
from training.run import TrainRun
from training.steps.base import StepConfig

CARD_NAME = "README.md"
_NO_LICENCE = "not stated"
_ONLY_TO_TRAIN = frozenset({"initial", "vgg"})
"""Settings of steps that name weights which a loss or the start reads: an export needs no such file."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was exported: the checkpoint's facts, and the sha256 of the weight folder."""

    info: CheckpointInfo
    digest: str


def export(
    run: TrainRun,
    checkpoints: str,
    to: Path,
    *,
    runs: Path,
    step: int | None = None,
    averaged: bool = True,
    dtype: torch.dtype | None = torch.float16,
    licence: str = _NO_LICENCE,
    about: str = "",
    command: str = "",
) -> Exported:
    """Writes a checkpoint's networks as a weight folder with its card; the checkpoint stays as it is.

    Args:
        run: whose checkpoint it is; its step's plain settings are taken as they were trained with.
        checkpoints: address of the run's checkpoints.
        to: the weight folder. Earlier weights in it are replaced at the end, and other files beside them are kept.
        runs: where earlier runs' exported weights lie, for a step that reads them.
        step: which checkpoint; None is the newest.
        averaged: the moving average of the weights, or those of the last step.
        dtype: of the stored tensors; None keeps float32. What a validation grid shows went through float16.
        licence: for the card.
        about: a sentence for the card. command: that exports, for the card.

    Raises:
        ConfigError: there is no such checkpoint, it is another step's or model's, or `to` holds something else.
        WeightsError: a value that `dtype` cannot hold.
    """
    if to.exists() and not (to / CONFIG_NAME).is_file() and (not to.is_dir() or any(to.iterdir())):
        raise ConfigError(f"{to}: holds something else than weights; must be a weight folder, empty or absent")
    store = CheckpointStore(checkpoints)
    info = store.at(step)
    built = _step_of(run, info, store.address).build(runs)
    store.load(TrainState(networks=built.networks), step)
    if averaged:
        names = [name for player in built.players if player.average for name in player.networks]
        store.load(TrainState(averages=nn.ModuleDict({name: built.networks[name] for name in names})), step)
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}-") as place:
        made = Path(place)
        digest = built.export(built.networks, made, dtype)
        card = Card(
            about=about,
            info=info,
            checkpoint=store.digest(info),
            averaged=averaged,
            dtype=str(dtype or torch.float32).removeprefix("torch."),
            licence=licence,
            digest=digest,
            files={path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(made.iterdir())},
            command=command,
        )
        (made / CARD_NAME).write_text(card.to_markdown(), encoding="utf-8")
        _replace(made, to)
    if folder_digest(to) != digest:
        raise ConfigError(f"{to}: is not as it was exported; somebody else writes there")
    return Exported(info=info, digest=digest)


def _step_of(run: TrainRun, info: CheckpointInfo, address: str) -> StepConfig:
    """The run's step with the plain settings that the checkpoint was trained with, whatever was typed to train it.

    How long and on which data it was trained does not matter here; another kind of step or another model is refused.
    """
    mine, theirs = settings_of(run), info.settings
    config: Any = run.step
    nested = {name.split(".")[1] for name in {*mine, *theirs} if name.count(".") > 1}
    plain = {
        field.name: theirs[name]
        for field in dataclasses.fields(config)
        if (name := f"step.{field.name}") in theirs and field.name not in nested
        if isinstance(getattr(config, field.name), (str, int, float, NoneType)) and theirs[name] != mine.get(name)
    }
    config = dataclasses.replace(config, **plain)
    expected = CheckpointInfo.start(dataclasses.replace(run, step=config), data=info.data, num_workers=info.num_workers)
    others = {name.partition(".")[0] for name in {*expected.settings, *theirs}} - {"step"}
    expected.refuse_stranger(address, info, changed=others)
    unread = {field.name for field in dataclasses.fields(config)} & _ONLY_TO_TRAIN
    return dataclasses.replace(config, **dict.fromkeys(unread))


def _replace(made: Path, to: Path) -> None:
    to.mkdir(exist_ok=True)
    # Without its config a folder is refused as no weights: a kill in between leaves nothing half old, half new.
    (to / CONFIG_NAME).unlink(missing_ok=True)
    for stale in to.glob(f"*{SUFFIX}"):
        stale.unlink()
    for path in sorted(made.iterdir(), key=lambda path: path.name == CONFIG_NAME):
        path.replace(to / path.name)
