"""To a working size and back: scaled as a whole, centred, padded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

# Sharpest in prints and logos, and antialiased when it makes smaller.
FILTER = Image.Resampling.LANCZOS


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Where a fitted picture lies in its working size, in pixels: enough to undo the fit.

    Args:
        source_height, source_width: the picture as it came.
        top, left, height, width: the part of the working picture that shows it; the rest is padding.
    """

    source_height: int
    source_width: int
    top: int
    left: int
    height: int
    width: int

    def vector(self) -> np.ndarray:
        """The six numbers in the order of the fields, float32 [6]: a batch column."""
        fields = (self.source_height, self.source_width, self.top, self.left, self.height, self.width)
        return np.array(fields, np.float32)

    @staticmethod
    def from_vector(vector: np.ndarray) -> Frame:
        """The frame that `vector` wrote."""
        source_height, source_width, top, left, height, width = (int(value) for value in vector)
        return Frame(
            source_height=source_height, source_width=source_width, top=top, left=left, height=height, width=width
        )

    @staticmethod
    def of(source: tuple[int, int], size: tuple[int, int]) -> Frame:
        """How a source (height, width) lies in a working size (height, width): as large as it goes, centred."""
        scale = min(size[0] / source[0], size[1] / source[1])
        height, width = (max(1, min(limit, round(side * scale))) for side, limit in zip(source, size, strict=True))
        return Frame(
            source_height=source[0],
            source_width=source[1],
            top=(size[0] - height) // 2,
            left=(size[1] - width) // 2,
            height=height,
            width=width,
        )


def fit(picture: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, Frame]:
    """A picture at a working size, whole and undistorted, and the frame to undo it.

    A picture that has the size already comes back as it is. Otherwise it is resampled (Lanczos) and padded with one
    colour, the median of its border: background goes on as background. Repeating the edge would draw out a cut-off arm
    or hem into the padding, and a parser would label it; white would put a hard edge against any other backdrop.

    Args:
        picture: uint8 RGB [h, w, 3].
        size: working height and width in pixels.

    Returns:
        uint8 RGB [H, W, 3] and its `Frame`.
    """
    frame = Frame.of((picture.shape[0], picture.shape[1]), size)
    content = _resized(picture, (frame.height, frame.width), FILTER)
    if content.shape[:2] == tuple(size):
        return content, frame
    border = np.concatenate([content[0], content[-1], content[:, 0], content[:, -1]])
    return _placed(content, frame, size, np.median(border, axis=0).astype(np.uint8)), frame


def fit_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A label map or mask placed as `fit` places its picture, to the nearest pixel; padding is 0: uint8 [H, W]."""
    frame = Frame.of((labels.shape[0], labels.shape[1]), size)
    content = _resized(labels, (frame.height, frame.width), Image.Resampling.NEAREST)
    return content if content.shape == tuple(size) else _placed(content, frame, size, np.uint8(0))


def fit_keypoints(keypoints: np.ndarray, frame: Frame) -> np.ndarray:
    """Keypoints (x, y, confidence) of a source picture in its working pixels: float32 [..., 3].

    Coordinates are continuous, (0, 0) the outer corner of the first pixel. A missing joint, of confidence 0, becomes
    (0, 0, 0).
    """
    scale = (frame.width / frame.source_width, frame.height / frame.source_height)
    fitted = np.array(keypoints, np.float32)
    fitted[..., :2] = fitted[..., :2] * np.array(scale, np.float32) + np.array((frame.left, frame.top), np.float32)
    fitted[~(fitted[..., 2] > 0)] = 0.0
    return fitted


def unfit(picture: np.ndarray, frame: Frame) -> np.ndarray:
    """A working picture without its padding, at the size that its source had: uint8 RGB [h, w, 3]."""
    content = picture[frame.top : frame.top + frame.height, frame.left : frame.left + frame.width]
    return np.ascontiguousarray(_resized(content, (frame.source_height, frame.source_width), FILTER))


def _resized(pixels: np.ndarray, size: tuple[int, int], filter: Image.Resampling) -> np.ndarray:
    if pixels.shape[:2] == size:
        return pixels
    return np.array(Image.fromarray(np.ascontiguousarray(pixels)).resize((size[1], size[0]), filter))


def _placed(content: np.ndarray, frame: Frame, size: tuple[int, int], padding: np.ndarray | np.uint8) -> np.ndarray:
    whole = np.empty((*size, *content.shape[2:]), np.uint8)
    whole[...] = padding
    whole[frame.top : frame.top + frame.height, frame.left : frame.left + frame.width] = content
    return whole
