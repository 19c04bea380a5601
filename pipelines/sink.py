"""The sink: where pictures lie below an output, what is stored already, and storing what was made."""

from __future__ import annotations

import errno
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from atelier import storage
from atelier.errors import AccessDenied, NotFound, PreconditionFailed, RowError, StorageError
from atelier.images import MEDIA_TYPES, SUFFIXES, PictureFormat, SourceType, encode_picture
from pipelines.said import KEYWORD, Said

NOTHING, MASTER, PICTURE = 0, 1, 2
"""What the store held of a row before its picture was made: column `stored`, uint8."""

_HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EEXIST, errno.ENOTDIR)
"""A full or read-only disk, and a file where the output's folders should be: the next row would fare no better."""
_THREADS = 8


def master_path(picture_key: str) -> str:
    """Where the lossless picture of a key lies, relative to the output."""
    return f"masters/{picture_key[:2]}/{picture_key}.png"


def picture_path(rendition_key: str, format: PictureFormat) -> str:
    """Where the encoded picture of a key lies, relative to the output."""
    return f"pictures/{rendition_key[:2]}/{rendition_key}{SUFFIXES[format]}"


@dataclass(frozen=True, kw_only=True)
class Sink:
    """Stores pictures by their keys; only addresses, so it crosses to any process.

    Args:
        output: address of the output.
        format: of the encoded pictures. source_type: the mark of the lossless ones; the encoded bring theirs.
        keep_masters: store the lossless picture as well.
    """

    output: str
    format: PictureFormat
    source_type: SourceType
    keep_masters: bool

    def stored(self, picture_keys: Sequence[str], rendition_keys: Sequence[str]) -> list[int]:
        """Of each row: `PICTURE` where its very rendition is stored, `MASTER` where its lossless picture is."""

        def look(keys: tuple[str, str]) -> int:
            picture, rendition = keys
            if storage.exists(self._address(picture_path(rendition, self.format))):
                return PICTURE
            return MASTER if storage.exists(self._address(master_path(picture))) else NOTHING

        with ThreadPoolExecutor(_THREADS) as threads:
            return list(threads.map(look, zip(picture_keys, rendition_keys, strict=True)))

    def master(self, picture_key: str) -> tuple[np.ndarray, Said]:
        """A stored lossless picture, uint8 RGB [H, W, 3], and what was said when it was made."""
        address = self._address(master_path(picture_key))
        try:
            with Image.open(io.BytesIO(storage.get(address))) as picture:
                return np.asarray(picture.convert("RGB")), Said.read(str(picture.info.get(KEYWORD, "")))
        except (OSError, StorageError) as error:
            raise RowError(
                "master_unreadable", f"{address}: {error}; delete it to make it anew", rejected=False
            ) from error

    def said(self, picture_keys: Sequence[str]) -> list[Said]:
        """What was said of stored pictures when they were made; empty where no master tells it."""

        def look(picture_key: str) -> Said:
            try:
                with Image.open(io.BytesIO(storage.get(self._address(master_path(picture_key))))) as picture:
                    return Said.read(str(picture.info.get(KEYWORD, "")))
            except (OSError, StorageError):
                return Said()

        if not self.keep_masters:
            return [Said()] * len(picture_keys)
        with ThreadPoolExecutor(_THREADS) as threads:
            return list(threads.map(look, picture_keys))

    def store(self, rows: Sequence[Mapping[str, Any]]) -> list[RowError | None]:
        """Puts the pictures of rows, and gives who failed and why.

        Args:
            rows: with `picture_key`, `rendition_key`, `stored`, `image` (uint8 RGB), `picture` (bytes) and `said`.

        Raises:
            StorageError: the store takes nothing from anybody: it is full, refuses the credentials or is not there.
        """
        with ThreadPoolExecutor(_THREADS) as threads:
            return list(threads.map(self._store, rows))

    def _store(self, row: Mapping[str, Any]) -> RowError | None:
        try:
            # The master first: a picture without it would never be found by another rendition.
            if self.keep_masters and row["stored"] == NOTHING:
                # Level 1 of PNG: time counts here, and a few percent of size don't.
                texts = {KEYWORD: row["said"].to_text()}
                master = encode_picture(
                    row["image"], source_type=self.source_type, format="png", png_level=1, png_texts=texts
                )
                self._put(master_path(row["picture_key"]), master, MEDIA_TYPES["png"])
            self._put(picture_path(row["rendition_key"], self.format), row["picture"], MEDIA_TYPES[self.format])
        except StorageError as error:
            if _concerns_all(error):
                raise
            return RowError("storage_unavailable", str(error), rejected=False)
        return None

    def _put(self, path: str, content: bytes, content_type: str) -> None:
        try:
            storage.put(self._address(path), content, if_absent=True, content_type=content_type)
        except PreconditionFailed:
            # The same work done on another kind of device may differ by a grey level: what readers have seen stays.
            return

    def _address(self, path: str) -> str:
        return f"{self.output}/{path}"


def _concerns_all(error: StorageError) -> bool:
    cause = error.__cause__
    hopeless = isinstance(cause, OSError) and cause.errno in _HOPELESS
    return hopeless or isinstance(error, NotFound | AccessDenied)
