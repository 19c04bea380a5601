"""What the three networks are trained for: pure functions of tensors.

No official training code is public. Terms and weights are those that retrainings by third parties report, and those of
HR-VITON, the same team's public training code; the README says which is whose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from atelier.models.tensors import ControlPoints, Mask, Picture, SegmentationMap

Scores = Sequence[Sequence[Tensor]]
"""What a `MultiscaleDiscriminator` gives: layer outputs per scale, scores last."""
FeatureMaps = Callable[[Tensor], Sequence[Tensor]]
"""Feature maps of a picture, finest first; what `perceptual_features` gives is one."""

PERCEPTUAL_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of the five VGG feature maps, finest first (pix2pixHD)."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A loss to minimize, and what it is made of."""

    total: Tensor
    terms: Mapping[str, Tensor]
    """Each term as it enters the total, weight included, detached."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Terms that are not in the total, with the reason."""


@dataclass(frozen=True, kw_only=True)
class SegmentationWeights:
    """Weights of `segmentation_objective`."""

    cross_entropy: float = 10.0
    adversarial: float = 1.0


@dataclass(frozen=True, kw_only=True)
class MatchingWeights:
    """Weights of `matching_objective`."""

    garment: float = 1.0
    mask: float = 1.0
    grid: float = 0.04


@dataclass(frozen=True, kw_only=True)
class AliasWeights:
    """Weights of `alias_objective`; `pixels` is HR-VITON's, VITON-HD has none."""

    adversarial: float = 1.0
    feature_matching: float = 10.0
    perceptual: float = 10.0
    pixels: float = 1.0


def segmentation_objective(
    logits: SegmentationMap,
    target: Int[Tensor, "batch map_height map_width"],
    critic_on_fake: Scores | None = None,
    weights: SegmentationWeights = SegmentationWeights(),
) -> Objective:
    """Pixel-wise cross entropy and, where a critic is given, the least-squares GAN loss.

    Args:
        logits: before the sigmoid: cross entropy of values that a sigmoid bounds could never fall below 1.7.
        target: ids of the 13 classes, int64.
        critic_on_fake: the discriminator on the generator's input and its (sigmoid) output.
    """
    terms = {"cross_entropy": weights.cross_entropy * F.cross_entropy(logits, target)}
    if critic_on_fake is not None:
        terms["adversarial"] = weights.adversarial * least_squares_generator(critic_on_fake)
        return _objective(terms)
    return _objective(terms, adversarial="no critic was given")


def matching_objective(
    warped_garment: Picture,
    worn_garment: Picture,
    warped_garment_mask: Mask,
    worn_garment_mask: Mask,
    control_points: ControlPoints,
    weights: MatchingWeights = MatchingWeights(),
) -> Objective:
    """L1 to the garment as worn, L1 of the masks, and the second-order constraint on the grid.

    Args:
        worn_garment: the person's picture where they wear the garment; what lies outside must equal in both pictures.
        control_points: `GMM.tps.control_points(theta)`.
    """
    return _objective(
        {
            "garment": weights.garment * F.l1_loss(warped_garment, worn_garment),
            "mask": weights.mask * F.l1_loss(warped_garment_mask, worn_garment_mask),
            "grid": weights.grid * grid_constraint(control_points),
        }
    )


def alias_objective(
    image: Picture,
    target: Picture,
    critic_on_fake: Scores | None = None,
    critic_on_real: Scores | None = None,
    features: FeatureMaps | None = None,
    weights: AliasWeights = AliasWeights(),
    pixel_weight: Mask | None = None,
) -> Objective:
    """Hinge GAN, feature matching, perceptual and pixel loss; what cannot be computed is named in `left_out`.

    Args:
        critic_on_fake: the discriminator on the layout and `image`; without it there is no GAN and no feature matching.
        critic_on_real: the discriminator on the layout and `target`.
        features: VGG feature maps; without them there is no perceptual loss.
        pixel_weight: how much each pixel counts in the pixel loss; None counts all alike.
    """
    terms, left_out = {}, {}
    if critic_on_fake is None:
        left_out["adversarial"] = "no critic was given"
    else:
        terms["adversarial"] = weights.adversarial * hinge_generator(critic_on_fake)
    if critic_on_fake is None or critic_on_real is None:
        left_out["feature_matching"] = "no critic was given for both pictures"
    else:
        terms["feature_matching"] = weights.feature_matching * feature_matching(critic_on_fake, critic_on_real)
    if features is None:
        left_out["perceptual"] = "no VGG features were given: the weights are a file of the user's own"
    else:
        terms["perceptual"] = weights.perceptual * perceptual_distance(features, image, target)
    if weights.pixels:
        difference = (image - target).abs()
        counted = difference if pixel_weight is None else pixel_weight * difference
        terms["pixels"] = weights.pixels * counted.mean()
    return _objective(terms, **left_out)


def grid_constraint(control_points: ControlPoints) -> Tensor:
    """How unevenly the control points lie (Yang et al. 2020): 0 where the warp is affine.

    For every inner point and both axes of the mesh: the difference of its squared distances to the two neighbours, and
    the difference of the two slopes, taken as a cross product so that an upright line does not divide by zero.
    """
    side = round(control_points.shape[1] ** 0.5)
    mesh = control_points.unflatten(1, (side, side))
    inner = mesh[:, 1:-1, 1:-1]
    total = control_points.new_zeros(())
    for before, after in ((mesh[:, :-2, 1:-1], mesh[:, 2:, 1:-1]), (mesh[:, 1:-1, :-2], mesh[:, 1:-1, 2:])):
        back, forth = before - inner, after - inner
        stretch = back.square().sum(-1) - forth.square().sum(-1)
        bend = back[..., 1] * forth[..., 0] - back[..., 0] * forth[..., 1]
        total = total + stretch.abs().mean() + bend.abs().mean()
    return total


def feature_matching(critic_on_fake: Scores, critic_on_real: Scores) -> Tensor:
    """L1 between a critic's inner features on the made and the true picture, averaged over scales (pix2pixHD)."""
    per_scale = [
        torch.stack([F.l1_loss(fake, real.detach()) for fake, real in zip(fakes[:-1], reals[:-1], strict=True)]).sum()
        for fakes, reals in zip(critic_on_fake, critic_on_real, strict=True)
    ]
    return torch.stack(per_scale).mean()


def perceptual_distance(features: FeatureMaps, image: Picture, target: Picture) -> Tensor:
    """Weighted L1 between the feature maps of two pictures."""
    with torch.no_grad():
        wanted = features(target)
    pairs = zip(PERCEPTUAL_WEIGHTS, features(image), wanted, strict=True)
    return torch.stack([weight * F.l1_loss(have, want) for weight, have, want in pairs]).sum()


def hinge_generator(critic_on_fake: Scores) -> Tensor:
    """Hinge GAN, the generator's side: raise the scores of what it makes."""
    return torch.stack([-outputs[-1].mean() for outputs in critic_on_fake]).mean()


def hinge_critic(critic_on_fake: Scores, critic_on_real: Scores) -> Tensor:
    """Hinge GAN, the critic's side: real above 1, fake below -1. Detach what the generator made."""
    real = [F.relu(1 - outputs[-1]).mean() for outputs in critic_on_real]
    fake = [F.relu(1 + outputs[-1]).mean() for outputs in critic_on_fake]
    return torch.stack(real).mean() + torch.stack(fake).mean()


def least_squares_generator(critic_on_fake: Scores) -> Tensor:
    """Least-squares GAN, the generator's side: scores of 1."""
    return torch.stack([(outputs[-1] - 1).square().mean() for outputs in critic_on_fake]).mean()


def least_squares_critic(critic_on_fake: Scores, critic_on_real: Scores) -> Tensor:
    """Least-squares GAN, the critic's side: 1 for real, 0 for fake, halved. Detach what the generator made."""
    real = [(outputs[-1] - 1).square().mean() for outputs in critic_on_real]
    fake = [outputs[-1].square().mean() for outputs in critic_on_fake]
    return (torch.stack(real).mean() + torch.stack(fake).mean()) / 2


def _objective(terms: Mapping[str, Float[Tensor, ""]], **left_out: str) -> Objective:
    total = torch.stack(list(terms.values())).sum()
    return Objective(total=total, terms={name: term.detach() for name, term in terms.items()}, left_out=left_out)
