"""From whatever colours a file has to sRGB on white."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms

_MODE_OF_SPACE = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}
# An embedded sRGB profile differs from the built-in one by rounding alone, and then the pixels stay as they are.
_SAME_LEVELS = 2


def to_srgb(image: Image.Image) -> Image.Image:
    """A decoded picture of any mode as RGB in sRGB, transparency flattened on white."""
    colour, alpha = _colour_and_alpha(image)
    icc = image.info.get("icc_profile")
    mode, transform = _transform(icc, colour.mode) if isinstance(icc, bytes) else ("RGB", None)
    if transform is None:
        colour = colour.convert("RGB")
    else:
        applied = ImageCms.applyTransform(colour.convert(mode), transform)
        assert applied is not None
        colour = applied
    if alpha is None:
        return colour
    flat = Image.new("RGB", colour.size, (255, 255, 255))
    flat.paste(colour, mask=alpha)
    return flat


def srgb_profile() -> bytes:
    """An sRGB ICC profile, the same bytes each time."""
    return _srgb_profile()


@lru_cache(maxsize=1)
def _srgb_profile() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)  # the time of its making
    return bytes(profile)


def _colour_and_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colour as L, RGB or CMYK of 8 bits, and the alpha channel if there is one."""
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64)
        return Image.fromarray(((np.clip(levels, 0, 65535) + 128) // 257).astype(np.uint8)), None
    if image.has_transparency_data:
        if image.mode == "LA":
            return image.getchannel("L"), image.getchannel("A")
        whole = image.convert("RGBA")
        return whole.convert("RGB"), whole.getchannel("A")
    if image.mode == "1":
        return image.convert("L"), None
    return (image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")), None


@lru_cache(maxsize=16)
def _transform(icc: bytes, mode: str) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """The mode a profile is for, and the way from it to sRGB.

    There is none for sRGB itself, nor for a profile that is broken or belongs to another kind of picture: browsers
    ignore those too.
    """
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(icc))
        details: Any = profile.profile
        wanted = _MODE_OF_SPACE.get(details.xcolor_space.strip(), "")
        if wanted != mode and (mode, wanted) != ("L", "RGB"):
            return "RGB", None
        transform = ImageCms.buildTransform(
            profile,
            ImageCms.ImageCmsProfile(BytesIO(srgb_profile())),
            wanted,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return "RGB", None
    return wanted, None if wanted == "RGB" and _changes_nothing(transform) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    levels = np.linspace(0, 255, 18).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(18, -1, 3)
    seen = ImageCms.applyTransform(Image.fromarray(cube), transform)
    return int(np.abs(np.asarray(seen).astype(int) - cube).max()) <= _SAME_LEVELS
