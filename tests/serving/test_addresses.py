"""Addresses that callers name: what is not public is refused before a packet leaves, whatever it hides behind."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from serving.api.addresses import Addresses, GuardedBackend
from serving.api.problems import Problem
from serving.settings import Fetching

pytestmark = pytest.mark.anyio
LOOPBACK = ("127.0.0.0/8",)


class Shop(BaseHTTPRequestHandler):
    """A caller's server: answers, redirects, dawdles and goes on for ever."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to?"))
            self.end_headers()
        elif self.path == "/missing":
            self.send_error(404)
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            threading.Event().wait(3)
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"picture" if self.path == "/picture" else b"x" * 100_000)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[str]:
    """The address of a server on loopback."""
    Shop.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


_dialled: list[Any] = []
_watching = [False]


def _note(event: str, args: tuple[Any, ...]) -> None:
    if _watching[0] and event == "socket.connect":
        _dialled.append(args[1])


sys.addaudithook(_note)


@pytest.fixture
def dialled() -> Iterator[list[Any]]:
    """Every address that a socket was connected to meanwhile."""
    _dialled.clear()
    _watching[0] = True
    yield _dialled
    _watching[0] = False


def addresses(**changes: Any) -> Addresses:
    fetching = Fetching(**{"schemes": ("http", "https"), "timeout_s": 1.0} | changes)
    return Addresses(fetching, max_bytes=50_000)


async def refusal(addresses: Addresses, address: str) -> Problem:
    with pytest.raises(Problem) as refused:
        await addresses.get("person", address)
    return refused.value


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",  # the same as one number
        "http://0xa9fea9fe/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://127.0.0.1:22/",
        "http://localhost/",
        "http://[::1]/",
        "http://0.0.0.0/",
        "http://10.0.0.7/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://[fe80::1%25lo]/",
        "http://[fd00::1]/",
        "http://224.0.0.1/",
        "https://255.255.255.255/",
    ],
)
async def test_what_is_not_public_is_refused_and_not_dialled(address: str, dialled: list[Any]) -> None:
    problem = await refusal(addresses(), address)

    assert problem.code in ("address_refused", "address_unreachable")
    assert dialled == []
    assert "169.254" not in problem.detail and "127.0" not in problem.detail


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("file:///etc/passwd", "scheme 'file'"),
        ("gopher://example.com/", "scheme 'gopher'"),
        ("http:///nowhere", "must name a host"),
        ("http://user:secret@example.com/", "no user or password"),
        ("http://example.com/a b", "printable ASCII"),
        ("http://example.com/\r\nHost: inside", "printable ASCII"),
        ("http://[::1", "is no URL"),
        ("http://example.com:port/", "is no URL"),
        ("http://example.com:99999/", "a port of 1 to 65535"),
    ],
)
async def test_what_is_no_address_is_refused(address: str, said: str, dialled: list[Any]) -> None:
    problem = await refusal(addresses(), address)

    assert problem.code == "address_refused" and said in problem.detail
    assert dialled == []


@pytest.mark.parametrize("host", ["a..example", ".example", "..", "a" * 64 + ".example", "xn--.example"])
async def test_what_is_no_name_of_a_host_is_refused(host: str, dialled: list[Any]) -> None:
    problem = await refusal(addresses(), f"https://{host}/x")
    assert problem.code == "address_unreachable" and "name of its host" in problem.detail
    for ask in (
        addresses().vet("webhook.url", f"https://{host}/"),
        addresses().post("to", f"https://{host}/", b"", {}),
    ):
        with pytest.raises(Problem, match="name of its host is not known"):
            await ask
    assert dialled == []


async def test_only_schemes_on_the_list_are_read(shop: str) -> None:
    problem = await refusal(addresses(schemes=("https",), allowed_networks=LOOPBACK), f"{shop}/picture")

    assert problem.code == "address_refused" and Shop.asked == []


async def test_an_allowed_network_is_read(shop: str) -> None:
    assert await addresses(allowed_networks=LOOPBACK).get("person", f"{shop}/picture") == b"picture"


async def test_a_redirect_is_checked_like_the_address(shop: str, dialled: list[Any]) -> None:
    allowed = addresses(allowed_networks=LOOPBACK)
    assert await allowed.get("person", f"{shop}/to?/picture") == b"picture"
    for target in ("http://169.254.169.254/", "file:///etc/passwd", "http://10.1.2.3/"):
        assert (await refusal(allowed, f"{shop}/to?{target}")).code == "address_refused"
    assert "redirects more than 3 times" in (await refusal(allowed, f"{shop}/to?/to?/to?/to?/to?/picture")).detail
    assert {host for host, _port in dialled} == {"127.0.0.1"}


async def test_size_and_time_end(shop: str) -> None:
    allowed = addresses(allowed_networks=LOOPBACK)

    assert (await refusal(allowed, f"{shop}/long")).code == "object_too_large"
    assert (await refusal(allowed, f"{shop}/missing")).code == "object_missing"
    assert "did not answer within 1 s" in (await refusal(allowed, f"{shop}/slow")).detail


async def test_what_was_checked_is_what_is_dialled(
    shop: str, monkeypatch: pytest.MonkeyPatch, dialled: list[Any]
) -> None:
    # A name server that answers otherwise the second time: rebinding. There is no second time.
    answers = [["127.0.0.1"], ["169.254.169.254"]]
    port = int(shop.rpartition(":")[2])

    async def resolve(host: str, *_args: Any, **_options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port)) for number in answers.pop(0)]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    read = await addresses(allowed_networks=("127.0.0.1/32",)).get("person", f"http://shop.example:{port}/picture")

    assert read == b"picture" and len(answers) == 1
    assert [host for host, _port in dialled] == ["127.0.0.1"]


async def test_one_address_of_many_that_is_not_public_is_enough(
    monkeypatch: pytest.MonkeyPatch, dialled: list[Any]
) -> None:
    async def resolve(host: str, port: int, **_options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port)) for number in ("127.0.0.1", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)

    assert (await refusal(addresses(allowed_networks=LOOPBACK), "http://shop.example/")).code == "address_refused"
    assert dialled == []


@pytest.mark.parametrize(
    "number",
    [
        *("192.0.0.192", "192.0.0.9", "168.63.129.16", "100.100.100.200", "192.88.99.1", "198.18.0.1", "240.0.0.1"),
        *(
            "::127.0.0.1",
            "::a9fe:a9fe",
            "::ffff:0:a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::7f00:1",
            "2002:7f00:1::",
        ),
        *("fec0::1", "fd00:ec2::254", "fe80::1%eth0", "5f00::1", "3fff::1", "2001::1", "2001:db8::1", "100::1", "::"),
    ],
)
async def test_special_addresses_are_not_dialled_whatever_python_thinks_of_them(number: str) -> None:
    assert not GuardedBackend().allows(number)


async def test_what_the_guard_allows() -> None:
    guard = GuardedBackend(["10.1.0.0/16"])

    assert guard.allows("93.184.216.34") and guard.allows("2606:4700::1111") and guard.allows("10.1.2.3")
    assert not guard.allows("10.2.0.1") and not guard.allows("::ffff:10.2.0.1") and not guard.allows("ff02::1")


async def test_s3_is_read_below_the_prefixes_alone() -> None:
    told = addresses(s3_prefixes=("s3://shop/pictures",))
    for address in ("s3://shop/other/a.jpg", "s3://shop/pictures/../keys", "s3://else/pictures/a.jpg", "s3://shop"):
        problem = await refusal(told, address)
        assert problem.code == "address_refused", address


async def test_a_store_that_dawdles_is_waited_for_no_longer_than_the_web(monkeypatch: pytest.MonkeyPatch) -> None:
    let = threading.Event()

    class Dawdling(BaseHTTPRequestHandler):
        """An S3 server that answers when it is let."""

        def do_GET(self) -> None:
            let.wait(60)
            self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Dawdling)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    named = {"ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "DEFAULT_REGION": "us-east-1"}
    for name, value in (named | {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}).items():
        monkeypatch.setenv(f"AWS_{name}", value)
    told = addresses(s3_prefixes=("s3://shop/pictures",), timeout_s=0.3)
    problem = await refusal(told, "s3://shop/pictures/a.jpg")
    let.set()
    patient = await refusal(addresses(s3_prefixes=("s3://shop/pictures",), timeout_s=60), "s3://shop/pictures/a.jpg")
    server.shutdown()

    assert problem.code == "address_unreachable" and "did not answer within 0.3 s" in problem.detail
    assert patient.code == "object_missing"
