"""Encode: the picture without decode's padding, in the asked format and size, marked."""

from __future__ import annotations

import hashlib
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from atelier.errors import ConfigError
from atelier.images import Frame, fit, read_source_type
from atelier.stages.encode import Encode


def encoded(config: Encode, source: tuple[int, int]) -> bytes:
    """A horizontal ramp of `source` size, taken through the working size 128x96."""
    ramp = np.repeat(np.linspace(0, 255, source[1]).astype(np.uint8)[None, :, None], source[0], 0).repeat(3, 2)
    image, frame = fit(ramp, (128, 96))
    columns = config.build(torch.device("cpu")).run_row({"image": image, "frame": frame.vector()})
    assert columns["picture_sha256"] == hashlib.sha256(columns["picture"]).hexdigest()
    return columns["picture"]


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
def test_every_format_is_marked_and_unpadded(format: str) -> None:
    data = encoded(Encode(format=format), (100, 100))  # pyright: ignore[reportArgumentType]
    picture = Image.open(BytesIO(data))
    assert picture.format == format.upper() and picture.size == (96, 96)
    assert read_source_type(data) == "compositeWithTrainedAlgorithmicMedia"


def test_the_original_size_comes_back() -> None:
    data = encoded(Encode(format="png", size="original"), (300, 150))
    picture = np.array(Image.open(BytesIO(data)))
    assert picture.shape == (300, 150, 3)
    assert abs(int(picture[150, 75, 0]) - 128) <= 4 and picture[:, 0].max() < 12


def test_equal_pictures_are_equal_bytes() -> None:
    assert encoded(Encode(quality=80), (100, 100)) == encoded(Encode(quality=80), (100, 100))
    assert encoded(Encode(quality=80), (100, 100)) != encoded(Encode(quality=60), (100, 100))


def test_a_quality_that_the_format_has_not_is_refused_before_any_row() -> None:
    with pytest.raises(ConfigError, match="quality"):
        Encode(format="png", quality=90).build(torch.device("cpu"))


def test_an_unpadded_frame_changes_nothing() -> None:
    assert Frame.of((128, 96), (128, 96)).vector().tolist() == [128, 96, 0, 0, 128, 96]
