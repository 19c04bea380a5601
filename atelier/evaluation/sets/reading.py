"""Pictures on their way into a score: fetched, decoded, sized, held against the size they must have."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from atelier import storage
from atelier.errors import MismatchError, RowError
from atelier.evaluation.sets.pairing import Pair
from atelier.evaluation.sets.protocol import Protocol
from atelier.evaluation.sets.resizing import Resize
from atelier.evaluation.sets.similarity import psnr, ssim
from atelier.images import decode_picture

_NONE = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True, kw_only=True)
class ReadPicture:
    """A picture uint8 [H, W, 3] with its file's sha256; or what is wrong with it, and no picture."""

    name: str
    sha256: str
    picture: np.ndarray
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class ReadPair:
    """Two pictures of one size and what a pair's own pixels say; NaN where either has a problem."""

    pair: Pair
    made: ReadPicture
    truth: ReadPicture
    ssim: float = float("nan")
    psnr: float = float("nan")


def read_picture(name: str, address: str, *, size: tuple[int, int] | None, resize: Resize | None = None) -> ReadPicture:
    """Fetches and decodes one picture.

    Args:
        name: what to call it.
        address: where it lies.
        size: (height, width) that it must have, after the resizing; None takes any.
        resize: how it is brought there.

    Raises:
        StorageError: nothing lies there, or it cannot be read.
    """
    data = storage.get(address)
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        picture = decode_picture(data)
    except RowError as error:
        return ReadPicture(name=name, sha256=sha256, picture=_NONE, problem=f"{name} ({error.detail})")
    if resize is not None:
        if not resize.keeps_aspect((picture.shape[0], picture.shape[1])):
            problem = f"{name} ({picture.shape[0]}x{picture.shape[1]}, another aspect)"
            return ReadPicture(name=name, sha256=sha256, picture=_NONE, problem=problem)
        picture = resize.bytes(picture)
    height, width = picture.shape[:2]
    if size is not None and (height, width) != size:
        return ReadPicture(name=name, sha256=sha256, picture=_NONE, problem=f"{name} ({height}x{width})")
    return ReadPicture(name=name, sha256=sha256, picture=picture)


def read_pair(pair: Pair, *, protocol: Protocol, size: tuple[int, int], scored: bool) -> ReadPair:
    """Both pictures of a pair, and their SSIM and PSNR if it is `scored`."""
    made = read_picture(pair.name, pair.made, size=size)
    truth = read_picture(pair.true_name, pair.truth, size=size, resize=protocol.truth_resize)
    if made.problem or truth.problem or not scored:
        return ReadPair(pair=pair, made=made, truth=truth)
    return ReadPair(
        pair=pair,
        made=made,
        truth=truth,
        ssim=ssim(made.picture, truth.picture, protocol.ssim),
        psnr=psnr(made.picture, truth.picture),
    )


class Problems:
    """Pictures that cannot be judged, by their set; once there is one, nothing is scored any more."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self._by_set: dict[str, dict[str, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_set)

    def note(self, address: str, row: ReadPicture) -> None:
        """Keeps a picture's problem, if it has one."""
        if row.problem:
            # A set that is held against itself is read twice.
            self._by_set.setdefault(address, {})[row.problem] = None

    def refuse(self) -> None:
        """Raises what was noted.

        Raises:
            MismatchError: of the first set that has problems; lists its pictures.
        """
        height, width = self.size
        for address, names in self._by_set.items():
            of = "1 picture cannot be read or is" if len(names) == 1 else f"{len(names)} pictures cannot be read or are"
            raise MismatchError(f"{address}: {of} not {height}x{width}", list(names))
