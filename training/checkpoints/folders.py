"""The checkpoints below an address: which are whole, which are torn, and how one is taken away."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from atelier import storage
from training.checkpoints.info import CheckpointInfo
from training.checkpoints.manifest import (
    MANIFEST_NAME,
    DamagedCheckpoint,
    Manifest,
    UnfinishedCheckpoint,
    read_manifest,
)

_NAME = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What lies below an address: whole checkpoints by step, and for each other folder what is wrong with it."""

    whole: tuple[CheckpointInfo, ...]
    torn: tuple[DamagedCheckpoint, ...]


def folder_of(address: str, num_steps_done: int) -> str:
    """Where the checkpoint of a step lies."""
    return storage.join(address, f"step-{num_steps_done:08d}")


def find(address: str) -> Found:
    """The checkpoints below an address. Sizes are held against the manifests; contents are not read.

    Raises:
        StorageError: the store does not answer.
    """
    sizes: dict[str, dict[str, int]] = {name: {} for name in _on_disk(address)}
    for entry in storage.list(address):
        folder, _, name = entry.address.removeprefix(f"{address}/").partition("/")
        if name and _NAME.fullmatch(folder):
            sizes.setdefault(folder, {})[name] = entry.size
    whole, torn = [], []
    for name in sorted(sizes, key=lambda name: int(name.removeprefix("step-"))):
        folder = storage.join(address, name)
        try:
            whole.append(_checked(folder, sizes[name]).info)
        except DamagedCheckpoint as damage:
            torn.append(type(damage)(folder, damage.reason))
    return Found(whole=tuple(whole), torn=tuple(torn))


def _on_disk(address: str) -> list[str]:
    """Folders of checkpoints that no listing shows where a killed writer left only the half of a file in them."""
    if storage.is_s3(address) or not Path(address).is_dir():
        return []
    return [folder.name for folder in Path(address).iterdir() if folder.is_dir() and _NAME.fullmatch(folder.name)]


def remove(folder: str) -> None:
    """Takes a checkpoint away, its manifest first: what a kill leaves of it is torn, never half of a whole one.

    Raises:
        StorageError: the store does not answer, or refuses.
    """
    storage.delete(storage.join(folder, MANIFEST_NAME))
    for entry in storage.list(folder):
        storage.delete(entry.address)
    if not storage.is_s3(folder):
        # Besides the folder itself: the halves of files that a killed writer left, which no listing shows.
        shutil.rmtree(folder, ignore_errors=True)


def _checked(folder: str, sizes: dict[str, int]) -> Manifest:
    if MANIFEST_NAME not in sizes:
        raise UnfinishedCheckpoint(folder)
    manifest = read_manifest(folder)
    for file in manifest.files:
        if file.name not in sizes:
            raise DamagedCheckpoint(folder, f"{file.name} is missing")
        if sizes[file.name] != file.size:
            raise DamagedCheckpoint(folder, f"{file.name} holds {sizes[file.name]} bytes, must hold {file.size}")
    return manifest
