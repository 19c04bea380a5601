"""What a trained PIDM does beyond pose transfer: a new part in a given picture, and the way from style to style."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from atelier.errors import ConfigError
from atelier.models.diffusion.schedules import Level
from atelier.models.diffusion.steps import Callback, Step
from atelier.models.layers.noise import Generators, draw_normal
from atelier.models.pidm.networks_unet import Texture
from atelier.models.tensors import Mask, NoisyPicture, Picture


def keep_outside(mask: Mask, reference: Picture, *, generator: Generators, released: bool = False) -> Callback:
    """A callback for `sample` that lets only the masked part of a picture become new (appearance control).

    After every step what lies outside of the mask is put back, with as much noise as the picture then has; at the end
    it is the reference itself.

    Args:
        mask: 1 where the picture becomes new.
        released: put it back at the noise of the step's beginning, as the released code does: the least trained noise
            then stays outside of the mask.
    """

    def keep(step: Step) -> Tensor:
        level: Level = step.level if released else step.reached
        noise = draw_normal(len(reference), reference.shape[1:], generator).to(step.x)
        known = level.alpha * reference.to(step.x) + level.sigma * noise
        inside = mask.to(step.x)
        return inside * step.x + (1 - inside) * known

    return keep


def mix_styles(first: Sequence[Texture], second: Sequence[Texture], share: float) -> list[Texture]:
    """Textures on the way from one person's (`share` 0) to another's (1), linearly: style interpolation."""
    if len(first) != len(second):
        raise ConfigError(f"features: {len(first)} and {len(second)} maps; both must be of one model")
    return [torch.lerp(one, other, share) for one, other in zip(first, second, strict=True)]


def mix_noise(first: NoisyPicture, second: NoisyPicture, share: float | Float[Tensor, " batch"]) -> NoisyPicture:
    """Noise on the great circle from one to another, which stays as strong all the way."""
    share = torch.as_tensor(share, dtype=first.dtype, device=first.device).expand(len(first)).view(-1, 1, 1, 1)
    one, other = (noise.flatten(1) / noise.flatten(1).norm(dim=1, keepdim=True) for noise in (first, second))
    angle = (one * other).sum(1).clamp(-1, 1).acos().view(-1, 1, 1, 1)
    mixed = (torch.sin((1 - share) * angle) * first + torch.sin(share * angle) * second) / torch.sin(angle)
    return torch.where(torch.sin(angle).abs() < 1e-6, torch.lerp(first, second, share), mixed)
