"""A parser by whose few features a few pictures are enough for a distance."""

from __future__ import annotations

from pathlib import Path

import torch

from atelier.models.parsing.config import ParsingNetConfig
from atelier.models.parsing.networks import ParsingNet
from atelier.weights import write_folder


def write_tiny_parser(folder: Path, *, num_features: int) -> str:
    """An untrained one, the same every time; gives its folder's path."""
    config = ParsingNetConfig(input_size=(64, 32), widths=(4, 4, 4, 4, num_features), decoder_widths=(4,))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        write_folder(folder, config.to_json(), {"parser": ParsingNet(config).state_dict()})
    return str(folder)
