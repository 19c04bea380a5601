"""Encoding: marked, sRGB, repeatable, and nothing besides."""

from io import BytesIO
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from atelier import images
from atelier.errors import ConfigError, RowError

FORMATS = get_args(images.PictureFormat)


def picture() -> np.ndarray:
    y, x = np.mgrid[0:64, 0:48]
    return np.stack([3 * y, 5 * x, 255 - 2 * y - x], -1).astype(np.uint8)


@pytest.mark.parametrize("source_type", images.SOURCE_TYPES)
@pytest.mark.parametrize("format", FORMATS)
def test_every_file_is_marked(format: images.PictureFormat, source_type: images.SourceType) -> None:
    data = images.encode_picture(picture(), format=format, source_type=source_type)
    assert images.read_source_type(data) == source_type
    assert f"http://cv.iptc.org/newscodes/digitalsourcetype/{source_type}".encode() in data


@pytest.mark.parametrize("format", FORMATS)
def test_the_picture_comes_back(format: images.PictureFormat) -> None:
    data = images.encode_picture(picture(), format=format, source_type="trainedAlgorithmicMedia")
    error = np.abs(images.decode_picture(data).astype(int) - picture())
    assert error.max() == 0 if format == "png" else error.mean() < 2.5
    with Image.open(BytesIO(data)) as image:
        assert Image.MIME[image.format or ""] == images.MEDIA_TYPES[format]
        assert image.info["icc_profile"][12:24] == b"mntrRGB XYZ "
        assert not image.getexif()


@pytest.mark.parametrize("format", FORMATS)
def test_noise_is_encoded_too(format: images.PictureFormat) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 192, 3)).astype(np.uint8)
    data = images.encode_picture(noise, format=format, source_type="trainedAlgorithmicMedia")
    assert images.decode_picture(data).shape == noise.shape


@pytest.mark.parametrize("format", FORMATS)
def test_equal_arguments_give_equal_bytes(format: images.PictureFormat) -> None:
    files = {images.encode_picture(picture(), format=format, source_type="trainedAlgorithmicMedia") for _ in range(2)}
    assert len(files) == 1


def test_quality_decides_the_size() -> None:
    for format in ("jpeg", "webp", "avif"):
        low, high = (
            images.encode_picture(picture(), format=format, quality=quality, source_type="trainedAlgorithmicMedia")
            for quality in (20, 95)
        )
        assert len(low) < len(high)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "gif"}, "must be one of jpeg, png, webp, avif"),
        ({"source_type": "photograph"}, "must be one of trainedAlgorithmicMedia"),
        ({"quality": 0}, r"must be 1\.\.100"),
        ({"format": "png", "quality": 90}, "None for png"),
        ({"picture": np.zeros((4, 4, 3), np.float32)}, r"must be uint8 \[H, W, 3\]"),
        ({"picture": np.zeros((4, 4), np.uint8)}, r"must be uint8 \[H, W, 3\]"),
    ],
)
def test_wrong_settings_are_refused(change: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        images.encode_picture(**{"picture": picture(), "source_type": "trainedAlgorithmicMedia"} | change)


def test_unmarked_files_say_none() -> None:
    file = BytesIO()
    Image.fromarray(picture()).save(file, "PNG")
    assert images.read_source_type(file.getvalue()) is None
    file = BytesIO()
    entities = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&a;</x:xmpmeta>'
    Image.fromarray(picture()).save(file, "JPEG", xmp=entities)
    assert images.read_source_type(file.getvalue()) is None
    with pytest.raises(RowError, match="picture_format"):
        images.read_source_type(b"nothing")


def test_a_mark_written_as_an_attribute_is_read() -> None:
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"/></rdf:RDF></x:xmpmeta>'
    )
    file = BytesIO()
    Image.fromarray(picture()).save(file, "WEBP", xmp=packet.encode())
    assert images.read_source_type(file.getvalue()) == "digitalCapture"
