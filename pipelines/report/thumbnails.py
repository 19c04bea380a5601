"""Pictures small enough to stand in a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from atelier import poses, storage
from atelier.closet.files import labels_png
from atelier.errors import RowError, StorageError
from atelier.geometry.pose_image import pose_image
from atelier.images import decode_labels, decode_picture
from atelier.skeletons import read_openpose

BOX = (168, 224)
"""Largest width and height in pixels."""

_QUALITY = 78
_THREADS = 4
_MARGIN_PX = 24


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A picture as a `data:` address, or why there is none to show."""

    source: str = ""
    problem: str = ""


def thumbnails(shown: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Thumbnail]:
    """A thumbnail for each (name, address); what can't be read or decoded says so: a report is about failures too.

    Keypoints, under the name `pose`, are drawn as a skeleton, and labels, under `pose_map`, in colours.
    """
    distinct = [one for one in dict.fromkeys(shown) if one[1]]
    with ThreadPoolExecutor(_THREADS) as threads:
        return dict(zip(distinct, threads.map(_thumbnail, distinct), strict=True))


def _thumbnail(shown: tuple[str, str]) -> Thumbnail:
    name, address = shown
    try:
        data = poses.read(address, name) if poses.is_named(address) else storage.get(address)
        picture = Image.fromarray(_drawn(name, data))
    except StorageError as error:
        return Thumbnail(problem=error.reason)
    except RowError as error:
        return Thumbnail(problem=error.detail)
    except ValueError as error:
        return Thumbnail(problem=str(error))
    picture.thumbnail(BOX, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "jpeg", quality=_QUALITY, optimize=True)
    return Thumbnail(source="data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode())


def _drawn(name: str, data: bytes) -> np.ndarray:
    if name == "pose" and data.lstrip()[:1] == b"{":
        return _skeleton(data)
    if name == "pose_map":
        with Image.open(io.BytesIO(labels_png(decode_labels(data)))) as coloured:
            return np.asarray(coloured.convert("RGB"))
    return decode_picture(data)


def _skeleton(data: bytes) -> np.ndarray:
    """The joints of an OpenPose JSON on black, as large as they go."""
    joints = read_openpose(data)
    width, height = BOX
    if joints is None or not (joints[:, 2] > 0).any():
        raise ValueError("holds no joint")
    seen = joints[joints[:, 2] > 0, :2]
    low, span = seen.min(0), np.maximum(np.ptp(seen, 0), 1)
    scale = float(min((np.array(BOX) - 2 * _MARGIN_PX) / span))
    placed = joints.copy()
    placed[:, :2] = (joints[:, :2] - low - span / 2) * scale + np.array(BOX) / 2
    return pose_image(placed, (height, width))
