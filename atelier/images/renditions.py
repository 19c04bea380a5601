"""The formats that pictures are delivered in."""

from __future__ import annotations

from typing import Literal

PictureFormat = Literal["jpeg", "png", "webp", "avif"]

MEDIA_TYPES: dict[PictureFormat, str] = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
}
SUFFIXES: dict[PictureFormat, str] = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "avif": ".avif"}
