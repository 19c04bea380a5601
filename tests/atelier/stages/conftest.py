"""Drawn people and garments as a catalog's files, and a VITON-HD of a few thousand random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from atelier.closet import Outfit, bottom_seed, draw_flat, draw_look, top_seed
from atelier.models.viton_hd import VitonHD, VitonHDConfig
from atelier.recipe import Recipe
from atelier.recipes import try_on
from atelier.rows import INPUTS
from atelier.skeletons import write_openpose
from atelier.stages.chain import new_batch

SIZE = (128, 96)


def png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def files() -> Callable[[int], dict[str, bytes]]:
    """All inputs of one try-on, by seed, as the bytes of their files."""

    def draw(seed: int) -> dict[str, bytes]:
        outfit = Outfit(top=top_seed(seed), bottom=bottom_seed(seed))
        look = draw_look(person=seed, outfit=outfit, pose=seed, size=SIZE)
        flat = draw_flat(garment=top_seed(seed + 100), size=SIZE)
        return {
            "person": png(look.image),
            "garment": png(flat.image),
            "garment_mask": png(flat.mask * np.uint8(255)),
            "parse": png(look.parse_cihp),
            "keypoints": write_openpose(look.keypoints),
        }

    return draw


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of random weights whose generator listens to its noise."""
    torch.manual_seed(0)
    config = VitonHDConfig(
        working_size=SIZE,
        segmentation_size=(64, 48),
        segmentation_widths=(4, 6, 8, 8, 8),
        matching_size=(64, 64),
        matching_widths=(4, 6, 8, 8),
        regression_widths=(8, 8, 4, 4),
        alias_widths=(8, 8, 8, 8, 6, 4),
        alias_hidden=4,
        alias_injected=4,
        num_misaligned_blocks=3,
    )
    model = VitonHD(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("noise_scale"):
                parameter.normal_(0, 0.5)
    folder = tmp_path_factory.mktemp("viton_hd")
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def recipe(weights: str) -> Recipe:
    """A whole try-on whose rows bring their own parse and keypoints."""
    return try_on(name="tiny", size=SIZE, weights=weights, parser=None, pose=None, repaint=True, batch_size=3)


@pytest.fixture
def catalog(tmp_path: Path) -> Callable[[Sequence[Mapping[str, bytes]]], dict[str, np.ndarray]]:
    """A batch of units whose addresses lead to the given files; a name left out has no address."""

    def write(rows: Sequence[Mapping[str, bytes]]) -> dict[str, np.ndarray]:
        columns: dict[str, Any] = {f"{name}_address": [] for name in INPUTS}
        for number, row in enumerate(rows):
            for name in INPUTS:
                address = tmp_path / f"{number}-{name}" if name in row else None
                if address:
                    address.write_bytes(row[name])
                columns[f"{name}_address"].append(str(address or ""))
        return unit_batch(len(rows), columns)

    return write


def unit_batch(rows: int, columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Fine rows with seeds 100, 101, … and the given columns."""
    return new_batch(
        {
            "item_id": [f"item-{row}" for row in range(rows)],
            "variant": np.zeros(rows, np.int32),
            "task": ["try_on"] * rows,
            "seed": np.arange(100, 100 + rows, dtype=np.int64),
            **columns,
        }
    )
