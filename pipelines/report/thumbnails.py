"""Pictures small enough to stand in a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from atelier import storage
from atelier.errors import RowError, StorageError
from atelier.images import decode_picture

BOX = (168, 224)
"""Largest width and height in pixels."""

_QUALITY = 78
_THREADS = 4


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A picture as a `data:` address, or why there is none to show."""

    source: str = ""
    problem: str = ""


def thumbnails(addresses: Sequence[str]) -> dict[str, Thumbnail]:
    """A thumbnail for each address; what can't be read or decoded says so, since a report is about failures too."""
    distinct = [address for address in dict.fromkeys(addresses) if address]
    with ThreadPoolExecutor(_THREADS) as threads:
        return dict(zip(distinct, threads.map(_thumbnail, distinct), strict=True))


def _thumbnail(address: str) -> Thumbnail:
    try:
        picture = Image.fromarray(decode_picture(storage.get(address)))
    except StorageError as error:
        return Thumbnail(problem=error.reason)
    except RowError as error:
        return Thumbnail(problem=error.detail)
    picture.thumbnail(BOX, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "jpeg", quality=_QUALITY, optimize=True)
    return Thumbnail(source="data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode())
