"""Closet pictures kept on disk: drawn when first asked for, the same bytes whoever asks.

Drawing takes tens of milliseconds a picture, more than a small network's step; a run sees each picture several times.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from atelier.closet import Outfit, bottom_seed, draw_flat, draw_look, outfit_for
from atelier.closet.casting import HELD_OUT, cast
from atelier.closet.negatives import draw_negative
from atelier.errors import ConfigError

Sample = dict[str, np.ndarray]
"""`person` uint8 [H, W, 3], `parse` CIHP ids uint8 [H, W], `keypoints` float32 [25, 3]; of a try-on also `garment`
uint8 [H, W, 3] and `garment_mask` uint8 [H, W]."""


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """Which pictures.

    `try_on`: people in a top and a bottom, and that top laid flat. `looks`: people in all that the closet has.
    `looks_and_negatives`: the same people, but every fourth picture is one that no person is to be found in.
    """

    kind: Literal["try_on", "looks", "looks_and_negatives"]
    num_samples: int
    seed: int = 0
    size: tuple[int, int] = (256, 192)

    @property
    def folder_name(self) -> str:
        """A name that differs wherever the pictures do."""
        height, width = self.size
        return f"{self.kind}_{self.num_samples}_seed{self.seed}_{height}x{width}"


class ClosetPool:
    """The pictures of a `PoolConfig`, by index.

    Several processes may share a folder: what two of them draw at once is the same.

    Args:
        folder: the pool's own folder lies in it; made if absent.

    Raises:
        ConfigError: the folder holds pictures that another version of the closet drew.
    """

    def __init__(self, config: PoolConfig, folder: Path) -> None:
        self.config = config
        self._folder = folder / config.folder_name
        self._folder.mkdir(parents=True, exist_ok=True)
        first = draw_sample(config, 0)
        self._columns = {name: self._column(name, value) for name, value in first.items()}
        self._drawn = self._column("drawn", np.zeros((), np.uint8))
        if self._drawn[0]:
            if any(not np.array_equal(self._columns[name][0], value) for name, value in first.items()):
                raise ConfigError(f"{self._folder}: another version of the closet drew it; remove it or name another")
        else:
            self._keep(0, first)

    def __len__(self) -> int:
        return self.config.num_samples

    def __getitem__(self, index: int) -> Sample:
        if not self._drawn[index]:
            self._keep(index, draw_sample(self.config, index))
        return {name: column[index] for name, column in self._columns.items()}

    def _keep(self, index: int, sample: Sample) -> None:
        for name, value in sample.items():
            self._columns[name][index] = value
        self._drawn[index] = 1

    def _column(self, name: str, example: np.ndarray) -> np.ndarray:
        path = self._folder / f"{name}.npy"
        shape = (self.config.num_samples, *example.shape)
        if path.exists():
            return np.load(path, mmap_mode="r+")
        # Sparse where the file system can: what was never drawn takes no space. Renamed into place, so that a process
        # that comes at the same moment never truncates what this one has mapped.
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        np.lib.format.open_memmap(fresh, mode="w+", dtype=example.dtype, shape=shape).flush()
        fresh.replace(path)
        return np.load(path, mmap_mode="r+")


def draw_sample(config: PoolConfig, index: int) -> Sample:
    """One sample, from its index alone; seeds from `HELD_OUT` up never occur."""
    if config.kind == "looks_and_negatives" and index % 4 == 3:
        seed = int(np.random.default_rng([config.seed, index]).integers(HELD_OUT // 10))
        negative = draw_negative(seed, size=config.size)
        return {"person": negative.image, "parse": negative.parse_cihp, "keypoints": negative.keypoints}
    if config.kind == "try_on":
        casting = cast(config.seed, index, held_out=False)
        outfit, person, pose = casting.worn, casting.person, casting.pose
    else:
        rng = np.random.default_rng([config.seed, index])
        person, pose, clothes, bottom = (int(rng.integers(HELD_OUT // 10)) for _ in range(4))
        outfit = outfit_for(clothes)
        if outfit.bottom is not None:
            outfit = Outfit(top=outfit.top, outer=outfit.outer, bottom=bottom_seed(bottom))
    look = draw_look(person=person, outfit=outfit, pose=pose, size=config.size)
    sample = {"person": look.image, "parse": look.parse_cihp, "keypoints": look.keypoints}
    if config.kind == "try_on":
        assert outfit.top is not None
        flat = draw_flat(garment=outfit.top, size=config.size)
        sample |= {"garment": flat.image, "garment_mask": flat.mask}
    return sample
