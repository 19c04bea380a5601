"""How the decoding stages read single inputs: each gives what it reads, or an error that names the input."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from atelier.errors import RowError
from atelier.images import Frame, decode_labels, decode_picture, fit_keypoints, fit_labels
from atelier.skeletons import read_openpose

NUM_CIHP_LABELS = 20


def read_picture(name: str, data: bytes, *, min_side_px: int) -> np.ndarray:
    """A picture as it came: uint8 RGB [h, w, 3].

    Raises:
        RowError: `picture_too_small`, or as `decode_picture`.
    """
    picture = naming(name, decode_picture, data)
    height, width = picture.shape[:2]
    if min(height, width) < min_side_px:
        detail = f"{name}: is {height}x{width} pixels, must be at least {min_side_px} on either side"
        raise RowError("picture_too_small", detail)
    return picture


def read_parse(data: bytes, frame: Frame, size: tuple[int, int]) -> np.ndarray:
    """The person's CIHP map at the working size: uint8 ids [H, W].

    Raises:
        RowError: `parse_invalid`.
    """
    parse = naming("parse", decode_labels, data)
    check_size("parse", parse, frame, "person")
    if parse.max() >= NUM_CIHP_LABELS:
        raise RowError("parse_invalid", f"parse: holds label {parse.max()}, must be CIHP's 0..{NUM_CIHP_LABELS - 1}")
    return fit_labels(parse, size)


def read_pose(data: bytes, frame: Frame) -> np.ndarray:
    """The joints of a pose to be taken, laid whole into the part of a working picture that `frame` shows: [25, 3].

    The pose's canvas is what its JSON says by `canvas_height` and `canvas_width`; else the person's picture, where all
    joints lie in it; else just what the joints span, with a margin.

    Raises:
        RowError: `pose_invalid`.
    """
    try:
        joints = read_openpose(data)
    except ValueError as error:
        raise RowError("pose_invalid", f"pose: {error}") from error
    if joints is None or not (joints[:, 2] > 0).any():
        raise RowError("pose_invalid", "pose: holds no joint; people[0] must have some with a confidence above 0")
    joints[(joints[:, :2] == 0).all(1), 2] = 0
    seen = joints[joints[:, 2] > 0, :2]
    canvas = _canvas_of(data)
    if canvas is None:
        source = (frame.source_height, frame.source_width)
        if (seen >= 0).all() and (seen <= np.array(source[::-1])).all():
            canvas = source
        else:
            width, height = np.ptp(seen, 0).tolist()
            margin = max(1.0, _MARGIN * max(width, height))
            joints[:, :2] += margin - seen.min(0)
            canvas = (height + 2 * margin, width + 2 * margin)
    return _laid(joints, canvas, frame)


_MARGIN = 0.12
"""Around the joints of a pose without a canvas, of the longer side that they span: hair and toes are beyond them."""


def _canvas_of(data: bytes) -> tuple[float, float] | None:
    document = json.loads(data)
    sides = (document.get("canvas_height"), document.get("canvas_width"))
    if sides == (None, None):
        return None
    if any(isinstance(side, bool) or not isinstance(side, int | float) or not 1 <= side <= 100_000 for side in sides):
        detail = f"pose: canvas_height and canvas_width are {list(sides)}; must be 1 to 100,000 pixels, or both absent"
        raise RowError("pose_invalid", detail)
    return sides


def _laid(joints: np.ndarray, canvas: tuple[float, float], frame: Frame) -> np.ndarray:
    """Joints of a canvas (height, width) in working pixels: as large as it goes, centred in what `frame` shows."""
    scale = min(frame.height / canvas[0], frame.width / canvas[1])
    left = frame.left + (frame.width - canvas[1] * scale) / 2
    top = frame.top + (frame.height - canvas[0] * scale) / 2
    laid = np.array(joints, np.float32)
    laid[:, :2] = laid[:, :2] * scale + np.array((left, top), np.float32)
    laid[~(laid[:, 2] > 0)] = 0.0
    return laid


def read_keypoints(data: bytes, frame: Frame) -> np.ndarray:
    """The person's joints out of their OpenPose JSON, in working pixels: float32 [25, 3].

    Raises:
        RowError: `keypoints_invalid`, or `no_person` where the file holds nobody.
    """
    try:
        keypoints = read_openpose(data)
    except ValueError as error:
        raise RowError("keypoints_invalid", f"keypoints: {error}") from error
    if keypoints is None:
        raise RowError("no_person", "keypoints: people is empty, must hold the person of the picture")
    keypoints[(keypoints[:, :2] == 0).all(1), 2] = 0
    seen = keypoints[keypoints[:, 2] > 0, :2]
    if not len(seen):
        raise RowError("no_person", "keypoints: no joint of people[0] has a confidence above 0")
    side = np.array([frame.source_width, frame.source_height])
    picture = f"the person's picture of {frame.source_height}x{frame.source_width}"
    if (seen < -side).any() or (seen > 2 * side).any():
        x, y = seen[((seen < -side) | (seen > 2 * side)).any(1)][0]
        raise RowError("keypoints_invalid", f"keypoints: a joint lies at ({x:g}, {y:g}), far outside {picture}")
    if len(seen) > 1 and np.abs(seen).max() <= 1:
        raise RowError("keypoints_invalid", f"keypoints: all lie within one pixel; must be in pixels of {picture}")
    return fit_keypoints(keypoints, frame)


def check_size(name: str, labels: np.ndarray, frame: Frame, of: str) -> None:
    """Refuses a map of another size than the picture `of` whose frame this is, as `<name>_invalid`."""
    height, width = labels.shape
    if (height, width) != (frame.source_height, frame.source_width):
        wanted = f"the {of} picture's {frame.source_height}x{frame.source_width}"
        raise RowError(f"{name}_invalid", f"{name}: is {height}x{width} pixels, must be {wanted}")


def naming(name: str, decode: Callable[[bytes], np.ndarray], data: bytes) -> np.ndarray:
    """The decoded file of an input; what cannot be decoded is an error that names the input."""
    try:
        return decode(data)
    except RowError as error:
        raise RowError(error.code, f"{name}: {error.detail}", rejected=error.rejected) from error
