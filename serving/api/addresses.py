"""Reading an address on a caller's behalf without becoming the caller's hand in the house.

A scheme must be on the list; a name is resolved once, every answer must be public, and what was checked is what is
dialled; a redirect is checked as the address was; size and time end. No proxy of the environment is asked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore

from atelier import storage
from atelier.errors import NotFound, StorageError, TooLarge
from serving.api.problems import Problem
from serving.settings import Fetching

_REDIRECTS = (301, 302, 303, 307, 308)
_PREFIXED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2002::/16"))
"""IPv6 that leads to an IPv4 address inside it: NAT64 and 6to4."""

_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/3"),
        "168.63.129.16/32",  # public by its number: what Azure's machines are told of themselves
        *("2001::/23", "2001:db8::/32", "3fff::/20"),
    )
)
"""What no caller may name: IANA's special-purpose registries, for Python knows them each release a little differently;
192.0.0.192 is a cloud's metadata.
"""
_UNICAST = ipaddress.ip_network("2000::/3")
"""All that IPv6 has given out."""

_HEADERS = [(b"Accept", b"*/*"), (b"Accept-Encoding", b"identity")]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Addresses:
    """Reads what callers point at.

    Args:
        fetching: which addresses, and for how long. max_bytes: of one file.
    """

    def __init__(self, fetching: Fetching, *, max_bytes: int) -> None:
        self._fetching, self._max_bytes = fetching, max_bytes
        self._backend = GuardedBackend(fetching.allowed_networks)

    async def get(self, name: str, address: str) -> bytes:
        """The content at an address.

        Args:
            name: of the input, for messages.

        Raises:
            Problem: `address_refused`, `address_unreachable`, `object_missing`, `object_too_large`.
        """
        scheme, colon, rest = address.partition("://")
        address = scheme.lower() + colon + rest  # a scheme may be written either way; the store's keys may not
        try:
            async with asyncio.timeout(self._fetching.timeout_s):
                if storage.is_s3(address):
                    # A thread cannot be ended: it goes on until the store's own timeouts, and nobody hears of it.
                    return await asyncio.to_thread(self._get_s3, name, address)
                return await self._get_web(name, address)
        except TimeoutError:
            detail = f"{name}: its address did not answer within {self._fetching.timeout_s:g} s"
            raise Problem("address_unreachable", detail) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            detail = f"{name}: its address cannot be read: {_why(error)}"
            raise Problem("address_unreachable", detail) from error

    async def vet(self, name: str, address: str) -> None:
        """Refuses an address that `post` would refuse now, without a packet to it.

        Raises:
            Problem: `address_refused`, `address_unreachable` (its name is not known).
        """
        self._check(name, address)
        parts = urlsplit(address)
        try:
            await self._backend.resolve(parts.hostname or "", parts.port or 0)
        except NotPublic as error:
            raise Problem("address_refused", f"{name}: {error}") from error
        except OSError as error:
            raise Problem("address_unreachable", f"{name}: the name of its host is not known") from error

    async def post(self, name: str, address: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status that an address answers a body with. A redirect is a status like any other, and is not followed.

        Raises:
            Problem: `address_refused`, `address_unreachable`.
        """
        self._check(name, address)
        sent = [(key.encode(), value.encode()) for key, value in headers.items()]
        try:
            async with (
                asyncio.timeout(self._fetching.timeout_s),
                httpcore.AsyncConnectionPool(network_backend=self._backend, retries=0) as pool,
                pool.stream("POST", address, headers=sent, content=body) as response,
            ):
                return response.status  # what else it says is not read
        except NotPublic as error:
            raise Problem("address_refused", f"{name}: {error}") from error
        except TimeoutError:
            raise Problem("address_unreachable", f"{name}: its address did not answer in time") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            detail = f"{name}: its address cannot be reached: {_why(error)}"
            raise Problem("address_unreachable", detail) from error

    async def _get_web(self, name: str, address: str) -> bytes:
        for _ in range(self._fetching.max_redirects + 1):
            self._check(name, address)
            # A pool for one request: a connection that outlived it would outlive its check.
            async with httpcore.AsyncConnectionPool(network_backend=self._backend, retries=0) as pool:
                try:
                    request = pool.stream("GET", address, headers=_HEADERS)
                    async with request as response:
                        if response.status not in _REDIRECTS:
                            return await self._body(name, response)
                        address = urljoin(address, _header(response, b"location"))
                except NotPublic as error:
                    raise Problem("address_refused", f"{name}: {error}") from error
        raise Problem("address_unreachable", f"{name}: redirects more than {self._fetching.max_redirects} times")

    def _check(self, name: str, address: str) -> None:
        try:
            parts = urlsplit(address)
            host, _port = parts.hostname, parts.port
        except ValueError as error:
            detail = f"{name}: its address is no URL; must be like https://HOST/PATH, with a port of 1 to 65535 if any"
            raise Problem("address_refused", detail) from error
        if parts.scheme not in self._fetching.schemes:
            allowed = ", ".join(f"{scheme}://" for scheme in self._fetching.schemes) or "no web address"
            raise Problem("address_refused", f"{name}: the scheme {parts.scheme!r} is not taken; must be {allowed}")
        if not host or parts.username is not None or parts.password is not None:
            raise Problem("address_refused", f"{name}: its address must name a host, and no user or password")
        if not address.isascii() or not address.isprintable() or " " in address:
            raise Problem("address_refused", f"{name}: its address must be printable ASCII; percent-encode the rest")

    async def _body(self, name: str, response: httpcore.Response) -> bytes:
        if response.status in (404, 410):
            raise Problem("object_missing", f"{name}: nothing lies at its address (status {response.status})")
        if response.status != 200:
            raise Problem("address_unreachable", f"{name}: its address answered with status {response.status}")
        if _header(response, b"content-encoding") not in ("", "identity"):
            raise Problem("address_unreachable", f"{name}: its address answered compressed, which was not asked for")
        content = bytearray()
        async for chunk in response.aiter_stream():
            content += chunk
            if len(content) > self._max_bytes:
                raise Problem("object_too_large", f"{name}: is longer than {self._max_bytes:,} bytes")
        return bytes(content)

    def _get_s3(self, name: str, address: str) -> bytes:
        for prefix in self._fetching.s3_prefixes:
            try:
                allowed = storage.join(prefix, address, root=prefix)
            except StorageError:
                continue
            try:
                return storage.get(allowed, max_bytes=self._max_bytes)
            except NotFound as error:
                raise Problem("object_missing", f"{name}: nothing lies at its address") from error
            except TooLarge as error:
                raise Problem("object_too_large", f"{name}: is longer than {self._max_bytes:,} bytes") from error
            except StorageError as error:
                # The store's own words may tell about credentials that are not the caller's.
                raise Problem("address_unreachable", f"{name}: the store did not give it", status=502) from error
        raise Problem("address_refused", f"{name}: this s3:// address is not among those that callers may name")


class NotPublic(Exception):
    """A host that leads to an address which is not public. The message does not say which: that is the house's."""


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Dials only addresses that were looked at, each by the number that was looked at."""

    def __init__(self, allowed_networks: Iterable[str] = ()) -> None:
        self._allowed = [ipaddress.ip_network(network) for network in allowed_networks]
        self._dialler: Any = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to a host that is public, by the number it was found under.

        Raises:
            NotPublic: one of its addresses is not.
        """
        numbers = await self.resolve(host, port)
        error: Exception | None = None
        for number in numbers:
            try:
                return await self._dialler.connect_tcp(number, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
        raise error or httpcore.ConnectError("the host has no address")

    async def resolve(self, host: str, port: int) -> list[str]:
        """The numbers of a host, all of them public.

        Raises:
            NotPublic: one of them is not. OSError: it has none, or is no name.
        """
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:  # of a name with an empty part, or one of more than 63 characters
            raise socket.gaierror(socket.EAI_NONAME, "no name of a host") from error
        numbers = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not all(self.allows(number) for number in numbers):
            raise NotPublic("its address leads to a host that is not public")
        return numbers

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Any = None
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise NotPublic("its address leads to a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def allows(self, number: str) -> bool:
        """Whether an address may be dialled."""
        address = _meant(ipaddress.ip_address(number.partition("%")[0]))
        if any(address.version == network.version and address in network for network in self._allowed):
            return True
        if address.version == 6 and address not in _UNICAST:
            return False
        return address.is_global and not any(address in network for network in _REFUSED)


def _meant(address: _Address) -> _Address:
    """The IPv4 address inside an IPv6 one, where it leads there."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _PREFIXED[0]:
        return ipaddress.IPv4Address(address.packed[12:])
    if address in _PREFIXED[1]:
        return ipaddress.IPv4Address(address.packed[2:6])
    return address


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")


def _why(error: Exception) -> str:
    """In words; an error's own may tell more of this network than a caller should know."""
    if isinstance(error, socket.gaierror):
        return "the name of its host is not known"
    if isinstance(error, httpcore.ProtocolError):
        return "its host does not speak HTTP as it should"
    if isinstance(error, TimeoutError | httpcore.TimeoutException):
        return "its host did not answer in time"
    return "its host refused the connection, or broke it off"
