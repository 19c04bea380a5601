"""How many people look out of a parse, and whether anybody does."""

from __future__ import annotations

import numpy as np
from skimage.measure import label, regionprops

_FACE = (4, 13)
"""CIHP ids: sunglasses, face."""
_FACELESS = "face_not_visible: person: shows no face; the face in the picture is the model's own"
_LONGEST_SIDE_PX = 256
_LEAST_OF_PICTURE = 5e-4
_LEAST_OF_PERSON = 0.01
_LEAST_SHARE = 0.3
_LEAST_DISTANCE = 2.0


def count_faces(parse: np.ndarray) -> int:
    """Faces in a map of CIHP ids [H, W] that stand far enough apart to be two people's.

    A region of face counts from 0.05 % of the picture and 0.3 times the largest one's area on; two nearer than twice
    the root of that area are one face, behind a hand or a strand of hair. Maps are read at 256 pixels on their longer
    side at most.
    """
    step = -(-max(parse.shape) // _LONGEST_SIDE_PX)
    small = parse[::step, ::step]
    regions = sorted(regionprops(label(np.isin(small, _FACE))), key=lambda region: region.area, reverse=True)
    people: list[np.ndarray] = []
    for region in regions:
        middle = np.array(region.centroid)
        largest = regions[0].area
        least = max(_LEAST_SHARE * largest, _LEAST_OF_PICTURE * small.size)
        if region.area >= least and all(
            np.hypot(*(middle - other)) > _LEAST_DISTANCE * largest**0.5 for other in people
        ):
            people.append(middle)
    return len(people)


def face_notes(parses: np.ndarray) -> list[str]:
    """What to note of each source in CIHP ids [B, H, W]: `face_not_visible` where less than 1 % of the person's pixels
    is face, which a parser finds where there is none; else nothing. Of a whole drawn person 3 to 8 % is face.
    """
    shares = (parses == _FACE[-1]).sum((1, 2)) / np.maximum((parses > 0).sum((1, 2)), 1)
    return ["" if share >= _LEAST_OF_PERSON else _FACELESS for share in shares]
