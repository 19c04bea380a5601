"""Pictures out of the closet, each from its number alone: a data set that needs no files and no licence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from atelier.closet import Outfit, bottom_seed, draw_flat, draw_look, outfit_for
from atelier.closet.casting import HELD_OUT, cast
from atelier.closet.negatives import draw_negative
from training.data.dataset import Sample


@dataclass(frozen=True, kw_only=True)
class ClosetConfig:
    """Which pictures.

    `try_on`: people in a top and a bottom, and that top laid flat. `looks`: people in all that the closet has.
    `looks_and_negatives`: the same people, but every fourth picture is one that no person is to be found in.
    `described`: the same people with DeepFashion-MultiModal's 24 labels, a sentence, and their id.
    `pose_transfer`: people in all that the closet has, each in two poses, named as DeepFashion's are.
    """

    kind: Literal["try_on", "looks", "looks_and_negatives", "described", "pose_transfer"]
    num_samples: int
    seed: int = 0
    size: tuple[int, int] = (256, 192)

    @property
    def name(self) -> str:
        """A name that differs wherever the pictures do."""
        height, width = self.size
        return f"{self.kind}_{self.num_samples}_seed{self.seed}_{height}x{width}"

    def sample_id(self, index: int) -> str:
        """Who a sample is: the same in data sets of other lengths and sizes."""
        return f"closet-{self.kind}-{self.seed}-{index:06d}"


def draw_sample(config: ClosetConfig, index: int) -> Sample:
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
        if config.kind == "pose_transfer":
            return _in_two_poses(person, outfit, (pose, int(rng.integers(HELD_OUT // 10))), config.size)
    look = draw_look(person=person, outfit=outfit, pose=pose, size=config.size)
    if config.kind == "described":
        words = {"caption": np.array(look.caption), "item_id": np.array(config.sample_id(index))}
        return {"person": look.image, "parse": look.parse_multimodal, **words}
    sample = {"person": look.image, "parse": look.parse_cihp, "keypoints": look.keypoints}
    if config.kind == "try_on":
        assert outfit.top is not None
        flat = draw_flat(garment=outfit.top, size=config.size)
        sample |= {"garment": flat.image, "garment_mask": flat.mask}
    return sample


def _in_two_poses(person: int, outfit: Outfit, poses: tuple[int, int], size: tuple[int, int]) -> Sample:
    sample: Sample = {}
    for name, pose in zip(("source", "target"), poses, strict=True):
        look = draw_look(person=person, outfit=outfit, pose=pose, size=size)
        sample |= {name: look.image, f"{name}_parse": look.parse_cihp, f"{name}_keypoints": look.keypoints}
    return sample
