"""What every network's config is besides its fields: a `config.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints

from atelier.errors import ConfigError
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
            ConfigError: another model's config, or a field or a value that this one does not have.
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
        for name, kind in get_type_hints(cls).items():
            if name in fields and get_origin(kind) is Literal and fields[name] not in get_args(kind):
                raise ConfigError(f"{name}: is {fields[name]!r}, must be one of {list(get_args(kind))}")
        return cls(**fields)
