"""Decoding: every kind of picture that catalogs hold, turned upright and in sRGB."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

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


@pytest.mark.parametrize(
    ("format", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 4),
        ("JPEG", {"quality": 95}, 3),
        ("JPEG", {"quality": 95, "progressive": True}, 3),
        ("AVIF", {"quality": 95}, 3),
    ],
)
def test_every_format_gives_the_picture(format: str, options: dict, tolerance: float) -> None:
    assert differs_by(images.decode_picture(saved(scene(), format, **options)), scene()) <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("format", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("JPEG", {"quality": 95})])
def test_exif_orientation_turns_upright(orientation: int, format: str, options: dict) -> None:
    upright = scene()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(np.ascontiguousarray(stored), format, exif=exif, **options)
    assert differs_by(images.decode_picture(data), upright) <= 3


def test_avif_turns_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(np.ascontiguousarray(np.rot90(scene(), 1)), "AVIF", quality=95, exif=exif)
    assert differs_by(images.decode_picture(data), scene()) <= 3


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_turns_nothing() -> None:
    data = saved(scene(), "JPEG", quality=95, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    assert differs_by(images.decode_picture(data), scene()) <= 3


class TestColour:
    def test_a_profile_is_converted(self) -> None:
        decoded = images.decode_picture(saved(scene(), "PNG", icc_profile=swapped_profile()))
        exchanged = scene()[..., [1, 0, 2]]
        assert differs_by(decoded, exchanged) < 4
        assert differs_by(decoded, scene()) > 20

    def test_srgb_stays_as_it_is(self) -> None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        assert differs_by(images.decode_picture(saved(scene(), "PNG", icc_profile=profile)), scene()) == 0

    @pytest.mark.parametrize("profile", [b"no profile", cmyk_profile()], ids=["broken", "of another kind"])
    def test_a_profile_that_fits_not_is_ignored(self, profile: bytes) -> None:
        assert differs_by(images.decode_picture(saved(scene(), "PNG", icc_profile=profile)), scene()) == 0

    def test_a_colour_profile_on_grey(self) -> None:
        grey = Image.fromarray(scene()).convert("L")
        decoded = images.decode_picture(saved(grey, "PNG", icc_profile=swapped_profile()))
        assert differs_by(decoded, np.array(grey.convert("RGB"))) < 6

    def test_cmyk_without_a_profile(self) -> None:
        data = saved(Image.fromarray(scene()).convert("CMYK"), "JPEG", quality=95)
        assert differs_by(images.decode_picture(data), scene()) <= 3

    def test_cmyk_with_a_profile(self) -> None:
        inks = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
        inks.paste((0, 255, 0, 0), (8, 0, 16, 16))
        decoded = images.decode_picture(saved(inks, "JPEG", quality=100, icc_profile=cmyk_profile()))
        assert (decoded[:, 1] > 240).all()
        red, green, blue = decoded[8, 14].astype(int)
        assert green > red + 40
        assert green > blue + 40

    @pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF"])
    def test_transparency_is_flattened_on_white(self, format: str) -> None:
        alpha = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
        alpha[:24], alpha[24:36] = 255, 128
        options = {"lossless": True} if format == "WEBP" else {"quality": 100} if format == "AVIF" else {}
        decoded = images.decode_picture(saved(np.concatenate([scene(), alpha], -1), format, **options))
        assert differs_by(decoded[:22], scene()[:22]) <= 3
        assert differs_by(decoded[26:34], ((scene()[26:34].astype(int) + 255) // 2).astype(np.uint8)) <= 3
        assert (decoded[40:] >= 252).all()

    def test_palettes(self) -> None:
        palette = Image.new("P", (4, 2))
        palette.putpalette([10, 20, 30, 200, 100, 50])
        palette.paste(1, (2, 0, 4, 2))
        decoded = images.decode_picture(saved(palette, "PNG"))
        assert decoded[0].tolist() == [[10, 20, 30]] * 2 + [[200, 100, 50]] * 2
        decoded = images.decode_picture(saved(palette, "PNG", transparency=0))
        assert decoded[0].tolist() == [[255, 255, 255]] * 2 + [[200, 100, 50]] * 2
        colour_key = saved(Image.new("RGB", (2, 2), (9, 9, 9)), "PNG", transparency=(9, 9, 9))
        assert (images.decode_picture(colour_key) == 255).all()

    def test_grey_of_every_depth(self) -> None:
        ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
        expected = np.repeat(ramp[..., None], 3, -1)
        assert differs_by(images.decode_picture(saved(ramp, "PNG")), expected) == 0
        assert differs_by(images.decode_picture(saved(ramp.astype(np.uint16) * 257, "PNG")), expected) == 0
        with_alpha = Image.merge("LA", [Image.fromarray(ramp), Image.new("L", (16, 16), 255)])
        assert differs_by(images.decode_picture(saved(with_alpha, "PNG")), expected) == 0
        bilevel = Image.fromarray(ramp >= 128)
        assert images.decode_picture(saved(bilevel, "PNG"))[[0, -1], 0, 0].tolist() == [0, 255]

    def test_sixteen_bit_colour(self) -> None:
        row = b"\0" + struct.pack(">6H", 0xFFFF, 0x8080, 0, 0, 0x8080, 0xFFFF)
        data = png(struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0), (b"IDAT", zlib.compress(row)))
        assert images.decode_picture(data).tolist() == [[[255, 128, 0], [0, 128, 255]]]


class TestLabels:
    def test_ids_come_back_as_stored(self) -> None:
        ids = np.arange(20, dtype=np.uint8).repeat(5).reshape(10, 10)
        palette = Image.fromarray(ids).convert("P")
        palette.putdata(ids.ravel().tolist())
        palette.putpalette([value for id in range(20) for value in (255 - id, 7 * id, 3)])
        for image in (Image.fromarray(ids), palette):
            assert np.array_equal(images.decode_labels(saved(image, "PNG"), num_labels=20), ids)
        assert np.array_equal(images.decode_labels(saved(palette, "PNG", bits=8, transparency=0)), ids)

    def test_ids_out_of_range(self) -> None:
        data = saved(np.full((2, 2), 20, np.uint8), "PNG")
        with pytest.raises(RowError, match=r"id 20; ids must lie in 0\.\.19") as caught:
            images.decode_labels(data, num_labels=20)
        assert caught.value.code == "labels_out_of_range"

    def test_what_is_no_label_map(self) -> None:
        assert code_of(saved(scene(), "PNG"), images.decode_labels)[0] == "picture_format"
        assert code_of(saved(scene()[..., 0], "JPEG"), images.decode_labels)[0] == "picture_format"
        assert code_of(saved(np.ones((2, 2), np.uint16), "PNG"), images.decode_labels)[0] == "picture_format"
        four_bits = png(struct.pack(">IIBBBBB", 2, 1, 4, 0, 0, 0, 0), (b"IDAT", zlib.compress(b"\0\x12")))
        assert code_of(four_bits, images.decode_labels)[0] == "picture_format"


def test_masks_of_every_kind() -> None:
    mask = np.zeros((12, 8), np.uint8)
    mask[3:9, 2:6] = 1
    palette = Image.fromarray(mask).convert("P")
    palette.putdata(mask.ravel().tolist())
    palette.putpalette([0, 0, 0, 128, 0, 0])
    cut_out = Image.fromarray(np.full((12, 8, 3), 255, np.uint8))
    cut_out.putalpha(Image.fromarray(mask * 255))
    for data in (
        saved(mask, "PNG"),
        saved(mask * 255, "PNG"),
        saved(mask.astype(bool), "PNG"),
        saved(mask.astype(np.uint16) * 65535, "PNG"),
        saved(np.repeat(mask[..., None] * 255, 3, -1), "JPEG", quality=100, subsampling=0),
        saved(palette, "PNG"),
        saved(cut_out, "PNG"),
        saved(cut_out, "WEBP", lossless=True),
    ):
        decoded = images.decode_mask(data)
        assert decoded.dtype == np.uint8
        assert np.array_equal(decoded, mask)
