"""What a try-on has to beat: pictures that anyone can make without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

_R_SHOULDER, _L_SHOULDER, _R_HIP, _L_HIP = 2, 5, 9, 12


@dataclass(frozen=True, kw_only=True)
class TryOnInput:
    """A person, the garment to try on, and the silhouette that only the judge knows.

    Args:
        person, garment: uint8 RGB [H, W, 3]. garment_mask: uint8 {0, 1} [H, W]. keypoints: BODY_25 [25, 3].
        true_silhouette: bool [H, W], where the garment is worn in the true answer.
    """

    person: np.ndarray
    garment: np.ndarray
    garment_mask: np.ndarray
    keypoints: np.ndarray
    true_silhouette: np.ndarray


def person_as_is(item: TryOnInput) -> np.ndarray:
    """Nothing done."""
    return item.person.copy()


def pasted(item: TryOnInput) -> np.ndarray:
    """The flat garment laid over the torso, scaled so that its height is the torso's.

    The torso's box goes from the shoulders to the hips, a sixth of that further at both ends; the garment keeps its
    aspect and is centred.
    """
    rows, columns = np.flatnonzero(item.garment_mask.any(1)), np.flatnonzero(item.garment_mask.any(0))
    cut = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    garment, mask = item.garment[cut], item.garment_mask[cut]
    x, top, bottom = _torso(item)
    scale = (bottom - top) / len(garment)
    size = (max(1, round(garment.shape[1] * scale)), max(1, round(bottom - top)))
    scaled = np.asarray(Image.fromarray(garment).resize(size, Image.Resampling.BILINEAR))
    alpha = np.asarray(Image.fromarray(mask * np.uint8(255)).resize(size, Image.Resampling.BILINEAR))
    left, upper = round(x - size[0] / 2), round(top)
    picture = Image.fromarray(item.person)
    picture.paste(Image.fromarray(scaled), (left, upper), Image.fromarray(alpha))
    return np.asarray(picture)


def true_silhouette_in_mean_colour(item: TryOnInput) -> np.ndarray:
    """The garment's mean colour laid over exactly the pixels that the true answer gives to it."""
    picture = item.person.copy()
    picture[item.true_silhouette] = item.garment[item.garment_mask > 0].mean(0).round()
    return picture


BASELINES: Mapping[str, Callable[[TryOnInput], np.ndarray]] = {
    "person as is": person_as_is,
    "flat garment pasted": pasted,
    "true silhouette, mean colour": true_silhouette_in_mean_colour,
}


def _torso(item: TryOnInput) -> tuple[float, float, float]:
    """Middle, top and bottom of the torso's box, from the joints that are there."""
    height = item.person.shape[0]
    joints = item.keypoints
    shoulders = [joints[joint] for joint in (_R_SHOULDER, _L_SHOULDER) if joints[joint, 2] > 0]
    hips = [joints[joint] for joint in (_R_HIP, _L_HIP) if joints[joint, 2] > 0]
    top = float(np.mean([joint[1] for joint in shoulders])) if shoulders else height * 0.25
    bottom = float(np.mean([joint[1] for joint in hips])) if hips else height * 0.6
    x = float(np.mean([joint[0] for joint in (*shoulders, *hips)])) if shoulders or hips else item.person.shape[1] / 2
    margin = (bottom - top) / 6
    return x, top - margin, bottom + margin
