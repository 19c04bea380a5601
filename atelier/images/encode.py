"""From a picture to a delivered file: sRGB, marked, and the same bytes each time."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageFile, PngImagePlugin

from atelier.errors import ConfigError
from atelier.images.colour import srgb_profile
from atelier.images.marking import SOURCE_TYPES, XMP_CHUNK, SourceType, xmp_packet
from atelier.images.renditions import MEDIA_TYPES, PictureFormat

# Where fabrics still look alike at 1:1; PNG is lossless and has none.
_QUALITY: dict[PictureFormat, int] = {"jpeg": 92, "webp": 90, "avif": 80}


def encode_picture(
    picture: np.ndarray,
    *,
    source_type: SourceType,
    format: PictureFormat = "jpeg",
    quality: int | None = None,
    png_level: int = 6,
    png_texts: Mapping[str, str] | None = None,
) -> bytes:
    """A picture as a file that says how it was made.

    Every file carries an sRGB profile and the IPTC DigitalSourceType as XMP, and nothing else but texts
    that are given: no EXIF, no time. Equal arguments give equal bytes with equal versions of Pillow and its codecs.

    Args:
        picture: uint8 RGB [H, W, 3], sRGB.
        source_type: `trainedAlgorithmicMedia` (wholly made by a model) or `compositeWithTrainedAlgorithmicMedia`
            (made from photographs, as a try-on is).
        format: `jpeg`, `png`, `webp` or `avif`.
        quality: 1..100; the format's own default where `None`. PNG has none.
        png_level: how hard PNG tries, 0..9; 1 takes a third of the time for a few percent of size.
        png_texts: by keyword, for a PNG to carry before its pixels; other formats have no place for them.

    Raises:
        ConfigError: an unknown format or source type, a quality out of range, or an array of another kind.
    """
    if format not in MEDIA_TYPES:
        raise ConfigError(f"format is {format!r}; must be one of {', '.join(MEDIA_TYPES)}")
    if source_type not in SOURCE_TYPES:
        raise ConfigError(f"source_type is {source_type!r}; must be one of {', '.join(SOURCE_TYPES)}")
    if quality is not None and (format == "png" or not 1 <= quality <= 100):
        raise ConfigError(f"quality of {format} is {quality}; must be 1..100, and None for png")
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ConfigError(f"the picture is {picture.dtype} {list(picture.shape)}; must be uint8 [H, W, 3]")
    options: dict[str, Any] = {"icc_profile": srgb_profile()} | _options(format)
    if format == "png":
        options["compress_level"] = png_level
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt(XMP_CHUNK, xmp_packet(source_type))
        for keyword, text in (png_texts or {}).items():
            options["pnginfo"].add_itxt(keyword, text)
    else:
        options |= {"quality": quality or _QUALITY[format], "xmp": xmp_packet(source_type).encode()}
    # Pillow's buffer must hold an optimized JPEG whole, and has a byte a pixel: too little for noise, which has two.
    ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, 2 * picture.size)
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, format.upper(), **options)
    return file.getvalue()


def _options(format: PictureFormat) -> dict[str, Any]:
    if format == "jpeg":
        return {"optimize": True, "subsampling": "4:4:4"}  # halved colour blurs red prints and thin stripes
    if format == "webp":
        return {"method": 4}
    if format == "avif":
        # The number of tiles, and with it the bytes, would else depend on the machine's cores.
        return {"subsampling": "4:4:4", "speed": 6, "max_threads": 1, "autotiling": False}
    return {}
