"""Taking off what a picture file says beside its picture: where and when it was taken, by what, and its thumbnail.

The compressed pixels stay as they are, bit for bit, with all that decides how they decode: colour profile, palette,
transparency, and which side is up. No kept library does this for JPEG, PNG, WebP and AVIF without encoding again, which
would lose quality, or make a photograph several times its size. What is kept is listed, so that what a list does not
know is gone.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO

from PIL import Image

from atelier.errors import RowError
from atelier.images.decode import MAX_BYTES, MAX_PIXELS, ORIENTATION, decode_picture, orientation
from atelier.images.opening import FORMATS, kind_of, opened
from atelier.images.stripping_avif import without_metadata

_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_END = b"\xff\xd9"
_RESTARTS = range(0xD0, 0xD8)
"""JPEG markers that stand alone, within a scan."""
_FIRST, _EOI, _SOS, _APP0, _APP2, _APP14, _APP15, _COM = 0xC0, 0xD9, 0xDA, 0xE0, 0xE2, 0xEE, 0xEF, 0xFE

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD = len(_PNG_START) + 25
"""Where the first chunk, the header, ends."""
_PNG_KEPT = frozenset(b"IHDR PLTE tRNS IDAT IEND iCCP sRGB gAMA cHRM cICP mDCV cLLI sBIT bKGD acTL fcTL fdAT".split())
_WEBP_KEPT = (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ICCP", b"ANIM", b"ANMF")
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04
"""Flags of a VP8X chunk."""


def strip_metadata(data: bytes) -> bytes:
    """A picture file without EXIF, XMP, IPTC, comments, thumbnails, further pictures, and whatever follows its end.

    `decode_picture`, `decode_mask` and `decode_labels` give the same of it as of the file itself, wherever they give
    something. An EXIF block that holds the orientation alone stays where the picture would otherwise lie on its side. A
    damaged JPEG that decodes nevertheless becomes a PNG.

    Args:
        data: the file; what is no JPEG, PNG, WebP or AVIF is given back as it is.

    Sources: ITU-T T.81 annex B, JFIF 1.02; PNG, third edition, section 5; RFC 9649; ISO/IEC 14496-12 and 23008-12.
    """
    kind = kind_of(data)
    if kind not in _STRIPPED:
        return data
    bare = _STRIPPED[kind](data)
    if bare == data or kind == "AVIF" or kind_of(bare) != kind:
        return bare  # an AVIF's turn is a property of its picture, whatever its EXIF says
    turned = _orientation(data, kind)
    return bare if turned == 1 else _turned(bare, kind, turned)


def _orientation(data: bytes, kind: str) -> int:
    with (
        suppress(RowError),  # nobody will see it
        opened(data, what="picture", formats=FORMATS, max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES) as image,
    ):
        if kind == "PNG":
            image.load()  # it may be told behind the pixels
        return orientation(image)
    return 1


def _turned(bare: bytes, kind: str, turned: int) -> bytes:
    """A file without metadata, with an EXIF block that has one tag, the orientation: one short."""
    block = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, ORIENTATION, 3, 1, turned, 0, 0)
    if kind == "JPEG":
        return bare[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block + bare[2:]
    if kind == "PNG":
        named = b"eXIf" + block
        chunk = struct.pack(">I", len(block)) + named + struct.pack(">I", zlib.crc32(named))
        return bare[:_PNG_HEAD] + chunk + bare[_PNG_HEAD:]
    size = int.from_bytes(bare[4:8], "little") + 8 + len(block)  # a WebP's block is found with a VP8X chunk alone
    head = bare[:4] + struct.pack("<I", size) + bare[8:20] + bytes((bare[20] | _WEBP_EXIF,))
    return head + bare[21:] + struct.pack("<4sI", b"EXIF", len(block)) + block


def _jpeg(data: bytes) -> bytes:
    kept = [data[:2]]
    at = 2
    is_scan = has_scans = False
    while found := _MARKER.search(data, at):
        if is_scan:
            kept.append(data[at : found.start()])
        elif found.start() != at:
            break
        marker, at = found[1][0], found.end()
        head = bytes((0xFF, marker))
        if marker == _EOI and has_scans:
            return b"".join((*kept, head))
        if is_scan and marker in _RESTARTS:
            kept.append(head)
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        segment, at = data[at : at + length], at + length
        told = _jpeg_segment(marker, segment[2:])
        if length < 2 or at > len(data) or marker < _FIRST or (has_scans and told != segment[2:]):
            break
        is_scan = marker == _SOS
        has_scans |= is_scan
        if told is not None:
            kept.append(head + struct.pack(">H", len(told) + 2) + told)
    return _damaged_jpeg(data, b"".join((*kept, data[at:] if is_scan else b"")))


def _damaged_jpeg(data: bytes, begun: bytes) -> bytes:
    """As PNG, upright, where it decodes at all: how much decoders make of it depends on every byte."""
    try:
        picture = decode_picture(data)
    except RowError as refused:  # as what is kept will be
        return begun if refused.code == "picture_truncated" else begun + _END
    file = BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _jpeg_segment(marker: int, payload: bytes) -> bytes | None:
    """What stays of a segment; None where nothing does."""
    if marker == _APP0 and payload.startswith(b"JFIF\0") and len(payload) >= 14:
        return payload[:12] + b"\0\0"  # its thumbnail's sides
    if marker == _APP14 and payload.startswith(b"Adobe"):
        return payload[:12]  # the last says how colours are coded
    if marker == _APP2 and payload.startswith(b"ICC_PROFILE\0"):
        return payload
    return None if _APP0 <= marker <= _APP15 or marker == _COM else payload


def _png(data: bytes) -> bytes:
    kept = [_PNG_START]
    at = len(_PNG_START)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        chunk, at = data[at : at + length + 12], at + length + 12
        if name not in _PNG_KEPT:
            continue
        kept.append(chunk)
        if name == b"IEND":
            break
    return b"".join(kept)


def _webp(data: bytes) -> bytes:
    end = 8 + int.from_bytes(data[4:8], "little")
    kept: list[bytes] = []
    at, num_missing = 12, max(0, end - len(data))
    while at + 8 <= min(end, len(data)):
        name, length = struct.unpack_from("<4sI", data, at)
        chunk, at = data[at : min(end, at + 8 + length + length % 2)], at + 8 + length + length % 2
        if name == b"VP8X" and len(chunk) > 8:
            chunk = chunk[:8] + bytes((chunk[8] & ~(_WEBP_EXIF | _WEBP_XMP),)) + chunk[9:]
        if name in _WEBP_KEPT:
            kept.append(chunk)
    body = b"WEBP" + b"".join(kept)
    # A file that is cut off stays one, for its message's sake.
    return b"RIFF" + struct.pack("<I", min(0xFFFFFFFF, len(body) + num_missing)) + body


_STRIPPED: Mapping[str, Callable[[bytes], bytes]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "AVIF": without_metadata,
}
