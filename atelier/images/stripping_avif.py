"""An AVIF file's metadata, overwritten in place: offsets within the file stay true."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_KEPT = frozenset((b"ftyp", b"meta", b"mdat", b"moov"))
_META_KEPT = frozenset((b"hdlr", b"pitm", b"iloc", b"iinf", b"iprp", b"iref", b"idat", b"grpl", b"dinf"))
_TRACK = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl"))
_PICTURES = frozenset((b"av01", b"grid", b"iovl", b"iden", b"tmap", b"sato"))
"""Items that pixels are made of; all others are `Exif`, XMP (`mime`), or unknown."""
_BLANK = b"free"


@dataclass(frozen=True)
class _Box:
    """`data[start:end]` with its header, whose payload begins at `inner`."""

    name: bytes
    start: int
    inner: int
    end: int


@dataclass
class _Found:
    """Ranges of the file: of picture items, other items, data boxes, unknown boxes; and where names are overwritten."""

    pictures: list[tuple[int, int]] = field(default_factory=list)
    others: list[tuple[int, int]] = field(default_factory=list)
    holds: list[tuple[int, int]] = field(default_factory=list)
    dropped: list[tuple[int, int]] = field(default_factory=list)
    renamed: list[int] = field(default_factory=list)
    has_tracks: bool = False
    """Or items made of items: what lies in a data box is then not known by the items' ranges alone."""


def without_metadata(data: bytes) -> bytes:
    """The file, as long as before, with zeros for what is no picture's."""
    found = _Found()
    for box in _boxes(data, 0, len(data)):
        if box.name == b"mdat":
            found.holds.append((box.inner, box.end))
        elif box.name == b"meta":
            _look_at_meta(data, box, found)
        elif box.name == b"moov":
            found.has_tracks = True
            _look_at_track(data, box, found)
        elif box.name not in _KEPT:
            _drop(box, found)
    stripped = bytearray(data)
    for start, end in found.holds:
        if not found.has_tracks:
            stripped[start:end] = bytes(end - start)
    for start, end in found.others:
        for first, last in found.holds:  # elsewhere is what the file is read by, and no item has business
            first, last = max(first, start), min(last, end)
            stripped[first:last] = bytes(max(0, last - first))
    for start, end in found.dropped:
        stripped[start:end] = bytes(end - start)
    for at in found.renamed:
        stripped[at : at + 4] = _BLANK
    for start, end in found.pictures:
        stripped[start:end] = data[start:end]
    return bytes(stripped)


def _drop(box: _Box, found: _Found) -> None:
    found.renamed.append(box.start + 4)
    found.dropped.append((box.inner, box.end))


def _look_at_track(data: bytes, box: _Box, found: _Found) -> None:
    for inner in _boxes(data, box.inner, box.end):
        if inner.name in _TRACK:
            _look_at_track(data, inner, found)
        elif inner.name == b"meta":
            _look_at_meta(data, inner, found)
        elif inner.name in (b"udta", b"uuid"):
            _drop(inner, found)


def _look_at_meta(data: bytes, meta: _Box, found: _Found) -> None:
    boxes = {box.name: box for box in _boxes(data, meta.inner + 4, meta.end)}
    for box in _boxes(data, meta.inner + 4, meta.end):
        if box.name not in _META_KEPT:
            _drop(box, found)
    idat = boxes.get(b"idat")
    if idat is not None:
        found.holds.append((idat.inner, idat.end))
    pictures: set[int] = set()
    if (info := boxes.get(b"iinf")) is not None:
        is_long = data[info.inner : info.inner + 1] != b"\0"
        for entry in _boxes(data, info.inner + (8 if is_long else 6), info.end):
            version = data[entry.inner] if entry.inner < entry.end else 0
            if entry.name != b"infe" or version < 2:
                continue
            width = 2 if version == 2 else 4
            item = int.from_bytes(data[entry.inner + 4 : entry.inner + 4 + width], "big")
            at = entry.inner + 4 + width + 2
            if data[at : at + 4] in _PICTURES:
                pictures.add(item)
            elif at + 4 <= entry.end:
                found.renamed.append(at)
    if (places := boxes.get(b"iloc")) is not None:
        for item, method, start, end in _extents(data[places.inner : places.end]):
            ranges = found.pictures if item in pictures else found.others
            if method == 0:
                ranges.append((min(start, len(data)), min(end or len(data), len(data))))
            elif method == 1 and idat is not None:
                ranges.append((min(idat.inner + start, idat.end), min(idat.inner + end, idat.end) if end else idat.end))
            else:
                found.has_tracks = True


def _extents(iloc: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Item, construction method, start and end (0: all there is) of each extent; ends where the box is damaged."""
    at = 0

    def number(size: int) -> int:
        nonlocal at
        value = int.from_bytes(iloc[at : at + size], "big")
        at += size
        return value

    version = number(1)
    at += 3
    sizes = number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 4 if version == 2 else 2
    for _ in range(number(wide)):
        item = number(wide)
        method = number(2) & 15 if version in (1, 2) else 0
        at += 2  # which file: this
        base = number(base_size)
        for _ in range(number(2)):
            at += index_size if version in (1, 2) else 0
            start = base + number(offset_size)
            length = number(length_size)
            if at > len(iloc):
                return
            yield item, method, start, start + length if length else 0
        if at > len(iloc):
            return


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    while start + 8 <= end:
        length, name = struct.unpack_from(">I4s", data, start)
        inner = start + 8
        if length == 1:
            length = int.from_bytes(data[inner : inner + 8], "big")
            inner += 8
        stop = end if length == 0 else min(end, start + length)
        if stop < inner:
            return
        yield _Box(name, start, inner, stop)
        start = stop
