"""Version tokens of very many addresses for few requests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from atelier.errors import AccessDenied, NotFound
from atelier.storage.addresses import is_s3, name, parent
from atelier.storage.local import LocalStore
from atelier.storage.s3 import S3Store
from atelier.storage.store import Entry

_THREADS = 16
# One listed page takes about as long as this many HEADs by `_THREADS` threads.
_HEADS_A_PAGE = 64


class TokenIndex:
    """Looks up the tokens that a plan compares, without a request for each object.

    Many addresses of one S3 folder are answered by listing the folder once, few by a HEAD each; a folder that holds
    far more than is asked for is not listed to its end. On local disk each address is one `stat`. Memory: at most
    80 bytes for each listed object. For one thread.

    Args:
        expected: how many addresses will be asked for altogether; the first answer then already knows whether listing
            pays. Unknown: it is found out on the way, at up to twice the requests.
    """

    def __init__(self, *, expected: int = 0) -> None:
        self._expected = expected
        self._listings: dict[str, Listing] = {}
        self._local, self._s3 = LocalStore(), S3Store()

    def tokens(self, addresses: Sequence[str]) -> list[str | None]:
        """The token of each address, in order; `None` where nothing can be read (missing, or refused).

        Such a row goes on into the run, where `fetch` gives its reason. A store that does not answer raises.
        """
        found: dict[str, str | None] = {}
        unknown: list[str] = []
        for folder, members in _by_folder(dict.fromkeys(addresses)).items():
            if folder is None:
                unknown += members
                continue
            listing = self._listings.get(folder)
            if listing is None:
                listing = self._listings[folder] = Listing(self._s3.pages(folder, recursive=False))
            share = len(members) / len(addresses)
            listing.asked += len(members)
            listing.read_to(int(max(listing.asked, share * self._expected)) // _HEADS_A_PAGE)
            listed = listing.tokens([name(address) for address in members])
            found.update(zip(members, listed, strict=True))
            if not listing.whole:
                unknown += [address for address, token in zip(members, listed, strict=True) if token is None]
        found.update((address, _head(self._local, address)) for address in unknown if not is_s3(address))
        remote = [address for address in unknown if is_s3(address)]
        if remote:
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="atelier-head") as threads:
                found.update(zip(remote, threads.map(lambda address: _head(self._s3, address), remote), strict=True))
        return [found[address] for address in addresses]


class Listing:
    """The names and tokens of one S3 folder, as far as it has been listed, packed in two sorted arrays."""

    def __init__(self, pages: Iterator[tuple[Entry, ...]]) -> None:
        self.asked = 0
        self.whole = False
        self._pages = pages
        self._pages_read = 0
        self._forbidden = False
        self._names = np.zeros(0, np.uint64)
        self._tokens = np.zeros(0, "S1")

    @property
    def nbytes(self) -> int:
        """Memory held for what has been listed."""
        return self._names.nbytes + self._tokens.nbytes

    def read_to(self, pages: int) -> None:
        """Lists on to the given number of pages, or to the end."""
        names, tokens = [self._names], [self._tokens]
        while self._pages_read < pages and not (self.whole or self._forbidden):
            try:
                page = next(self._pages, None)
            except NotFound:  # no such bucket
                page = None
            except AccessDenied:  # listing may be forbidden where reading is not
                self._forbidden = True
                break
            if page is None:
                self.whole = True
            elif page:
                names.append(_digests([name(entry.address) for entry in page]))
                tokens.append(np.array([entry.token for entry in page], "S"))
            self._pages_read += 1
        if len(names) > 1:
            joined, values = np.concatenate(names), np.concatenate(tokens)
            order = np.argsort(joined)
            self._names, self._tokens = joined[order], values[order]

    def tokens(self, names: Sequence[str]) -> list[str | None]:
        """The tokens of names; `None` for what has not been listed."""
        if not len(self._names):
            return [None] * len(names)
        digests = _digests(names)
        places = np.minimum(np.searchsorted(self._names, digests), len(self._names) - 1)
        hits, values = self._names[places] == digests, self._tokens[places]
        return [value.decode() if hit else None for hit, value in zip(hits, values, strict=True)]


def _by_folder(addresses: dict[str, None]) -> dict[str | None, list[str]]:
    """Addresses by the S3 folder whose listing names them; `None` for those that no listing does."""
    folders: dict[str | None, list[str]] = {}
    for address in addresses:
        folder = parent(address) if is_s3(address) else None
        if folder is not None and f"{folder}/{name(address)}" != address:  # empty parts in its key
            folder = None
        folders.setdefault(folder, []).append(address)
    return folders


def _digests(names: Sequence[str]) -> np.ndarray:
    # 64 bits: among a million names some two are alike with probability 3e-8.
    return np.frombuffer(b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in names), np.uint64)


def _head(store: LocalStore | S3Store, address: str) -> str | None:
    try:
        return store.head(address).token
    except (NotFound, AccessDenied):
        return None
