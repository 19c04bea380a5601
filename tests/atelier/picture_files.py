"""Picture files of every kind, made in memory."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

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
