"""Where a step's first weights come from when they are not drawn at random."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from atelier.errors import ConfigError, WeightsError
from atelier.models import registry
from atelier.weights import load_into, read_state

WEIGHTS_FOLDER = "weights"
"""In an earlier run's folder: its exported weights."""


def weights_of(name: str, runs: Path) -> Path:
    """The weight folder that a name means: an earlier run's exported one, else shipped weights or a folder.

    Args:
        runs: the folder where earlier runs lie.

    Raises:
        ConfigError: none of them is there; says how to get an earlier run's.
    """
    earlier = runs / name / WEIGHTS_FOLDER
    if earlier.is_dir():
        return earlier
    try:
        return registry.folder(name)
    except WeightsError as error:
        raise ConfigError(f"{earlier}: is missing; export {name} there first, or name other weights") from error


def load_initial(network: nn.Module, stem: str, name: str, runs: Path) -> None:
    """Fills a network with the weights of a name.

    Args:
        stem: of the file in the weight folder.

    Raises:
        ConfigError: as `weights_of`.
        WeightsError: another model's weights; lists the keys.
    """
    folder = weights_of(name, runs)
    load_into(network, read_state(folder, stem), folder)
