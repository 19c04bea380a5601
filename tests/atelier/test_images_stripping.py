"""Metadata taken off: nothing of it is left, and every decoder gives what it gave."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from atelier import images
from atelier.errors import RowError
from atelier.images import strip_metadata
from tests.atelier.picture_files import cmyk_profile, png, saved, scene, swapped_profile
from tests.atelier.test_images_refused import SAMPLES

SECRET = "52.520008 N 13.404954 E"
XMP = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><where>{SECRET}</where></x:xmpmeta>'.encode()
DECODERS = (images.decode_picture, images.decode_mask, images.decode_labels)
OF_PIXELS = {"icc_profile", "transparency", "exif", "jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi"} | {
    "adobe", "adobe_transform", "progressive", "progression", "gamma", "srgb", "chromaticity"
} | {"loop", "background", "timestamp", "duration"}  # fmt: skip


def exif(turned: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = turned
    block[0x010F] = SECRET
    block.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 29: SECRET})
    return block


def told(turned: int) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    info.add_text("Comment", SECRET)
    info.add_text("Author", SECRET, zip=True)
    info.add(b"vpAg", SECRET.encode())
    return info


def with_thumbnail(jpeg: bytes) -> bytes:
    """A JPEG whose JFIF segment has a thumbnail of 2x1 pixels."""
    assert jpeg[2:4] == b"\xff\xe0"
    length = int.from_bytes(jpeg[4:6], "big")
    jfif = jpeg[6:18] + b"\x02\x01" + b"\x01\x02\x03\x04\x05\x06"
    extension = b"JFXX\0\x10" + SECRET.encode()
    return b"".join(
        (
            jpeg[:2],
            *(b"\xff\xe0" + struct.pack(">H", len(body) + 2) + body for body in (jfif, extension)),
            jpeg[4 + length :],
        )
    )


def files(turned: int) -> dict[str, bytes]:
    picture, block = Image.fromarray(scene()), exif(turned).tobytes()
    rgba = Image.fromarray(np.dstack([scene(), scene()[..., 0]]))
    jpeg = {"quality": 90, "exif": block, "comment": SECRET, "xmp": XMP}
    palette = picture.quantize(24)
    return {
        "jpeg": saved(picture, "JPEG", **jpeg, icc_profile=swapped_profile()) + SECRET.encode(),
        "jpeg, progressive": saved(picture, "JPEG", **jpeg, progressive=True),
        "jpeg, restarts": saved(picture, "JPEG", **jpeg, restart_marker_blocks=1),
        "jpeg, cmyk": saved(picture.convert("CMYK"), "JPEG", **jpeg, icc_profile=cmyk_profile()),
        "jpeg, thumbnail": with_thumbnail(saved(picture, "JPEG", quality=90, comment=SECRET)),
        "mpo": saved(picture, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))], exif=block, xmp=XMP),
        "png": saved(rgba, "PNG", exif=block, pnginfo=told(turned), icc_profile=swapped_profile()) + SECRET.encode(),
        "png, palette": saved(palette, "PNG", exif=block, pnginfo=told(turned), transparency=3),
        "png, 16 bits": saved(scene()[..., 0].astype(np.uint16) * 200, "PNG", exif=block, pnginfo=told(turned)),
        "webp": saved(rgba, "WEBP", exif=block, xmp=XMP, icc_profile=swapped_profile()) + SECRET.encode(),
        "webp, lossless": saved(picture, "WEBP", lossless=True, exif=block, xmp=XMP),
        "avif": saved(rgba, "AVIF", exif=block, xmp=XMP, icc_profile=swapped_profile()),
        "avif, no alpha": saved(picture, "AVIF", exif=block, xmp=XMP) + b"\0\0\0\x1fuuid" + SECRET.encode(),
    }


@pytest.mark.parametrize("name", files(1))
@pytest.mark.parametrize("turned", range(1, 9))
def test_nothing_is_left_and_nothing_changes(name: str, turned: int) -> None:
    data = files(turned)[name]
    bare = strip_metadata(data)
    assert SECRET.encode() in data
    assert SECRET.encode() not in bare
    with Image.open(BytesIO(bare)) as image:
        image.load()
        assert set(image.info) <= OF_PIXELS
        tags = dict(image.getexif())
        assert tags == ({} if turned == 1 or name == "jpeg, thumbnail" else {0x0112: turned})
        assert not image.getexif().get_ifd(0x8825)
    for decode in DECODERS:
        assert outcome(decode, bare) == outcome(decode, data)
    assert outcome(images.decode_picture, data)[0] == "made"
    assert strip_metadata(bare) == bare


def test_a_file_without_any_is_given_back_as_it_is() -> None:
    for format in ("JPEG", "PNG", "WEBP"):
        data = saved(scene(), format)
        assert strip_metadata(data) == data


@pytest.mark.parametrize("turned", [1, 6])
def test_an_orientation_told_elsewhere_still_turns(turned: int) -> None:
    """In XMP, behind the pixels, or in a PNG's text: wherever Pillow finds it."""
    xmp = f'<x:xmpmeta><rdf:Description tiff:Orientation="{turned}"/>{SECRET}</x:xmpmeta>'.encode()
    header = struct.pack(">IIBBBBB", 4, 2, 8, 0, 0, 0, 0)
    pixels = (b"IDAT", zlib.compress(b"\0\x01\x02\x03\x04\0\x05\x06\x07\x08"))
    late = png(header, pixels, (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    for data in (late, saved(scene(), "WEBP", xmp=xmp), saved(scene(), "JPEG", xmp=xmp)):
        bare = strip_metadata(data)
        assert SECRET.encode() not in bare
        assert outcome(images.decode_picture, bare) == outcome(images.decode_picture, data)
        upright = images.decode_picture(bare).shape
        with Image.open(BytesIO(data)) as image:
            assert upright[:2] == (image.size if turned == 6 else image.size[::-1])


@pytest.mark.parametrize(
    "data", [b"", b'{"people": []}', b"GIF89a", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\4\0\0\0WEBP"]
)
def test_what_is_no_picture_stays(data: bytes) -> None:
    assert strip_metadata(data) == data


@pytest.mark.parametrize("kept", [0.6, 0.9])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_file_that_ends_too_early_still_says_so(format: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = saved(noise, format, exif=exif(6).tobytes())
    bare = strip_metadata(data[: int(len(data) * kept)])
    assert outcome(images.decode_picture, bare) == ("refused", "picture_truncated")


@settings(max_examples=400, deadline=None)
@given(
    data=st.sampled_from([*SAMPLES, *files(6).values()]),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
@pytest.mark.filterwarnings("ignore")
def test_what_decodes_in_spite_of_damage_decodes_to_the_same(
    data: bytes, flips: list[tuple[float, int]], kept: float
) -> None:
    damaged = bytearray(data)
    for place, value in flips:
        damaged[int(place * len(damaged))] = value
    file = bytes(damaged[: int(len(damaged) * kept)])
    bare = strip_metadata(file)
    for decode in DECODERS:
        before = outcome(decode, file)
        if before[0] == "made":
            assert outcome(decode, bare) == before


def outcome(decode, data: bytes) -> tuple:
    try:
        made = decode(data, max_pixels=100_000)
    except RowError as error:
        return "refused", error.code
    return "made", made.shape, made.tobytes()
