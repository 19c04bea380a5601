"""Earlier runs' exported weights, where the runs lie in an object store: put there, and fetched by who reads them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from atelier import storage
from atelier.errors import ConfigError
from atelier.weights import CONFIG_NAME, SUFFIX
from training.data.locks import alone

_NOTE = ".fetched.json"
_OF_TRAINING = {"checkpoints", "log", "ray"}
"""Folders of a run that no other one reads."""


def send(folder: Path, to: str) -> None:
    """Puts an exported weight folder at an address; earlier weights there go, other files beside them stay.

    Raises:
        ConfigError: something else than weights lies there.
        StorageError: the store does not answer, or refuses.
    """
    there = {entry.address.removeprefix(f"{to}/") for entry in storage.list(to)}
    if there and CONFIG_NAME not in there:
        raise ConfigError(f"{to}: holds something else than weights; must be a weight folder, empty or absent")
    # Without its config a folder is refused as no weights: whoever reads meanwhile gets nothing half old, half new.
    storage.delete(storage.join(to, CONFIG_NAME))
    for name in there:
        if name.endswith(SUFFIX):
            storage.delete(storage.join(to, name))
    for path in sorted(folder.iterdir(), key=lambda path: path.name == CONFIG_NAME):
        storage.put(storage.join(to, path.name), path.read_bytes())


def fetch(names: Iterable[str], output: str, runs: Path) -> None:
    """Brings earlier runs' weights and memories to this machine, those that it lacks or has in another version.

    Args:
        names: of earlier runs; what is none of them there is left out.
        output: folder of runs in an object store.
        runs: where their copies lie on this machine.

    Raises:
        StorageError: the store does not answer, or the copies cannot be written.
    """
    for name in names:
        with alone(runs / f".{name}.lock"):
            _fetch(storage.join(output, name), runs / name)


def _fetch(address: str, folder: Path) -> None:
    found = {entry.address.removeprefix(f"{address}/"): entry.token for entry in storage.list(address)}
    tokens = {name: token for name, token in found.items() if name.partition("/")[0] not in _OF_TRAINING}
    note = folder / _NOTE
    if note.is_file() and json.loads(note.read_bytes()) == tokens:
        return
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name in tokens:
        path = partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(storage.get(f"{address}/{name}"))
    shutil.rmtree(folder, ignore_errors=True)
    if tokens:
        (partial / _NOTE).write_text(json.dumps(tokens), encoding="utf-8")
        partial.rename(folder)
