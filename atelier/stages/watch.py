"""Looking on while a stage's loop runs, and ending it between two steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from atelier.models.diffusion.steps import Callback, Step, Stop
from atelier.models.layers.autoencoder import Latents
from atelier.models.layers.pixels import bytes_from_picture
from atelier.models.tensors import Picture

PREVIEW_PX = 96
"""Height of a preview: enough to tell what is coming, and small enough to be sent as text."""


@dataclass(frozen=True, kw_only=True)
class LoopStep:
    """A step that a stage's loop has made.

    Args:
        num_done: steps that were made, this one included; num_steps: of the loop.
        preview: computes the pictures as they are estimated now, uint8 RGB [B, h, w, 3] of `PREVIEW_PX` height, rows as
            in the batch. It costs time, so that only who wants it asks, and only before the next step.
    """

    num_done: int
    num_steps: int
    preview: Callable[[], np.ndarray]


class Watch(Protocol):
    """Who looks on; called in the stage's own thread, so that what takes long here makes the loop wait."""

    def stepped(self, step: LoopStep) -> None:
        """Told of each step once it is made."""
        ...

    def stopped(self) -> bool:
        """Asked before each step; True ends the loop by `SamplingStopped`."""
        ...


def sampler_hooks(
    watch: Watch | None, to_picture: Callable[[Tensor], Picture], *, size: tuple[int, int], latent_stride: int = 1
) -> tuple[Callback | None, Stop | None]:
    """A watch as a sampler's `callback` and `stop`.

    Args:
        to_picture: the picture in [-1, 1] of what the sampler denoises. It is given less than that where latents are of
            more pixels than a preview has: decoding them costs as much less.
        size: (H, W) of the picture; a preview has its shape.
        latent_stride: pixels of the picture per latent on a side; 1 where pixels are denoised.
    """
    if watch is None:
        return None, None
    small = (PREVIEW_PX, max(1, round(size[1] * PREVIEW_PX / size[0])))

    def callback(step: Step) -> None:
        def preview() -> np.ndarray:
            picture = to_picture(_shrunk(step.x0, small, latent_stride)).float()
            return bytes_from_picture(F.interpolate(picture, small, mode="area")).cpu().numpy()

        watch.stepped(LoopStep(num_done=step.index + 1, num_steps=step.num_steps, preview=preview))

    return callback, watch.stopped


def _shrunk(latents: Latents, small: tuple[int, int], stride: int) -> Latents:
    rows, columns = (max(1, side // stride) for side in small)
    if stride == 1 or latents.shape[2] <= rows:
        return latents
    return F.interpolate(latents, (rows, columns), mode="area")
