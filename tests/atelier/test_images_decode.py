"""Decoding: every kind of picture that catalogs hold, and every kind of file that is none."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from atelier import images
from atelier.errors import RowError

HEIGHT, WIDTH = 48, 36


def scene() -> np.ndarray:
    """A smooth picture, different in each corner: uint8 [48, 36, 3]."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([40 + 4 * y, 40 + 5 * x, 220 - 2 * y - 2 * x], -1).astype(np.uint8)


def saved(image: Image.Image | np.ndarray, format: str, **options) -> bytes:
    file = BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, format, **options)
    return file.getvalue()


def code_of(data: bytes, decode=images.decode_picture, **limits) -> tuple[str, str]:
    with pytest.raises(RowError) as caught:
        decode(data, **limits)
    assert caught.value.rejected
    assert any(words in caught.value.detail for words in ("must be", "must hold", "upload it whole"))
    return caught.value.code, caught.value.detail


def differs_by(one: np.ndarray, other: np.ndarray) -> float:
    assert one.shape == other.shape
    assert one.dtype == other.dtype == np.uint8
    return float(np.abs(one.astype(int) - other).mean())


def png(header: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def icc(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A version 2 ICC input profile of the given tags."""
    head = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, head + len(body), len(content))
        body += content
    pcs = b"Lab " if space == b"CMYK" else b"XYZ "
    header = struct.pack(">I4sI4s4s4s", head + len(body), b"test", 0x02400000, b"prtr", space, pcs)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


def cmyk_profile() -> bytes:
    """White paper, and any ink at all makes the green of Lab (50, -60, 50): nothing the plain formula would guess."""
    grid = np.tile(np.array([128, 128 - 60, 128 + 50], np.uint8), (16, 1))
    grid[0] = (255, 128, 128)
    ramp = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + grid.tobytes() + ramp * 3
    return icc(b"CMYK", {b"A2B0": lut, b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)})


def swapped_profile() -> bytes:
    """An RGB profile whose red and green primaries are exchanged."""

    def primary(*xyz: float) -> bytes:
        return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in xyz))

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256))
    red, green, blue = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)
    colourants = {b"rXYZ": primary(*green), b"gXYZ": primary(*red), b"bXYZ": primary(*blue)}
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return icc(b"RGB ", colourants | curves | {b"wtpt": primary(0.9642, 1.0, 0.8249)})


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
