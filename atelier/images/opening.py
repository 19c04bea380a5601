"""Opening the bytes of a stranger's picture: what is allowed, and which code says why something is not."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

from PIL import Image, ImageFile, UnidentifiedImageError

from atelier.errors import RowError

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")
"""What is decoded. Every further decoder is one more way in for a hostile file."""

PICTURE_CODES = ("picture_empty", "picture_format", "picture_too_large", "picture_truncated", "picture_unreadable")

# What Pillow's readers are known to raise on broken files, beside OSError.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)

_FOREIGN = (
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"%PDF", "PDF"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
)
_HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


@contextmanager
def opened(
    data: bytes, *, what: str, formats: Sequence[str], max_pixels: int, max_bytes: int
) -> Iterator[ImageFile.ImageFile]:
    """A picture whose header is read and found acceptable; nothing is decoded yet.

    What goes wrong inside the `with` block while Pillow decodes it is told as a `RowError` too.

    Args:
        data: the file.
        what: how messages call it, such as `picture` or `label map`.
        formats: Pillow's names of the formats allowed.
        max_pixels: more pixels in the header are refused before memory is taken for them.
        max_bytes: a longer file is refused.
    """
    if not data:
        raise RowError("picture_empty", f"the {what} file holds 0 bytes; must be a {_either(formats)} file")
    if len(data) > max_bytes:
        raise RowError("picture_too_large", f"the {what} file holds {len(data):,} bytes; must be at most {max_bytes:,}")
    kind = kind_of(data)
    if kind not in formats:
        raise RowError("picture_format", f"the {what} file is {kind or _seen(data)}; must be {_either(formats)}")
    try:
        with _open(data, kind) as image:
            if image.width * image.height > max_pixels:
                raise RowError(
                    "picture_too_large",
                    f"the {what} has {image.width}x{image.height} pixels; must be at most {max_pixels:,} in all",
                )
            # A phone's JPEG may carry further pictures behind the first (MPO); that is no animation.
            if getattr(image, "is_animated", False) and image.format != "MPO":
                frames = getattr(image, "n_frames", "several")
                raise RowError("picture_format", f"the {what} is animated ({frames} frames); must be one still picture")
            yield image
    except Image.DecompressionBombError as error:
        stated = re.search(r"\d+", str(error))
        pixels = f"{int(stated[0]):,}" if stated else "far more"
        raise RowError(
            "picture_too_large", f"the {what} claims {pixels} pixels; must be at most {max_pixels:,}"
        ) from error
    except _BROKEN as error:
        if _is_cut_off(data, kind):
            raise RowError(
                "picture_truncated", f"the {what} file ({kind}, {len(data)} bytes) ends too early; upload it whole"
            ) from error
        part = "header" if isinstance(error, UnidentifiedImageError) else "data"
        raise RowError(
            "picture_unreadable",
            f"the {what} file ({kind}, {len(data)} bytes) is damaged: its {part} cannot be read; must be whole",
        ) from error


def _open(data: bytes, kind: str) -> ImageFile.ImageFile:
    with warnings.catch_warnings():
        # Pillow warns where its own limit is passed; ours is told as an error.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(BytesIO(data), formats=[kind])


def kind_of(data: bytes) -> str:
    """The format by its first bytes, `""` if unknown. A file's name and declared type are not to be trusted."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        brands = data[8 : min(64, int.from_bytes(data[:4], "big"))]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        if data[8:12] in _HEIF:
            return "HEIF"
    return next((name for signature, name in _FOREIGN if data.startswith(signature)), "")


def _seen(data: bytes) -> str:
    if data.lstrip()[:1] == b"<":
        return "a web page or other markup, such as an error page saved under a picture's name"
    # Its contents are not quoted: an address may name a file that is nobody's business.
    beginning = data[:16].decode("ascii", "replace")
    return "text" if beginning.isprintable() and beginning.isascii() else "no picture of a known format"


def _is_cut_off(data: bytes, kind: str) -> bool:
    if kind == "JPEG":
        return not data.rstrip(b"\0\r\n").endswith(b"\xff\xd9")
    if kind == "PNG":
        return b"IEND" not in data[-32:]
    if kind == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    at = 0
    while at + 8 <= len(data):  # AVIF: a row of boxes, each with its length in front
        length = int.from_bytes(data[at : at + 4], "big")
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        if length < 8:
            return False
        at += length
    return at != len(data)


def _either(formats: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(formats[:-1]), formats[-1])))
