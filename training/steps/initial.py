"""Where the weights and memories that a step reads come from."""

from __future__ import annotations

import shlex
from pathlib import Path

from torch import nn

from atelier.errors import ConfigError, WeightsError
from atelier.models import registry
from atelier.weights import CONFIG_NAME, load_into, read_state

WEIGHTS_FOLDER = "weights"
"""In an earlier run's folder: its exported weights."""


def weights_of(name: str, runs: Path) -> Path:
    """The weight folder that a name means: an earlier run's exported one, one that was put among the runs, else shipped
    weights or a folder.

    Args:
        runs: the folder where earlier runs lie.

    Raises:
        ConfigError: none of them is there; says how to get an earlier run's.
    """
    earlier = runs / name / WEIGHTS_FOLDER
    if earlier.is_dir():
        return earlier
    try:
        return part_of(name, runs)
    except ConfigError as error:
        typed = _typed(name, runs)
        trained, named = (typed, typed) if typed else (f"the run {name}", "NAME")
        raise ConfigError(
            f"{earlier}: is missing; train {trained}, then `python -m training export {named} --output {runs} "
            f"--to {earlier}`{'' if typed else ', NAME as it is typed to train it'}; or name other weights"
        ) from error


def _typed(name: str, runs: Path) -> str:
    """What a run is called on the command line: its own name, or how one's own was typed; "" where nothing tells."""
    # Here, as runs are made of steps.
    from training.checkpoints import CheckpointStore
    from training.runs import RUNS

    if name in RUNS:
        return name
    trained = CheckpointStore(str(runs / name / "checkpoints")).latest()
    words = shlex.split(trained.command.partition("\n")[0]) if trained is not None else []
    after = words.index("run") + 1 if "run" in words else len(words)
    typed = words[after] if after < len(words) else ""
    return typed if ":" in typed and not typed.startswith("-") else ""


def part_of(name: str, runs: Path) -> Path:
    """The folder of a part that nobody trains here, as CLIP or Stable Diffusion's autoencoder: one of that name among
    the runs, else shipped weights or a folder.

    Raises:
        ConfigError: none of them is there.
    """
    given = runs / name
    if (given / CONFIG_NAME).is_file():
        return given
    try:
        return registry.folder(name)
    except WeightsError as error:
        raise ConfigError(f"{given}: is missing; put {name}'s folder there, or a link to it: {error}") from error


def memory_of(name: str, runs: Path) -> Path:
    """The folder of a stylized memory: one that was built among the runs, else a shipped one or a path.

    Args:
        runs: the folder where earlier runs lie; `python -m atelier memory build --out RUNS/NAME` puts a memory there.

    Raises:
        ConfigError: none of them is there; says how to build one.
    """
    built = runs / name
    if (built / CONFIG_NAME).is_file():
        return built
    try:
        return registry.folder(name)
    except WeightsError as error:
        raise ConfigError(f"{built}: is missing; build a memory there first, or name another: {error}") from error


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
