"""Drawn pictures, maps and keypoints as the files that catalogs and data sets hold."""

from __future__ import annotations

import colorsys
import io

import numpy as np
from PIL import Image

from atelier.errors import ConfigError

JPEG_QUALITY = 95
"""High enough that a catalog's own compression doesn't hide what a model does."""


def jpeg(picture: np.ndarray) -> bytes:
    """An RGB picture or a grey mask as JPEG, colour at full resolution."""
    return _saved(Image.fromarray(picture), "JPEG", quality=JPEG_QUALITY, subsampling=0)


def png(picture: np.ndarray) -> bytes:
    """A picture as PNG, lossless."""
    return _saved(Image.fromarray(picture), "PNG", compress_level=1)


def picture_file(picture: np.ndarray, address: str) -> bytes:
    """A picture in the format that its address ends with.

    Raises:
        ConfigError: the address ends otherwise than in .png, .jpg or .jpeg.
    """
    suffix = address.rpartition(".")[2].lower()
    if suffix not in ("png", "jpg", "jpeg"):
        raise ConfigError(f"{address}: a picture's address must end in .png, .jpg or .jpeg")
    return png(picture) if suffix == "png" else jpeg(picture)


def mask_png(mask: np.ndarray) -> bytes:
    """A {0, 1} mask as a black and white PNG."""
    return png(mask * np.uint8(255))


def labels_png(labels: np.ndarray) -> bytes:
    """A label map as a P-mode PNG: the pixel values are the ids, the palette makes them tell apart."""
    height, width = labels.shape
    image = Image.frombytes("P", (width, height), labels.tobytes())
    image.putpalette(_PALETTE)
    return _saved(image, "PNG", compress_level=1)


def _saved(image: Image.Image, format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _palette() -> list[int]:
    colours = [0, 0, 0]
    for label in range(1, 32):
        hue = label * 0.381966 % 1.0  # the golden angle keeps neighbouring ids apart
        colours += [round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.65, 0.6 + 0.35 * (label % 2))]
    return colours


_PALETTE = _palette()
