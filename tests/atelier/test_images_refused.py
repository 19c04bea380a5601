"""Every kind of file that is no picture, or no safe one: a row error, whatever the bytes."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from atelier import images
from atelier.errors import RowError
from tests.atelier.picture_files import (
    HEIGHT,
    WIDTH,
    cmyk_profile,
    code_of,
    differs_by,
    png,
    saved,
    scene,
    swapped_profile,
)


class TestRefusals:
    def test_empty(self) -> None:
        assert code_of(b"")[0] == "picture_empty"

    @pytest.mark.parametrize("data", [b"<!DOCTYPE html><p>404", b"hello", b"\0" * 100])
    def test_no_picture(self, data: bytes) -> None:
        code, detail = code_of(data)
        assert code == "picture_format"
        assert "JPEG, PNG, WEBP or AVIF" in detail

    @pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF"])
    def test_other_formats(self, format: str) -> None:
        code, detail = code_of(saved(scene(), format))
        assert code == "picture_format"
        assert format in detail

    def test_a_phones_heif(self) -> None:
        assert "HEIF" in code_of(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100)[1]

    @pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF"])
    def test_animations(self, format: str) -> None:
        frames = [Image.fromarray(scene()), Image.fromarray(scene()[::-1].copy())]
        code, detail = code_of(saved(frames[0], format, save_all=True, append_images=frames[1:], duration=100))
        assert (code, "2 frames" in detail) == ("picture_format", True)

    def test_a_phones_second_picture_is_no_animation(self) -> None:
        pair = saved(Image.fromarray(scene()), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
        assert differs_by(images.decode_picture(pair), scene()) <= 4

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
    @pytest.mark.parametrize("kept", [0.5, 0.9])
    def test_truncated(self, format: str, kept: float) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        data = saved(noise, format)
        assert code_of(data[: int(len(data) * kept)])[0] == "picture_truncated"

    @pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x04\0\0\0WEBP"])
    def test_nothing_behind_the_signature(self, start: bytes) -> None:
        assert code_of(start)[0] in ("picture_truncated", "picture_unreadable")

    def test_damaged(self) -> None:
        data = bytearray(saved(scene(), "PNG"))
        data[len(data) // 2] ^= 0xFF
        assert code_of(bytes(data))[0] == "picture_unreadable"

    def test_a_bomb_is_refused_by_its_header(self) -> None:
        for side in (30_000, 9_000, 2**31 - 1):
            data = png(struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0), (b"IDAT", zlib.compress(bytes(100))))
            assert code_of(data)[0] == "picture_too_large"
            assert code_of(data, images.decode_labels)[0] == "picture_too_large"
            assert code_of(data, images.decode_mask)[0] == "picture_too_large"

    def test_a_compressed_text_bomb(self) -> None:
        text = b"Comment\0\0" + zlib.compress(bytes(80_000_000), 9)
        idat = (b"IDAT", zlib.compress(bytes(4)))
        data = png(struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0), (b"zTXt", text), idat)
        assert code_of(data)[0] == "picture_unreadable"

    def test_limits(self) -> None:
        data = saved(scene(), "PNG")
        assert code_of(data, max_bytes=len(data) - 1)[0] == "picture_too_large"
        code, detail = code_of(data, max_pixels=HEIGHT * WIDTH - 1)
        assert code == "picture_too_large"
        assert "36x48" in detail
        images.decode_picture(data, max_bytes=len(data), max_pixels=HEIGHT * WIDTH)


def samples() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    small = scene()[:16, :12]
    rgba = np.concatenate([small, small[..., :1]], -1)
    palette = Image.fromarray(small).quantize(8)
    return [
        saved(small, "JPEG", exif=exif, icc_profile=swapped_profile()),
        saved(Image.fromarray(small).convert("CMYK"), "JPEG", icc_profile=cmyk_profile()),
        saved(small, "JPEG", progressive=True),
        saved(rgba, "PNG", pnginfo=info, exif=exif),
        saved(palette, "PNG", transparency=1),
        saved(small[..., 0].astype(np.uint16), "PNG"),
        saved(rgba, "WEBP", exif=exif),
        saved(rgba, "AVIF", exif=exif, icc_profile=swapped_profile()),
        saved(Image.fromarray(small), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))]),
    ]


SAMPLES = samples()


@settings(max_examples=150, deadline=None)
@given(
    data=st.sampled_from(SAMPLES),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
@pytest.mark.filterwarnings("ignore")
def test_damage_of_any_kind_is_a_row_error(data: bytes, flips: list[tuple[float, int]], kept: float) -> None:
    damaged = bytearray(data)
    for place, value in flips:
        damaged[int(place * len(damaged))] = value
    file = bytes(damaged[: int(len(damaged) * kept)])
    for decode in (images.decode_picture, images.decode_mask, images.decode_labels, images.read_source_type):
        try:
            result = decode(file, max_pixels=100_000) if decode is not images.read_source_type else decode(file)
        except RowError as error:
            assert error.code in images.PICTURE_CODES
            continue
        if isinstance(result, np.ndarray):
            assert result.dtype == np.uint8
