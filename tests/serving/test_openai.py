"""`/v1/images/…`: the same pictures by OpenAI's words, and errors in the shape that its clients read."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import httpx
import pytest

from atelier import poses, recipes
from atelier.images import decode_picture
from serving.api.documents import images_body
from serving.api.openai import translated
from serving.api.problems import Problem
from serving.settings import Limits
from tests.serving.conftest import Open
from tests.serving.test_silence import SECRET, Talkative
from tests.serving.test_tasks import TASKS

pytestmark = pytest.mark.anyio


async def edit(client: httpx.AsyncClient, pictures: dict[str, bytes], **fields: str) -> httpx.Response:
    files = [("image[]", (f"{name}.jpg", data, "image/jpeg")) for name, data in pictures.items()]
    return await client.post("/v1/images/edits", files=files, data={"prompt": "put it on", **fields})


async def test_an_edit_is_a_try_on(served: Open, pictures: dict[str, bytes]) -> None:
    urls = [f"data:image/jpeg;base64,{base64.b64encode(data).decode()}" for data in pictures.values()]
    async with served() as client:
        plain = await client.post("/v1/try-on", files=pictures, data={"seed": "7", "output_format": "png"})
        asked = await edit(client, pictures, seed="7", n="2", size="192x256", response_format="b64_json", user="u-1")
        absent = dict.fromkeys(("n", "output_format", "size", "quality", "output_compression", "user"))
        body = {"images": [{"image_url": urls[0]}, urls[1]], "prompt": "", "seed": 7, "stream": False, **absent}
        as_json = await client.post("/v1/images/edits", json=body)

    told = asked.json()
    assert asked.status_code == 200 and told["size"] == "192x256" and told["model"] == "viton_hd_closet"
    first, second = told["data"]
    assert first["b64_json"] == plain.json()["samples"][0]["picture"] == as_json.json()["data"][0]["b64_json"]
    picture = base64.b64decode(second["b64_json"])
    assert second["sha256"] == hashlib.sha256(picture).hexdigest() != first["sha256"]
    assert told["output_format"] == "png" and decode_picture(picture).shape == (256, 192, 3)


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"output_compression": "50"}, 400, "field_invalid", "output_compression"),
        ({"input_fidelity": "high"}, 400, "field_invalid", "input_fidelity"),
        ({"model": "gpt-image-1"}, 404, "model_unknown", "model"),
        ({"size": "1024x1024"}, 400, "field_invalid", "size"),
        ({"response_format": "url"}, 400, "field_invalid", "response_format"),
        ({"quality": "high"}, 400, "field_invalid", "quality"),
        ({"background": "transparent"}, 400, "field_invalid", "background"),
        ({"stream": "true"}, 400, "field_invalid", "stream"),
        ({"n": "9"}, 400, "field_invalid", "n"),
        ({"output_format": "gif"}, 400, "field_invalid", "output_format"),
        ({"mask": "x"}, 400, "field_unknown", "mask"),
        ({"num_samples": "3"}, 400, "field_unknown", "num_samples"),
        ({"garment": "x"}, 400, "field_invalid", "garment"),
    ],
)
async def test_what_has_no_meaning_here_is_refused(
    served: Open, pictures: dict[str, bytes], fields: dict[str, str], status: int, code: str, param: str
) -> None:
    async with served() as client:
        answer = await edit(client, pictures, **fields)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param), error
    assert error["type"] == "invalid_request_error" and error["message"]
    assert answer.headers["content-type"] == "application/json"


async def test_every_error_has_openais_shape(served: Open, pictures: dict[str, bytes]) -> None:
    async with served(limits=Limits(max_body_bytes=60_000)) as client:
        answers: list[Any] = [
            await edit(client, {"person": pictures["person"]}),
            await edit(client, pictures | {"third": pictures["garment"]}),
            await edit(client, {"person": pictures["garment"], "garment": pictures["garment"]}),
            await edit(client, pictures | {"person": b"a" * 70_000}),
            await client.post("/v1/images/edits", content=b"{", headers={"content-type": "application/json"}),
            await client.get("/v1/images/edits"),
            await client.post("/v1/images/variations"),
        ]
    async with served(anonymous=False) as client:
        answers.append(await edit(client, pictures))
    async with served(wrap=Talkative) as client:
        answers.append(await edit(client, pictures))

    found = [(answer.status_code, answer.json()["error"]["code"]) for answer in answers]
    assert found == [
        (400, "field_missing"),
        (400, "field_invalid"),
        (422, "no_person"),
        (413, "body_too_large"),
        (400, "request_malformed"),
        (405, "method_not_allowed"),
        (404, "not_found"),
        (401, "key_missing"),
        (500, "internal_error"),
    ]
    assert all(set(answer.json()["error"]) == {"message", "type", "param", "code"} for answer in answers)
    async with served(anonymous=False) as client:
        listing = await client.get("/v1/models")
    assert listing.json()["error"]["code"] == listing.json()["code"] == "key_missing", "it is everybody's route"
    assert answers[-1].json()["error"]["type"] == "server_error" and SECRET not in answers[-1].text
    assert answers[-2].headers["www-authenticate"].startswith("Bearer")


async def test_other_models_take_their_inputs_in_order() -> None:
    posing, speaking = TASKS["pose_transfer"].recipes[0], TASKS["text_to_person"].recipes[0]
    moved = translated(
        {"image[]": ["a", "b"], "prompt": "walk", "output_format": "jpeg", "output_compression": 80}, posing
    )
    said = translated({"prompt": "a man in a coat", "n": 2, "pose_map": poses.names()[0]}, speaking)

    assert {name: moved[name] for name in ("person", "pose", "quality")} == {"person": "a", "pose": "b", "quality": 80}
    assert "prompt" not in moved and said["prompt"] == "a man in a coat" and said["num_samples"] == 2
    assert said["pose_map"] == poses.names()[0]
    with pytest.raises(Problem, match="takes 2"):
        translated({"image": ["a", "b", "c"]}, posing)


async def test_the_document_has_an_example_of_each() -> None:
    edits = images_body([recipes.viton_hd_closet()], has_pictures=True)["requestBody"]["content"]
    generations = images_body(TASKS["text_to_person"].recipes, has_pictures=False)["requestBody"]["content"]

    assert set(edits) == {"multipart/form-data", "application/json"}
    assert len(edits["application/json"]["example"]["images"]) == 2
    assert edits["application/json"]["example"]["size"] == "192x256"
    assert generations["application/json"]["example"]["pose_map"] in poses.names()
