"""`POST /v1/try-on`: whichever way the pictures come, and what each wrong request is told."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
import zlib
from typing import Any

import httpx
import pytest

from atelier.images import decode_picture, read_source_type
from serving.settings import Limits, ServeSettings
from tests.serving.conftest import Open, png

pytestmark = pytest.mark.anyio


def texts(pictures: dict[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(data).decode() for name, data in pictures.items()}


async def ask(client: httpx.AsyncClient, pictures: dict[str, bytes], **fields: Any) -> httpx.Response:
    return await client.post("/v1/try-on", files=pictures, data={name: str(value) for name, value in fields.items()})


async def test_files_base64_and_data_urls_give_the_same_picture(served: Open, pictures: dict[str, bytes]) -> None:
    async with served() as client:
        as_files = await ask(client, pictures, seed=7)
        as_text = await client.post("/v1/try-on", json=texts(pictures) | {"seed": 7})
        urls = {name: f"data:image/jpeg;base64,{text}" for name, text in texts(pictures).items()}
        as_urls = await client.post("/v1/try-on", json=urls | {"seed": "7"})

    assert [answer.status_code for answer in (as_files, as_text, as_urls)] == [200, 200, 200]
    (sample,) = as_files.json()["samples"]
    picture = base64.b64decode(sample["picture"])
    assert hashlib.sha256(picture).hexdigest() == sample["sha256"]
    assert decode_picture(picture).shape == (sample["height"], sample["width"], 3) == (256, 192, 3)
    assert read_source_type(picture) == "compositeWithTrainedAlgorithmicMedia"
    assert sample["seed"] == "7" and sample["batch_shape"] == [1, 256, 192]
    assert as_text.json()["samples"] == as_urls.json()["samples"] == [sample]


async def test_samples_have_seeds_of_their_own_that_give_them_again(served: Open, pictures: dict[str, bytes]) -> None:
    async with served() as client:
        samples = (await ask(client, pictures, seed=7, num_samples=2, output_format="png")).json()["samples"]
        again = (await ask(client, pictures, seed=samples[1]["seed"], output_format="png")).json()["samples"]
        drawn = (await ask(client, pictures)).json()["samples"]

    assert samples[0]["sha256"] != samples[1]["sha256"] and samples[1]["sha256"] == again[0]["sha256"]
    assert samples[0]["media_type"] == "image/png" and base64.b64decode(samples[0]["picture"])[:4] == b"\x89PNG"
    assert drawn[0]["seed"] not in ("7", samples[1]["seed"])


async def test_the_picture_itself_where_it_is_accepted(served: Open, pictures: dict[str, bytes]) -> None:
    async with served() as client:
        answer = await client.post(
            "/v1/try-on", files=pictures, data={"seed": "7", "output_format": "webp"}, headers={"Accept": "image/*"}
        )
        two = await client.post(
            "/v1/try-on", files=pictures, data={"num_samples": "2"}, headers={"Accept": "image/webp"}
        )

    assert answer.headers["content-type"] == "image/webp" and answer.content[8:12] == b"WEBP"
    assert re.search(r"(^|, )synthesize;dur=\d+\.\d, .*total;dur=\d+\.\d$", answer.headers["server-timing"])
    assert answer.headers["x-atelier-seed"] == "7" and answer.headers["cache-control"] == "no-store"
    assert two.status_code == 400 and two.json()["code"] == "field_invalid"


async def test_the_format_is_the_accepted_one_where_none_is_asked_for(served: Open, pictures: dict[str, bytes]) -> None:
    async with served() as client:
        given: list[str] = []
        for accept in (
            "image/png",
            "image/png;q=0.1, image/webp;q=0.9",
            "image/*, image/png",
            "text/html",
            "application/json, image/png;q=0.5",
            "application/json;q=0.1, image/png;q=0.5",
            "image/png;q=0, */*",
            "IMAGE/WEBP ; q=1.000",
            "image/jpeg;q=0.x, image/webp;q=0.9",
        ):
            answer = await client.post("/v1/try-on", files=pictures, data={"seed": "7"}, headers={"Accept": accept})
            given.append(answer.headers["content-type"])
            assert answer.status_code == 200, answer.json()
        other = {"output_format": "jpeg"}
        refused = await client.post("/v1/try-on", files=pictures, data=other, headers={"Accept": "image/png"})

    png, webp, jpeg, json = "image/png", "image/webp", "image/jpeg", "application/json"
    assert given == [png, webp, jpeg, json, json, png, json, webp, jpeg]
    assert refused.status_code == 400 and "but Accept names" in refused.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/try-on", "/v1/images/edits"])
async def test_the_documents_example_is_answered_as_it_stands(served: Open, path: str) -> None:
    async with served() as client:
        document = (await client.get("/openapi.json")).json()
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        answer = await client.post(path, json=content["example"])

    assert answer.status_code == 200, answer.json()


async def test_the_size_of_the_persons_picture(served: Open, pictures: dict[str, bytes]) -> None:
    async with served() as client:
        answer = await ask(client, pictures, size="original", output_format="jpeg", quality=50)

    (sample,) = answer.json()["samples"]
    assert decode_picture(base64.b64decode(sample["picture"])).shape == (sample["height"], sample["width"], 3)


@pytest.mark.parametrize(
    ("change", "status", "code", "said"),
    [
        ({"garment": None}, 400, "field_missing", "garment: must be given; try_on needs person and garment"),
        ({"colour": "red"}, 400, "field_unknown", "colour: try_on has no such field"),
        ({"prompt": "a shirt"}, 400, "field_unknown", "prompt: try_on has no such field"),
        ({"seed": "-1"}, 400, "field_invalid", 'seed: is "-1"; must be at least 0'),
        ({"seed": str(2**63)}, 400, "field_invalid", "seed: "),
        ({"num_samples": "9"}, 400, "field_invalid", "num_samples: is 9, must be at most 4"),
        ({"output_format": "gif"}, 400, "field_invalid", "output_format: "),
        ({"output_format": "png", "quality": "50"}, 400, "field_invalid", "quality: is 50 of a png"),
        ({"model": "other"}, 404, "model_unknown", "there is no 'other'"),
        ({"person": "not base64!"}, 400, "field_invalid", "person: is no base64"),
        ({"person": 7}, 400, "field_invalid", "person: is a number; must be a file, base64"),
        ({"person": "data:image/png,abc"}, 400, "field_invalid", "person: is a data URL without base64"),
        (
            {"person": "ftp://example.com/a"},
            422,
            "address_refused",
            "person: the scheme 'ftp' is not taken; must be https://",
        ),
        ({"seed": True}, 400, "field_invalid", "seed: is true; must be a number"),
        ({"person": "s3://somebody/a"}, 422, "address_refused", "person: this s3:// address is not among"),
        ({"person": "S3://somebody/a"}, 422, "address_refused", "person: this s3:// address is not among"),
        ({"seed": "x"}, 400, "field_invalid", 'seed: is "x"; must be a whole number'),
        ({"size": "big"}, 400, "field_invalid", "size: is \"big\"; must be one of 'working', 'original'"),
        ({"person": base64.b64encode(b"GIF89a" + b"\0" * 40).decode()}, 415, "picture_format", "person: "),
        ({"person": base64.b64encode(png(8, 8)).decode()}, 422, "picture_too_small", "person: "),
    ],
)
async def test_what_a_wrong_request_is_told(
    served: Open, pictures: dict[str, bytes], change: dict[str, Any], status: int, code: str, said: str
) -> None:
    body = {name: value for name, value in (texts(pictures) | change).items() if value is not None}
    async with served() as client:
        answer = await client.post("/v1/try-on", json=body)

    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code), problem
    assert said in problem["detail"] and problem["type"] == f"urn:atelier:problem:{code}"
    named = re.match(r"([a-z_.]+)[:,]", problem["detail"])
    assert problem.get("field") == (named[1] if named else None)
    assert answer.headers["content-type"] == "application/problem+json"


AS_JSON, AS_PARTS = {"content-type": "application/json"}, {"content-type": "multipart/form-data; boundary=b"}


async def test_what_a_body_that_cannot_be_read_is_told(served: Open, pictures: dict[str, bytes]) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="seed"\r\n\r\n12345\r\n--b--\r\n'
    async with served() as client:
        answers = [
            await client.post("/v1/try-on", content=b"{", headers={"content-type": "application/json"}),
            await client.post("/v1/try-on", content=b"[" * 100_000, headers={"content-type": "application/json"}),
            await client.post("/v1/try-on", json=[1]),
            await client.post("/v1/try-on", content=b"x", headers={"content-type": "text/plain"}),
            await client.post("/v1/try-on", content=b"x", headers={"content-type": "multipart/form-data"}),
            await client.post(
                "/v1/try-on", content=b"junk", headers={"content-type": "multipart/form-data; boundary=b"}
            ),
            await client.post("/v1/try-on", files=[("person", pictures["person"])] * 2),
            await client.post("/v1/try-on", files=pictures, data={"seed": "7" * (2**20 + 1)}),
            await client.post("/v1/try-on", files=pictures, data={f"f{number}": "7" for number in range(40)}),
            await client.post("/v1/try-on", content=b"x"),
            await client.post("/v1/try-on", content=b'{"seed": 1, "seed": 2}', headers=AS_JSON),
            await client.post("/v1/try-on", content=body[: body.rindex(b"--b")], headers=AS_PARTS),
            await client.post("/v1/try-on", content=body[: body.rindex(b"\r\n--b")], headers=AS_PARTS),
            await client.post("/v1/try-on", content=b"--b--\r\n", headers=AS_PARTS),
        ]

    said = [(answer.status_code, answer.json()["code"]) for answer in answers]
    assert said[:4] == [(400, "request_malformed")] * 3 + [(415, "media_type_unsupported")]
    assert said[4][0] == said[5][0] == 400 and said[6] == (400, "field_invalid")
    details = [answer.json()["detail"] for answer in answers]
    assert "has no boundary" in details[4] and "let an HTTP client write it" in details[5]
    assert "a text of more than 1,048,576 bytes" in details[7] and "16 files and 32 other fields" in details[8]
    assert details[9].startswith("there is no content-type; must be multipart/form-data")
    assert said[10] == (400, "field_invalid") and details[10].startswith("seed: is given twice")
    assert said[11:13] == [(400, "request_malformed")] * 2 and "ends before its last boundary" in details[11]
    assert said[13] == (400, "field_missing"), "an empty form is a whole one"


async def test_a_bad_picture_is_named_with_its_stage(served: Open, pictures: dict[str, bytes]) -> None:
    async with served() as client:
        cut = await ask(client, pictures | {"garment": pictures["garment"][:3000]})
        swapped = await ask(client, pictures | {"person": pictures["garment"]})

    assert cut.status_code == 422 and cut.json()["code"] == "picture_truncated"
    assert "garment" in cut.json()["detail"] and cut.json()["stage"] == "decode"
    assert swapped.status_code == 422 and swapped.json()["code"] == "no_person" and swapped.json()["stage"] == "parse"


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


async def test_too_much_is_refused_before_it_is_decoded(served: Open, pictures: dict[str, bytes]) -> None:
    limits = Limits(max_body_bytes=60_000, max_input_bytes=30_000)
    async with served(limits=limits) as client:
        pixels = await ask(client, pictures | {"person": bomb(20_000, 20_000)})
        file = await ask(client, pictures | {"person": b"\xff\xd8\xff" + b"\0" * 40_000})
        text = await client.post("/v1/try-on", json=texts(pictures | {"person": b"\xff\xd8\xff" + b"\0" * 35_000}))
        body = await ask(client, pictures | {"person": b"\xff\xd8\xff" + b"\0" * 80_000})

        async def endless() -> Any:
            while True:
                yield b"a" * 8192

        counted = await client.post("/v1/try-on", content=endless(), headers={"content-type": "application/json"})

    assert (pixels.status_code, pixels.json()["code"]) == (413, "picture_too_large")
    assert "400,000,000 pixels" in pixels.json()["detail"]
    assert (file.status_code, file.json()["code"]) == (413, "object_too_large")
    assert (text.status_code, text.json()["code"]) == (413, "object_too_large")
    assert (body.status_code, body.json()["code"]) == (413, "body_too_large")
    assert (counted.status_code, counted.json()["code"]) == (413, "body_too_large")


async def test_pictures_that_are_looked_at_in_a_thread_are_refused_too(
    served: Open, pictures: dict[str, bytes]
) -> None:
    async with served() as client:
        pixels = await ask(client, pictures | {"person": bomb(20_000, 20_000) + b"\0" * 100_000})

    assert (pixels.status_code, pixels.json()["code"]) == (413, "picture_too_large")
    assert "stage" not in pixels.json(), "the ingress refuses it, not the model"


async def test_what_is_not_there(served: Open) -> None:
    async with served() as client:
        nowhere, wrong = await client.get("/v1/nowhere"), await client.get("/v1/try-on")
        put, unsure = await client.put("/v1/jobs/1"), await client.post("/v1/jobs", params={"pictures": "maybe"})

    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    assert nowhere.json()["detail"] == "there is nothing at '/v1/nowhere'; /openapi.json has what there is"
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.json()["detail"] == "is GET; must be POST here"
    assert put.headers["allow"] == "DELETE, GET" and put.json()["detail"] == "is PUT; must be DELETE, GET here"
    assert unsure.json()["detail"] == 'pictures: is "maybe"; must be true or false'


async def test_models_say_what_they_are(served: Open) -> None:
    async with served() as client:
        told = (await client.get("/v1/models")).json()

    (model,) = told["models"]
    assert model["path"] == "/v1/try-on" and model["size"] == [256, 192]
    assert model["licences"] == {"weights": "not stated", "parser": "Apache-2.0", "pose": "Apache-2.0"}
    assert model["weights"]["weights"] == "0", "a folder's path is nobody's business"
    assert len(model["digests"]["viton_hd"]) == 64
    assert told["limits"]["max_samples"] == 4


async def test_settings_refuse_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="there is no recipe 'other'"):
        ServeSettings.model_validate({"models": [{"recipe": "other"}]})
    with pytest.raises(ValueError, match="stand in it twice"):
        ServeSettings.model_validate({"models": [{}, {}]})
    with pytest.raises(ValueError, match="Extra inputs"):
        ServeSettings.model_validate({"anonymus": True})
