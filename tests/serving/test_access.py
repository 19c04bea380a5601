"""Keys: hashed in their file, compared in constant time, scoped, rotated; without them, loopback alone."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
import ray

from atelier.errors import ConfigError
from serving.__main__ import main
from serving.keys import SCOPES, KeyRing
from serving.launch import check_address, check_gpus
from serving.models.client import LocalModel
from serving.settings import Limits, ModelSettings, ServeSettings
from tests.serving.conftest import Open
from tests.serving.gates import Gate

pytestmark = pytest.mark.anyio

ADDER = """
import sys
from serving.keys import KeyRing
ring = KeyRing(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
for _ in range(30):
    print(ring.add(sys.argv[2], ["make"]))
"""


@pytest.fixture
def ring(settings: ServeSettings) -> KeyRing:
    return KeyRing(settings.keys)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_a_key_opens_what_its_scopes_say(served: Open, ring: KeyRing, pictures: dict[str, bytes]) -> None:
    shop, looker = ring.add("shop", ["make", "jobs", "models"]), ring.add("looker", ["models"])
    async with served(anonymous=False) as client:
        made = await client.post("/v1/try-on", files=pictures, headers=bearer(shop))
        listed = await client.get("/v1/models", headers={"X-API-Key": looker})
        answers = [
            await client.post("/v1/try-on", files=pictures),
            await client.post("/v1/try-on", files=pictures, headers=bearer(shop[:-1] + "x")),
            await client.post("/v1/try-on", files=pictures, headers=bearer("atl_00000000_" + "a" * 43)),
            await client.post("/v1/try-on", files=pictures, headers={"Authorization": "Basic " + shop}),
            await client.post("/v1/try-on", files=pictures, headers=bearer(looker)),
            await client.get("/v1/jobs/none", headers=bearer(looker)),
        ]
        page = await client.get("/")

    assert made.status_code == listed.status_code == page.status_code == 200
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (401, "key_missing"),
        (401, "key_unknown"),
        (401, "key_unknown"),
        (401, "key_missing"),
        (403, "scope_missing"),
        (403, "scope_missing"),
    ]
    assert answers[0].headers["www-authenticate"].startswith("Bearer")
    assert answers[1].json()["detail"] == answers[2].json()["detail"], "a known id must not be told from an unknown one"


async def test_what_makes_a_job_needs_the_scope_for_jobs(
    served: Open, ring: KeyRing, pictures: dict[str, bytes]
) -> None:
    maker, both = ring.add("maker", ["make"]), ring.add("both", ["make", "jobs"])
    words = [{"Prefer": "respond-async"}, {"Prefer": "wait=20"}, {"Idempotency-Key": "order-1"}]
    async with served(anonymous=False) as client:
        refused = [await client.post("/v1/try-on", files=pictures, headers=bearer(maker) | word) for word in words]
        allowed = [await client.post("/v1/try-on", files=pictures, headers=bearer(both) | word) for word in words]

    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(403, "scope_missing")] * 3
    assert "needs 'jobs'" in refused[0].json()["detail"]
    assert [answer.status_code for answer in allowed] == [202, 200, 200]


async def test_a_wrong_key_is_refused_before_the_body_is_read(served: Open) -> None:
    read = []

    async def body() -> object:
        for _ in range(10):
            read.append(1)
            yield b"a" * 1000

    async with served(anonymous=False) as client:
        answer = await client.post("/v1/try-on", content=body(), headers={"content-type": "application/json"})

    assert answer.status_code == 401 and len(read) <= 1


async def test_only_hashes_are_kept(ring: KeyRing, settings: ServeSettings) -> None:
    key = ring.add("shop", ["make"])
    text = Path(settings.keys).read_text()

    assert key.rpartition("_")[2] not in text and len(json.loads(text)["keys"][0]["sha256"]) == 64
    assert stat.S_IMODE(Path(settings.keys).stat().st_mode) == 0o600


async def test_a_wrong_key_is_told_of_before_a_body_that_is_too_long(served: Open, ring: KeyRing) -> None:
    kind = {"content-type": "application/json"}
    wrong, right = kind | bearer("atl_00000000_x"), kind | bearer(ring.add("a", SCOPES))
    async with served(anonymous=False, limits=Limits(max_body_bytes=1024)) as client:
        answers = [await client.post("/v1/try-on", content=b"a" * 2000, headers=headers) for headers in (wrong, right)]

    found = [(answer.status_code, answer.json()["code"]) for answer in answers]
    assert found == [(401, "key_unknown"), (413, "body_too_large")]


async def test_a_stream_ends_with_its_key(served: Open, ring: KeyRing, pictures: dict[str, bytes]) -> None:
    headers = bearer(ring.add("shop", SCOPES))
    gates: list[Gate] = []

    def gated(model: LocalModel) -> Gate:
        gates.append(Gate(model))
        return gates[0]

    async with served(anonymous=False, wrap=gated) as client:
        added = await client.post("/v1/jobs", files=pictures, data={"task": "try_on"}, headers=headers)
        following = asyncio.create_task(client.get(added.headers["location"] + "/events", headers=headers))
        await asyncio.sleep(0.5)
        ring.remove("shop")
        told = await asyncio.wait_for(following, 20)
        gates[0].open.set()

    assert '"state": "queued"' in told.text and '"code":"key_unknown"' in told.text.rpartition("event: problem")[2]


async def test_a_rotated_key_ends_and_a_removed_one_is_refused_at_once(ring: KeyRing, settings: ServeSettings) -> None:
    old = ring.add("shop", ["make"])
    new = ring.rotate("shop", overlap_s=3600)
    reader = KeyRing(settings.keys)  # as another process sees it
    assert reader.caller(old) == reader.caller(new) != None  # noqa: E711
    ends_s = next(one.expires_at_s for one in ring.records() if one.expires_at_s is not None)
    assert reader.caller(old, now_s=ends_s - 1) is not None and reader.caller(old, now_s=ends_s) is None
    assert reader.caller(new, now_s=ends_s) is not None

    assert ring.remove("shop") == 2
    assert reader.caller(new) is None
    with pytest.raises(ConfigError, match="has no key"):
        ring.rotate("shop", overlap_s=0)
    with pytest.raises(ConfigError, match="must be some of"):
        ring.add("shop", ["everything"])


async def test_changes_at_once_do_not_undo_each_other(settings: ServeSettings) -> None:
    KeyRing(settings.keys).add("victim", ["make"])
    adders = [
        subprocess.Popen([sys.executable, "-c", ADDER, str(settings.keys), name], stdin=PIPE, stdout=PIPE, text=True)
        for name in ("a", "b")
    ]
    for adder in adders:
        assert adder.stdout is not None and adder.stdout.readline() == "ready\n"
    for adder in adders:
        assert adder.stdin is not None
        adder.stdin.close()
    ring = KeyRing(settings.keys)
    assert ring.remove("victim") == 1
    keys = [key for adder in adders if adder.stdout is not None for key in adder.stdout.read().split()]
    assert [adder.wait(60) for adder in adders] == [0, 0]

    assert len(keys) == 60 and all(ring.caller(key) is not None for key in keys)
    assert ring.owners() == {"a", "b"}, "a key that was taken away is back"


async def test_the_command_makes_lists_and_removes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = tmp_path / "serve.json"
    told.write_text(json.dumps({"keys": str(tmp_path / "keys.json")}))
    where = ["keys", "--settings", str(told)]
    assert main([*where, "add", "shop", "--scope", "make", "--days", "30"]) == 0
    key = capsys.readouterr().out.strip()
    caller = KeyRing(tmp_path / "keys.json").caller(key)
    assert caller is not None and caller.owner == "shop" and caller.scopes == ("make",)
    assert main(["keys", "list", "--settings", str(told)]) == 0 and "shop" in capsys.readouterr().out
    assert main([*where, "list"]) == 0 and "shop  make  expires: 2" in capsys.readouterr().out
    assert main([*where, "remove", "shp"]) == 2 and "shp: has no key; keys have shop" in capsys.readouterr().err
    assert main([*where, "remove", "shop"]) == 0 and capsys.readouterr().out == "gone: 1 key of shop\n"
    assert main([*where, "quota", "shop"]) == 2 and "shop: has no key; keys have nobody" in capsys.readouterr().err
    assert main(["run", "--settings", str(told)]) == 2
    said = capsys.readouterr().err
    assert "holds no key" in said and f"python -m serving keys --settings {told} add NAME" in said


async def test_what_cannot_be_served_is_told_before_ray_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["run", "--anonymous", "--port", port]) == 2
    assert capsys.readouterr().err.startswith(f"127.0.0.1:{port}: Address already in use; end what listens there")

    told, empty = tmp_path / "serve.json", tmp_path / "weights"
    empty.mkdir()
    model = {"recipe": "viton_hd_closet", "weights": {"weights": str(empty)}}
    told.write_text(json.dumps({"models": [model], "database": str(tmp_path / "jobs.sqlite")}))
    assert main(["run", "--anonymous", "--port", port, "--settings", str(told)]) == 1
    assert f"{empty}" in capsys.readouterr().err
    assert not ray.is_initialized()


async def test_a_damaged_file_of_keys_lets_nobody_in(
    served: Open, settings: ServeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    Path(settings.keys).write_text('{"keys": [{"id": 1}]}')
    async with served(anonymous=False) as client:
        answer = await client.get("/v1/models", headers=bearer("atl_00000000_x"))

    assert answer.status_code == 500 and answer.json()["code"] == "internal_error"
    assert f"nobody is let in: {settings.keys}: is no file of keys" in caplog.text


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("10.0.0.5", {}),
        ("127.0.0.1", {"X-Forwarded-For": "10.0.0.5"}),
        ("127.0.0.1", {"Host": "rebound.example:8000"}),
        ("127.0.0.1", {"Sec-Fetch-Site": "cross-site"}),
        ("127.0.0.1", {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}),
        ("127.0.0.1", {"Host": "localhost:8000", "Origin": "https://evil.example"}),
        ("127.0.0.1", {"Host": "localhost:8000", "Origin": "http://localhost:3000"}),
        ("127.0.0.1", {"Host": "localhost:8000", "Origin": "null"}),
    ],
)
async def test_without_keys_only_this_machine_is_answered(served: Open, peer: str, headers: dict[str, str]) -> None:
    async with served(peer=peer) as client:
        answer = await client.get("/v1/models", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "not_loopback")


async def test_who_comes_through_a_proxy_is_told_that(served: Open) -> None:
    async with served(peer="10.0.0.5") as client:  # as Serve's proxy tells it, by the header
        answer = await client.get("/v1/models", headers={"X-Forwarded-For": "10.0.0.5"})

    assert "answers no proxy" in answer.json()["detail"]


async def test_without_keys_its_own_page_is_answered(served: Open) -> None:
    headers = {"Host": "LocalHost:8000", "Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}
    async with served() as client:
        answer = await client.get("/v1/models", headers=headers)

    assert answer.status_code == 200


async def test_gpus_that_are_not_there_are_not_waited_for() -> None:
    models = (ModelSettings(num_gpus=0.5, replicas=2), ModelSettings(recipe="pidm_closet", num_gpus=0.25))
    check_gpus(ServeSettings(models=models), 2.0)
    check_gpus(ServeSettings(), 0.0)
    with pytest.raises(ConfigError, match=r"begin with 1.25 GPUs \(viton_hd_closet 1, pidm_closet 0.25\); .* has 1$"):
        check_gpus(ServeSettings(models=models), 1.0)


async def test_without_keys_no_other_address_is_listened_on() -> None:
    anonymous = ServeSettings(anonymous=True)
    for host in ("127.0.0.1", "localhost", "::1"):
        check_address(anonymous, host)
    check_address(ServeSettings(), "0.0.0.0")
    for host in ("0.0.0.0", "::", "192.168.1.4", "shop.example"):
        with pytest.raises(ConfigError, match="without keys it must be this machine's own"):
            check_address(anonymous, host)
