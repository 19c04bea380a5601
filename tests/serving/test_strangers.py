"""What a stranger tries: each gets what the README says, and the service goes on."""

from __future__ import annotations

import asyncio
import base64
import re
import struct
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.api.api import create_api
from serving.jobs.sql import SqlJobs
from serving.keys import KeyRing
from serving.models.client import LocalModel
from serving.models.family import ModelFamily
from serving.models.samples import drawn_garment, drawn_person
from serving.settings import Fetching, Limits, ServeSettings
from tests.serving.conftest import SIZE, Open
from tests.serving.gates import Gate, sent_of
from tests.serving.test_deadlines import dawdling

pytestmark = pytest.mark.anyio
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    """The README's answers, by what is tried: `status code`."""
    table = README.read_text(encoding="utf-8").partition("| tried | answered |")[2].partition("\n\n")[0]
    return {tried: f"{status} {code}" for tried, status, code in re.findall(r"\| (.+?) \| (\d{3}) `(\w+)`", table)}


def huge(side: int) -> bytes:
    """A black PNG of side x side pixels, whole and valid, in some kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + bytes((side + 7) // 8)) * side, 9)
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


async def test_each_gets_what_the_readme_says(
    served: Open,
    pictures: dict[str, bytes],
    settings: ServeSettings,
    told: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = KeyRing(settings.keys).add("shop", ["make"])
    texts = {name: base64.b64encode(data).decode() for name, data in pictures.items()}
    body, headers = dawdling(pictures, 60)
    async with served(anonymous=False, limits=Limits(timeout_s=20.0)) as client:

        async def post(**asked: Any) -> str:
            values: dict[str, Any] = {"headers": {"Authorization": f"Bearer {key}"}} | asked
            answer = await client.post("/v1/try-on", **values)
            return f"{answer.status_code} {answer.json()['code']}"

        inside = "https://169.254.169.254/latest/meta-data/"
        given = {
            "a wrong key, where keys are on": await post(
                files=pictures, headers={"Authorization": f"Bearer {key[:-1]}x"}
            ),
            "a PNG of 400 megapixels": await post(files=pictures | {"person": huge(20_000)}),
            "an address inside, as `https://169.254.169.254/`": await post(json=texts | {"person": inside}),
        }
        fine = await client.post("/v1/try-on", files=pictures, headers={"Authorization": f"Bearer {key}"})
        monkeypatch.setattr("serving.api.fields.UPLOAD_S", 0.5)
        halted = await client.post("/v1/try-on", content=body, headers=headers | {"X-API-Key": key})
        given["an upload that halts halfway"] = f"{halted.status_code} {halted.json()['code']}"

    assert fine.status_code == 200
    assert {tried: told[tried] for tried in given} == given and len(told) == len(given) + 1


@pytest.mark.slow
async def test_fifty_at_once_are_served_or_told_when_to_come_again(
    settings: ServeSettings, pictures: dict[str, bytes], told: dict[str, str], ready: ModelFamily
) -> None:
    gate = Gate(LocalModel(ready))
    small = settings.model_copy(update={"limits": Limits(max_requests=20)})
    app = create_api(small, {"viton_hd_closet": gate}, SqlJobs(small.database))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 4242))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        asked = [asyncio.create_task(client.post("/v1/try-on", files=pictures)) for _ in range(50)]
        ending = list(asyncio.as_completed(asked, timeout=60))
        answers = [await one for one in ending[:30]]
        gate.open.set()
        answers += [await one for one in ending[30:]]

    turned_away = [answer for answer in answers if answer.status_code != 200]
    assert len(answers) == 50 and len(turned_away) == 30
    assert {f"{one.status_code} {one.json()['code']}" for one in turned_away} == {told["more than fit, at once"]}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in turned_away)


async def test_who_leaves_in_the_midst_of_an_upload_leaves_nothing(
    settings: ServeSettings, pictures: dict[str, bytes], family: ModelFamily
) -> None:
    gate = Gate(LocalModel(family))
    app = create_api(settings, {"viton_hd_closet": gate}, SqlJobs(settings.database))
    request = httpx.Request("POST", "http://localhost/v1/jobs", files=pictures, data={"task": "try_on"})
    body = request.read()
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": body[: len(body) // 2], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return messages.pop(0) if len(messages) > 1 else messages[0]

    sent = await sent_of(app, request, receive)

    assert sent[0]["status"] == 499 and gate.asked == 0 and app.state.door.inside == 0
    assert not Path(settings.store).exists()


@pytest.fixture
def shop() -> Iterator[str]:
    """The address of somebody's server on loopback, with the same person and garment."""
    files = {"/person.jpg": drawn_person(1, SIZE), "/garment.jpg": drawn_garment(1, SIZE)}

    class Shop(BaseHTTPRequestHandler):
        """Gives pictures."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(files[self.path])

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


async def test_pictures_at_addresses_are_as_good_as_files(served: Open, pictures: dict[str, bytes], shop: str) -> None:
    fetching = Fetching(schemes=("http",), allowed_networks=("127.0.0.0/8",))
    named = {name: f"{shop}/{name}.jpg" for name in pictures}
    async with served(fetching=fetching) as client:
        as_files = await client.post("/v1/try-on", files=pictures, data={"seed": "7"})
        as_addresses = await client.post("/v1/try-on", json=named | {"seed": 7})

    assert as_addresses.status_code == 200
    assert as_addresses.json()["samples"] == as_files.json()["samples"]


async def test_health_is_told_to_anybody_until_the_service_stops(settings: ServeSettings, family: ModelFamily) -> None:
    told = settings.model_copy(update={"anonymous": False})
    app = create_api(told, {"viton_hd_closet": LocalModel(family)}, SqlJobs(told.database))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example") as client:
        well = await client.get("/healthz")
        assert (await client.head("/healthz")).status_code == 200, "as some balancers ask"
        app.state.door.inside = told.limits.max_requests
        full, other = await client.get("/healthz"), await client.get("/v1/models")
        assert (full.status_code, other.status_code) == (200, 429), "who has as much as may be is well"
        app.state.door.inside = 0
        app.state.door.close()
        stopping = await client.get("/healthz")

    assert (well.status_code, well.json()) == (200, {"status": "ok"})
    assert (stopping.status_code, stopping.json()["code"]) == (503, "stopping")
