"""The lists and annotations of a layout, as text."""

from __future__ import annotations

from atelier import storage
from atelier.errors import CatalogError, NotFound


def read_text(address: str, *, root: str, layout: str) -> str:
    """A file of a layout, UTF-8 with or without a byte order mark.

    Args:
        root: of the folder that should have the layout. layout: its name, for a person.

    Raises:
        CatalogError: the file is absent, or another encoding's.
    """
    try:
        return storage.get(address).decode("utf-8-sig")
    except NotFound as error:
        raise CatalogError(f"{root}: not a {layout} folder: {address} is absent") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        found = f"the byte 0x{error.object[error.start]:02x}"
        raise CatalogError(f"{address}, line {line}: holds {found}; must be UTF-8 text") from error
