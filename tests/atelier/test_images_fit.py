"""Fitting to a working size, and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atelier import images

SIZE = (64, 48)


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    return (np.stack([y, x, (1 - y) * x], -1) * 255).round().astype(np.uint8)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((one.astype(float) - other) ** 2))))


def test_a_picture_of_the_size_is_left_alone() -> None:
    picture = smooth(*SIZE)
    fitted, frame = images.fit(picture, SIZE)
    assert fitted is picture
    assert np.array_equal(images.fit_labels(picture[..., 0], SIZE), picture[..., 0])
    assert np.array_equal(images.unfit(fitted, frame), picture)
    keypoints = np.array([[3.25, 4.5, 0.9]], np.float32)
    assert np.array_equal(images.fit_keypoints(keypoints, frame), keypoints)


def test_only_padded_comes_back_exactly() -> None:
    picture = smooth(64, 30)
    fitted, frame = images.fit(picture, SIZE)
    assert fitted.shape == (*SIZE, 3)
    assert np.array_equal(fitted[:, 9:39], picture)
    assert np.array_equal(images.unfit(fitted, frame), picture)


@pytest.mark.parametrize("shape", [(128, 96), (100, 40), (40, 100), (33, 17), (200, 200), (1, 1), (700, 2), (2, 700)])
def test_the_way_back_gives_the_source_size(shape: tuple[int, int]) -> None:
    picture = smooth(*shape)
    fitted, frame = images.fit(picture, SIZE)
    assert fitted.shape == (*SIZE, 3)
    assert fitted.dtype == np.uint8
    back = images.unfit(fitted, images.Frame.from_vector(frame.vector()))
    assert back.shape == picture.shape
    assert min(shape) < 10 or psnr(back, picture) > 30


def test_padding_is_the_colour_of_the_border() -> None:
    picture = np.full((40, 40, 3), (200, 210, 220), np.uint8)
    picture[10:, 15:25] = (90, 0, 0)  # cut off at the lower edge
    fitted, frame = images.fit(picture, SIZE)
    assert (frame.top, frame.height) == (8, 48)
    assert (fitted[: frame.top] == (200, 210, 220)).all()
    assert (fitted[frame.top + frame.height :] == (200, 210, 220)).all()


def test_labels_lie_where_the_picture_lies() -> None:
    labels = np.zeros((120, 200), np.uint8)
    labels[30:90, 50:150] = 17
    picture = np.repeat(np.where(labels, 255, 0).astype(np.uint8)[..., None], 3, -1)
    fitted, frame = images.fit(picture, SIZE)
    fitted_labels = images.fit_labels(labels, SIZE)
    assert set(np.unique(fitted_labels)) == {0, 17}
    disagree = (fitted[..., 0] > 127) != (fitted_labels == 17)
    assert disagree.mean() < 0.01
    assert (fitted_labels[: frame.top] == 0).all()


def test_keypoints_lie_where_the_picture_lies() -> None:
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[80:90, 140:150] = 255
    fitted, frame = images.fit(picture, SIZE)
    keypoints = np.array([[145, 85, 0.7], [0, 0, 0], [30, 40, 0]], np.float32)
    found = images.fit_keypoints(keypoints, frame)
    assert found.dtype == np.float32
    weights = fitted[..., 0].astype(float)
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] + 0.5
    centre = (x * weights).sum() / weights.sum(), (y * weights).sum() / weights.sum()
    assert np.allclose(found[0], [*centre, 0.7], atol=0.2)
    assert (found[1:] == 0).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 1024), st.integers(1, 1024))
def test_frames_lie_inside(height: int, width: int, working_height: int, working_width: int) -> None:
    frame = images.Frame.of((height, width), (working_height, working_width))
    assert frame.top >= 0
    assert frame.top + frame.height <= working_height
    assert frame.left + frame.width <= working_width
    assert frame.height == working_height or frame.width == working_width
    assert images.Frame.from_vector(frame.vector()) == frame
    assert frame.vector().dtype == np.float32
