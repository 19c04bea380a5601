"""Where a command is to write, looked at before it begins: argparse types, which refuse with exit status 2."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from atelier import storage
from atelier.errors import StorageError


def folder(text: str) -> str:
    """A folder that is there or can be made, or an `s3://` prefix, as it was typed."""
    _refuse_empty(text, "a folder or an s3:// prefix")
    if not _is_s3(text):
        local_folder(text)
    return text


def local_folder(text: str) -> Path:
    """A folder of this computer, which is there or can be made; looked at, and not made yet."""
    _refuse_empty(text, "a folder of this computer")
    if storage.is_s3(text):
        raise argparse.ArgumentTypeError(f"{text}: must be a folder of this computer")
    path = Path(text)
    if _is(path) and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is a file, must be a folder")
    _check_room(text, path)
    return path


def file(text: str) -> str:
    """A file that is there or can be made, or an `s3://` address, as it was typed."""
    _refuse_empty(text, "a file or an s3:// address")
    if _is_s3(text):
        return text
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is a folder, must be a file")
    _check_room(text, path.parent)
    return text


def _refuse_empty(text: str, what: str) -> None:
    # An unset variable of a shell: as a path it would be the folder in which the command is typed.
    if not text:
        raise argparse.ArgumentTypeError(f"is '', must be {what}")


def _is_s3(text: str) -> bool:
    try:
        return storage.is_s3(storage.resolve(text))
    except StorageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _check_room(text: str, wanted: Path) -> None:
    """Refuses a folder that cannot be made or written into: something is written into what there is of it, and gone."""
    there = next(path for path in (wanted, *wanted.absolute().parents) if _is(path))
    if not there.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: {there} is a file, must be a folder")
    try:
        # Rights alone do not tell: root has them all, and /proc or a read-only disk takes nothing from root either.
        with tempfile.TemporaryDirectory(prefix=".atelier-", dir=there):
            pass
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: nothing can be written into {there} ({error.strerror})") from error


def _is(path: Path) -> bool:
    try:
        path.lstat()
    except OSError:
        return False
    return True
