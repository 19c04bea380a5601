"""Webhooks: signed, told again while nobody answers, whoever dies in between; and never to a refused address."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from serving.jobs.job import Ending
from serving.jobs.sql import SqlJobs
from serving.keys import KeyRing
from serving.settings import Fetching, ServeSettings, WebhookSettings
from tests.serving.conftest import Open, until
from tests.serving.test_job_store import job

pytestmark = pytest.mark.anyio
LOOPBACK = Fetching(schemes=("http", "https"), allowed_networks=("127.0.0.0/8",), timeout_s=2.0)
QUICK = WebhookSettings(pauses_s=(0.01, 0.02, 0.03), links_from="https://pictures.shop.example")


class Shop(BaseHTTPRequestHandler):
    """A caller's server, which answers with the statuses it was given, then with 204."""

    heard: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []
    statuses: ClassVar[list[int]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        type(self).heard.append((self.path, headers, body))
        self.send_response(type(self).statuses.pop(0) if type(self).statuses else 204)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[str]:
    """The address of a server on loopback."""
    Shop.heard, Shop.statuses = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()


@pytest.fixture
def key(settings: ServeSettings) -> str:
    return KeyRing(settings.keys).add("shop", ["make", "jobs"])


async def ask(client: httpx.AsyncClient, key: str, pictures: dict[str, bytes], url: str) -> httpx.Response:
    client.headers["Authorization"] = f"Bearer {key}"
    fields = {"task": "try_on", "seed": "7", "webhook": json.dumps({"url": url})}
    return await client.post("/v1/jobs", files=pictures, data=fields)


async def told(client: httpx.AsyncClient, added: httpx.Response) -> dict[str, Any]:
    """The job when no more calls are due."""

    async def look() -> Any:
        found = (await client.get(f"/v1/jobs/{added.json()['id']}")).json()
        return found if found["webhook"]["result"] and "next_at_s" not in found["webhook"] else None

    return await until(look)


def signatures(secret: str, headers: dict[str, str], body: bytes) -> str:
    """As a receiver computes it who has read the Standard Webhooks specification and nothing of ours."""
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    raw = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(raw, content, hashlib.sha256).digest()).decode()


async def test_the_end_of_a_job_is_told_signed_and_with_links(
    served: Open, settings: ServeSettings, key: str, pictures: dict[str, bytes], shop: str
) -> None:
    ring = KeyRing(settings.keys)
    ring.rotate("shop", overlap_s=60)
    async with served(anonymous=False, fetching=LOOPBACK, webhooks=QUICK) as client:
        added = await ask(client, key, pictures, shop)
        job = await told(client, added)

    ((path, headers, body),) = Shop.heard
    said = json.loads(body)
    assert path == "/hook" and headers["content-type"] == "application/json"
    assert headers["webhook-id"] == f"job_{job['id']}" and abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    # A rotated key's secret and the new one's both sign, so that a receiver may change over when it likes.
    assert headers["webhook-signature"].split(" ") == [
        signatures(secret, headers, body) for secret in ring.webhook_secrets("shop")
    ]
    assert len(ring.webhook_secrets("shop")) == 2
    assert said["type"] == "job.succeeded" and said["timestamp"].endswith("Z")
    assert said["data"] == {name: value for name, value in job.items() if name != "webhook"} | {
        "result": said["data"]["result"]
    }
    url = f"https://pictures.shop.example/v1/jobs/{job['id']}/pictures/0"
    assert [sample["url"] for sample in said["data"]["result"]["samples"]] == [url]
    assert "picture" not in said["data"]["result"]["samples"][0]
    assert job["webhook"] == {"attempts": 1, "result": "delivered"}


async def test_it_is_told_again_the_same_until_somebody_answers(
    served: Open, key: str, pictures: dict[str, bytes], shop: str
) -> None:
    Shop.statuses = [500, 302]
    async with served(anonymous=False, fetching=LOOPBACK, webhooks=QUICK) as client:
        job = await told(client, await ask(client, key, pictures, shop))

    assert job["webhook"] == {"attempts": 3, "result": "delivered"}
    assert [path for path, _, _ in Shop.heard] == ["/hook"] * 3, "a redirect is not followed"
    assert len({(headers["webhook-id"], body) for _, headers, body in Shop.heard}) == 1


async def test_it_is_given_up_in_the_end_or_when_it_is_told_to(
    served: Open, key: str, pictures: dict[str, bytes], shop: str
) -> None:
    Shop.statuses = [503] * 4 + [410]
    async with served(anonymous=False, fetching=LOOPBACK, webhooks=QUICK) as client:
        refused = await told(client, await ask(client, key, pictures, shop))
        gone = await told(client, await ask(client, key, pictures, shop))

    assert refused["webhook"] == {"attempts": 4, "result": "status 503"}
    assert gone["webhook"] == {"attempts": 1, "result": "status 410"} and len(Shop.heard) == 5


async def test_another_ingress_goes_on_where_one_ended(
    served: Open, key: str, pictures: dict[str, bytes], shop: str
) -> None:
    Shop.statuses = [500]
    slow = WebhookSettings(pauses_s=(1.0,))
    async with served(anonymous=False, fetching=LOOPBACK, webhooks=slow) as client:
        added = await ask(client, key, pictures, shop)

        async def called() -> bool:
            return len(Shop.heard) == 1

        await until(called)
    async with served(anonymous=False, fetching=LOOPBACK, webhooks=slow) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        job = await told(client, added)

    assert job["webhook"] == {"attempts": 2, "result": "delivered"}


_dialled: list[Any] = []
_watching = [False]


def _note(event: str, args: tuple[Any, ...]) -> None:
    if _watching[0] and event == "socket.connect":
        _dialled.append(args[1])


sys.addaudithook(_note)


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("http://169.254.169.254/latest", 422, "address_refused"),
        ("https://[::ffff:10.0.0.7]/", 422, "address_refused"),
        ("http://localhost:9/hook", 422, "address_refused"),
        ("file:///etc/passwd", 422, "address_refused"),
        ("https://user:word@shop.example/", 422, "address_refused"),
        ("", 400, "field_invalid"),
    ],
)
async def test_a_refused_address_is_refused_with_the_job(
    served: Open, key: str, pictures: dict[str, bytes], url: str, status: int, code: str
) -> None:
    _dialled.clear()
    _watching[0] = True
    try:
        async with served(anonymous=False, fetching=Fetching(schemes=("http", "https"))) as client:
            answer = await ask(client, key, pictures, url)
    finally:
        _watching[0] = False

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert "webhook" in answer.json()["detail"] and _dialled == []


async def test_an_address_alone_is_told_what_a_webhook_is(served: Open, key: str, pictures: dict[str, bytes]) -> None:
    async with served(anonymous=False) as client:
        answers = [
            await client.post(
                "/v1/jobs",
                files=pictures,
                data={"task": "try_on", "webhook": webhook},
                headers={"Authorization": f"Bearer {key}"},
            )
            for webhook in ("https://shop.example/", "{")
        ]
    told = [(answer.status_code, answer.json()["field"], answer.json()["detail"]) for answer in answers]
    is_one = 'webhook is an object, {"url": "https://…"}'
    assert told == [
        (400, "webhook", f"webhook: is a plain text; {is_one}"),
        (400, "webhook", f"webhook: is no JSON; {is_one}"),
    ]


async def test_an_address_that_has_turned_into_a_refused_one_is_not_dialled(
    served: Open, key: str, pictures: dict[str, bytes], shop: str
) -> None:
    # Taken in while loopback was allowed; told by a service that allows it no more, as a name that was rebound.
    Shop.statuses = [500] * 10
    async with served(anonymous=False, fetching=LOOPBACK, webhooks=WebhookSettings(pauses_s=(1.0,))) as client:
        added = await ask(client, key, pictures, shop)

        async def called() -> bool:
            return len(Shop.heard) == 1

        await until(called)
    strict = Fetching(schemes=("http",))
    async with served(anonymous=False, fetching=strict, webhooks=WebhookSettings(pauses_s=(1.0,))) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        job = await told(client, added)

    assert job["webhook"] == {"attempts": 2, "result": "address_refused"} and len(Shop.heard) == 1


async def test_without_a_secret_there_is_no_webhook(
    served: Open, pictures: dict[str, bytes], settings: ServeSettings
) -> None:
    fields = {"task": "try_on", "webhook": '{"url": "http://127.0.0.1/"}'}
    async with served(fetching=LOOPBACK) as client:
        anonymous = await client.post("/v1/jobs", files=pictures, data=fields)
        at_once = await client.post("/v1/try-on", files=pictures, data={"webhook": fields["webhook"]})
    key = KeyRing(settings.keys).add("shop", ["jobs"])
    entries = json.loads(Path(settings.keys).read_text())
    entries["keys"][0].pop("webhook_secret")  # as an earlier version wrote it
    Path(settings.keys).write_text(json.dumps(entries))
    async with served(anonymous=False, fetching=LOOPBACK) as client:
        old = await client.post("/v1/jobs", files=pictures, data=fields, headers={"Authorization": f"Bearer {key}"})

    assert (anonymous.status_code, anonymous.json()["code"]) == (400, "field_invalid")
    assert "no secret to sign it with" in anonymous.json()["detail"] and "no secret" in old.json()["detail"]
    assert (at_once.status_code, at_once.json()["code"]) == (400, "field_unknown")


def test_a_due_call_is_one_ingresss_until_its_lease_runs_out(database: str) -> None:
    store = SqlJobs(database)
    for number in (1, 2):
        store.add(job(number, webhook="https://shop.example/" if number == 1 else ""))
        store.claim("a", now_s=10, lease_s=5)
        store.end(f"job-{number}", "a", Ending(state="succeeded"), now_s=11)
    first = store.claim_webhook(now_s=11, lease_s=5)

    assert first is not None and (first.id, first.webhook_attempts) == ("job-1", 1)
    assert store.claim_webhook(now_s=15, lease_s=5) is None
    second = store.claim_webhook(now_s=16, lease_s=5)  # whoever had it went away
    assert second is not None and second.webhook_attempts == 2
    store.put_webhook("job-1", 1, result="delivered", due_at_s=None)
    late = store.get("job-1")
    assert late is not None and late.webhook_result == "", "the second attempt is under way"
    store.put_webhook("job-1", 2, result="status 500", due_at_s=30.0)
    assert store.claim_webhook(now_s=29, lease_s=5) is None
    assert store.claim_webhook(now_s=30, lease_s=5) is not None


def test_a_cancelled_job_is_told_too_and_an_older_file_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    SqlJobs(path).add(job(1))
    connection = sqlite3.connect(path)
    connection.execute("drop index jobs_by_webhook")
    for column in ("webhook", "webhook_attempts", "webhook_due_at_s", "webhook_result"):
        connection.execute(f"alter table jobs drop column {column}")
    connection.commit()
    connection.close()
    store = SqlJobs(path)

    assert store.get("job-1") == job(1)
    store.add(job(2, webhook="https://shop.example/"))
    assert store.cancel("job-1", now_s=5) and store.cancel("job-2", now_s=6)
    told = store.claim_webhook(now_s=6, lease_s=5)
    assert told is not None and (told.id, told.state) == ("job-2", "cancelled")
    assert store.claim_webhook(now_s=6, lease_s=5) is None
