"""What every network's config is besides its fields: a `config.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, get_type_hints

from atelier.errors import ConfigError
from atelier.models.layers.config_types import fits, in_words
from atelier.weights import read_config

DIGESTS = "digests"
"""In `config.json` beside the fields: sha256 of the frozen parts that the weights belong to, by name."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What a network is built from: frozen plain values; each kind adds its fields."""

    model: ClassVar[str]
    """By which `config.json` names the network."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for `config.json`, with the model's name."""
        return {"model": self.model, **dataclasses.asdict(self)}

    @classmethod
    def from_folder(cls, folder: str | Path) -> Self:
        """The config in a weight folder, without the `DIGESTS` beside it.

        Raises:
            WeightsError: no such folder, or no config in it.
            ConfigError: another model's weights, or a config that does not fit; names the folder.
        """
        values = {name: value for name, value in read_config(folder).items() if name != DIGESTS}
        try:
            return cls.from_json(values)
        except ConfigError as error:
            raise ConfigError(f"weights {folder}: {error}") from error

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The config that `to_json` wrote.

        Raises:
            ConfigError: another model's config, a field that this one does not have, a value of another type, or values
                that do not go together; names the fields that were not given where it may be their defaults' doing.
        """
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value  # JSON has no tuples
            for name, value in values.items()
        }
        if (model := fields.pop("model", None)) != cls.model:
            raise ConfigError(f"model: is {model!r}, must be {cls.model!r}")
        known = {field.name for field in dataclasses.fields(cls)}
        if strangers := sorted(set(fields) - known):
            raise ConfigError(f"{', '.join(strangers)}: no such field; {cls.model} has {', '.join(sorted(known))}")
        kinds = {name: kind for name, kind in get_type_hints(cls).items() if name in known}
        for name, kind in kinds.items():
            if name in fields and not fits(fields[name], kind):
                raise ConfigError(f"{name}: is {values[name]!r}, must be {in_words(kind)}")
        try:
            return cls(**fields)
        except ConfigError as error:
            absent = [f"{name} ({in_words(kind)})" for name, kind in kinds.items() if name not in fields]
            if not absent:
                raise
            raise ConfigError(
                f"{', '.join(absent)}: not given, and with its default the rest does not hold: {error}"
            ) from error


def check_last_timestep(last_timestep: int, num_timesteps: int) -> None:
    """Refuses an end of sampling that lies outside of what was trained on.

    Raises:
        ConfigError: names both.
    """
    if not 0 <= last_timestep < num_timesteps:
        raise ConfigError(
            f"last_timestep: is {last_timestep}, must be in 0..{num_timesteps - 1}, as num_timesteps says"
        )
