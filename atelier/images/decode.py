"""From a stranger's file to an sRGB picture, a label map or a mask."""

from __future__ import annotations

import numpy as np
from PIL import Image

from atelier.errors import RowError
from atelier.images.colour import to_srgb
from atelier.images.opening import FORMATS, opened

MAX_PIXELS = 64_000_000
MAX_BYTES = 64 * 2**20

ORIENTATION = 0x0112
"""EXIF's tag."""
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_picture(data: bytes, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The picture in a JPEG, PNG, WebP or AVIF file, upright, in sRGB, on white: uint8 RGB [H, W, 3].

    EXIF orientation is applied; an ICC profile is converted to sRGB; CMYK without a profile is converted by the plain
    formula; 16 bits become 8 by rounding; transparency is flattened on white. An animation is refused: taking one of
    its frames unasked may show another garment than the one meant.

    Args:
        data: the file.
        max_pixels: a header that claims more is refused before anything is decoded.
        max_bytes: a longer file is refused.

    Raises:
        RowError: `picture_empty`, `picture_format`, `picture_too_large`, `picture_truncated`, `picture_unreadable`.
    """
    with opened(data, what="picture", formats=FORMATS, max_pixels=max_pixels, max_bytes=max_bytes) as image:
        image.load()
        return np.array(_upright(to_srgb(image), image))


def decode_labels(
    data: bytes, *, num_labels: int | None = None, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> np.ndarray:
    """The label ids in a palette or greyscale PNG, as stored, its palette ignored: uint8 [H, W].

    Args:
        data: the file. Lossy formats are refused, since they invent ids along edges.
        num_labels: with it, ids must lie in 0 .. num_labels - 1.

    Raises:
        RowError: as `decode_picture`, and `labels_out_of_range`.
    """
    with opened(data, what="label map", formats=("PNG",), max_pixels=max_pixels, max_bytes=max_bytes) as image:
        # Pillow stretches 2 and 4 bit grey to 0..255, and the ids are lost.
        stretched = [tile.args for tile in image.tile if tile.args in ("L;2", "L;4")]
        if image.mode not in ("1", "L", "P") or stretched:
            mode = stretched[0] if stretched else image.mode
            raise RowError(
                "picture_format", f"the label map has mode {mode}; must hold one id a pixel: 8 bit grey or a palette"
            )
        labels = np.array(image).astype(np.uint8)
    if num_labels is not None and int(labels.max()) >= num_labels:
        raise RowError(
            "labels_out_of_range", f"the label map holds id {labels.max()}; ids must lie in 0..{num_labels - 1}"
        )
    return labels


def decode_mask(data: bytes, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The mask in a picture file: uint8 {0, 1} [H, W].

    Inside is: in a palette, every id but 0; in grey or colour, what is at least half bright; where the file has
    transparency, what is at least half opaque. A grey file of zeros and ones counts as ids.
    """
    with opened(data, what="mask", formats=FORMATS, max_pixels=max_pixels, max_bytes=max_bytes) as image:
        image.load()
        if image.mode == "P":
            mask = _upright(image, image).point([0] + [1] * 255, "L")
            return np.array(mask)
        if image.has_transparency_data:
            return (np.array(_upright(image.convert("RGBA").getchannel("A"), image)) >= 128).astype(np.uint8)
        grey = np.array(_upright(to_srgb(image).convert("L"), image))
    return (grey >= (128 if grey.max() > 1 else 1)).astype(np.uint8)


def orientation(image: Image.Image) -> int:
    """EXIF's orientation of an open picture, 1 to 8; a block that cannot be read turns nothing, as in browsers."""
    try:
        told = image.getexif().get(ORIENTATION, 1)
        return next((known for known in _UPRIGHT if known == told), 1)
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError):
        return 1


def _upright(picture: Image.Image, image: Image.Image) -> Image.Image:
    turn = _UPRIGHT.get(orientation(image))
    return picture if turn is None else picture.transpose(turn)
