"""The person's own pixels laid back over a try-on picture, wherever the try-on had no reason to change them.

This is ours, not VITON-HD's: the published generator paints the whole picture anew, face and background included.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from atelier.models.tensors import LabelIds, Mask, PictureBytes

_WORN = (3, 5, 6, 7, 10, 11, 14, 15)
"""CIHP ids that a try-on may uncover or cover: clothes, neck, arms, glove and scarf."""
_HAIR = (1, 2)
_BACKGROUND = 0
"""In both label sets; the layout's is also the neck's, which the parse tells apart."""
_LAID_ANEW = (2, 4, 5, 6)
"""Layout ids that are new in the picture: garment, arms, noise."""
_HAIR_LAYOUT = 3
_EDGE = 1 / 256
"""Half the soft edge as a share of the picture's height: it is 2 pixels wide at 256, 8 at 1024."""


def repaint(
    image: PictureBytes, person: PictureBytes, agnostic_person: PictureBytes, parse: LabelIds, layout: LabelIds
) -> PictureBytes:
    """The try-on picture with the original pixels where nothing was to change.

    Args:
        image: what the generator painted.
        person: the picture before.
        agnostic_person: the same, gray where it was hidden from the generator.
        parse: CIHP ids of `person`.
        layout: layout ids of `image`.
    """
    keep = kept_region(person, agnostic_person, parse, layout).permute(0, 2, 3, 1)
    mixed = image.float().lerp(person.float(), keep)
    return mixed.round_().to(torch.uint8)


def kept_region(person: PictureBytes, agnostic_person: PictureBytes, parse: LabelIds, layout: LabelIds) -> Mask:
    """How much of each pixel stays the person's: 1 inside the kept region, falling to 0 at its border, never beyond.

    Kept is what the agnostic person shows (background, face, lower body), what is background before and after though
    the cover hid it, and the hair that stays hair; not kept are the old clothes, neck and arms wherever they lie, and
    whatever the new layout gives to garment or arms.
    """
    shown = (person == agnostic_person).all(-1) | ((parse == _BACKGROUND) & (layout == _BACKGROUND))
    hair = _among(parse, _HAIR) & (layout == _HAIR_LAYOUT)
    keep = (shown & ~_among(parse, _WORN) & ~_among(layout, _LAID_ANEW)) | hair
    edge = max(1, round(person.shape[1] * _EDGE))
    # A pixel of the person that is exactly the cover's gray counts as shown: the shrinking takes such specks away.
    shrunk = 1 - F.max_pool2d(1 - keep[:, None].float(), 2 * edge + 1, stride=1, padding=edge)
    return F.avg_pool2d(shrunk, 2 * edge + 1, stride=1, padding=edge, count_include_pad=False)


def _among(labels: LabelIds, ids: tuple[int, ...]) -> torch.Tensor:
    return torch.isin(labels, torch.tensor(ids, dtype=labels.dtype, device=labels.device))
