"""A task is data: what a request of each has, from what its recipe takes; and the document that says so."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
from fastapi import FastAPI, Request

from atelier import poses, recipes
from atelier.images import decode_labels
from atelier.models.human_diffusion.phrases import parse
from atelier.models.human_diffusion.regions import REGIONS
from serving.api.addresses import Addresses
from serving.api.documents import body_of
from serving.api.forms import FormReader
from serving.api.problems import STATUSES, Problem, install
from serving.api.tasks import INPUT_FIELDS, tasks_of
from serving.api.views import JobView, MadeView
from serving.models.samples import PROMPTS, drawn_person
from serving.settings import Fetching, Limits
from tests.serving.conftest import SIZE, Open

pytestmark = pytest.mark.anyio
WITHOUT: dict[str, Any] = {"size": (128, 96), "weights": "nowhere", "mode": "fast", "batch_size": 2}
TASKS = tasks_of(
    [
        recipes.viton_hd_closet(),
        recipes.pose_transfer_by_pidm(name="in_poses", parser=None, pose=None, **WITHOUT),
        recipes.text_to_person(name="in_words", memory=None, **WITHOUT),
    ]
)


@pytest.fixture
def reading() -> httpx.AsyncClient:
    """An application that reads a form and tells what it read."""
    reader = FormReader(Limits(), Addresses(Fetching(), max_bytes=1000))
    app = FastAPI()
    install(app)

    @app.post("/{task}")
    async def read(task: str, request: Request) -> dict[str, Any]:
        form = await reader.read(request, TASKS, TASKS[task])
        inputs = {name: base64.b64encode(data).decode() for name, data in form.inputs.items()}
        return {"inputs": inputs, "prompt": form.options.prompt, "recipe": form.recipe.name, "sha256": form.sha256}

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


async def test_every_input_of_every_recipe_has_a_field() -> None:
    for task in TASKS.values():
        assert set(task.fields) <= set(INPUT_FIELDS) and task.path == f"/v1/{task.name.replace('_', '-')}"
    assert [task.has_prompt for task in TASKS.values()] == [False, False, True]


async def test_a_pose_is_a_name_a_file_or_a_picture(reading: httpx.AsyncClient) -> None:
    person = base64.b64encode(drawn_person(1, SIZE)).decode()
    name = poses.names()[0]
    file = poses.read(poses.address(name), "pose")
    ways = [name, poses.address(name), base64.b64encode(file).decode(), file.decode()]
    read = [
        (await reading.post("/pose_transfer", json={"person": person, "pose": way, "seed": 1})).json() for way in ways
    ]
    picture = (await reading.post("/pose_transfer", json={"person": person, "pose": person, "model": "pidm"})).json()
    given = (await reading.post("/pose_transfer", json={"person": person, "pose": json.loads(file)})).json()
    assert json.loads(base64.b64decode(given["inputs"]["pose"])) == json.loads(file)
    bare = await reading.post("/pose_transfer", json={"person": person, "pose": "flying"})
    assert bare.json()["code"] == "unknown_pose" and "there is no pose 'flying'" in bare.json()["detail"]
    assert bare.json()["field"] == "pose" and ", ".join(poses.names()) in bare.json()["detail"]
    wrong = await reading.post("/pose_transfer", json={"person": person, "pose": "pose:flying"})

    assert read[0] == read[1] == read[2] == read[3] and base64.b64decode(read[0]["inputs"]["pose"]) == file
    assert picture["inputs"]["pose"] == person and picture["recipe"] == "in_poses"
    assert (wrong.status_code, wrong.json()["code"]) == (422, "unknown_pose") and name in wrong.json()["detail"]


async def test_the_sentences_at_hand_say_nothing_but_what_their_maps_show() -> None:
    assert set(PROMPTS) == {"", *poses.outfits()}
    for outfit, prompt in PROMPTS.items():
        drawn = poses.read(poses.address(f"standing_{outfit}" if outfit else "standing"), "pose_map")
        shown = {REGIONS[label] for label in np.unique(decode_labels(drawn)).tolist()}
        assert parse(prompt).warnings == parse(prompt).unshown(shown) == (), outfit


@pytest.mark.parametrize(("num_bytes", "is_in_memory"), [(3_000_000, True), (6_000_000, False)])
async def test_photograph_is_held_in_memory_while_it_arrives(
    num_bytes: int, is_in_memory: bool, reading: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    async def run_in_threadpool(call: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal written
        written += 1
        return call(*arguments)

    monkeypatch.setattr("starlette.datastructures.run_in_threadpool", run_in_threadpool)
    picture = drawn_person(1, SIZE) + bytes(num_bytes)
    answer = (await reading.post("/pose_transfer", files={"person": picture}, data={"pose": poses.names()[0]})).json()
    assert base64.b64decode(answer["inputs"]["person"]) == picture
    assert (written == 0) == is_in_memory


async def test_a_sentence_is_an_input(reading: httpx.AsyncClient) -> None:
    name = poses.names()[0]
    read = (await reading.post("/text_to_person", data={"prompt": "a man in a coat", "pose_map": name})).json()
    multipart = await reading.post(
        "/text_to_person", files={"pose_map": (None, name), "prompt": (None, "a man in a coat")}
    )
    dumb = await reading.post("/text_to_person", json={"pose_map": name})

    assert read["code"] == "media_type_unsupported"
    assert multipart.json()["prompt"] == "a man in a coat"
    assert base64.b64decode(multipart.json()["inputs"]["pose_map"]) == poses.read(poses.address(name), "pose_map")
    assert (dumb.status_code, dumb.json()["code"]) == (400, "field_missing")


async def test_the_document_says_what_the_service_takes_and_answers(served: Open) -> None:
    async with served() as client:
        document = (await client.get("/openapi.json")).json()

    assert set(document["paths"]) == {
        "/v1/try-on",
        "/v1/images/edits",
        "/v1/jobs",
        "/v1/jobs/{job_id}",
        "/v1/jobs/{job_id}/events",
        "/v1/jobs/{job_id}/pictures/{number}",
        "/v1/models",
        "/v1/models/{recipe}",
        "/v1/usage",
    }
    contents = document["paths"]["/v1/try-on"]["post"]["requestBody"]["content"]
    assert set(contents) == {"multipart/form-data", "application/json"}
    assert contents["application/json"]["schema"]["required"] == ["person", "garment"]
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert "401" in route["responses"] and "403" in route["responses"], (path, method)
    assert document["components"]["schemas"]["ProblemBody"]["examples"]


async def test_examples_are_what_their_schemas_say() -> None:
    for tasks, is_job in [*(([task], False) for task in TASKS.values()), (list(TASKS.values()), True)]:
        said = body_of(tasks, is_job=is_job)
        for content in said["requestBody"]["content"].values():
            schema = json.loads(json.dumps(content["schema"]))
            jsonschema.Draft202012Validator.check_schema(schema)
            jsonschema.validate(content["example"], schema)
            assert set(tasks[0].recipes[0].inputs) <= set(content["example"])
        for header in said["parameters"]:
            jsonschema.validate(header["example"], header["schema"])


async def test_the_document_shows_what_comes_back(served: Open) -> None:
    async with served() as client:
        document = (await client.get("/openapi.json")).json()

    made, job = (document["components"]["schemas"][name]["examples"] for name in ("MadeView", "JobView"))
    assert MadeView.model_validate(made[0]).samples[0].picture
    assert [JobView.model_validate(one).state for one in job] == ["queued", "succeeded"]
    answer = document["paths"]["/v1/try-on"]["post"]["responses"]["200"]
    assert answer["content"]["image/jpeg"]["schema"]["format"] == "binary" and "X-Atelier-Seed" in answer["headers"]


async def test_the_document_says_how_a_key_is_sent_where_one_is_needed(served: Open) -> None:
    async with served() as client:
        free = (await client.get("/openapi.json")).json()
    async with served(anonymous=False) as client:
        document = (await client.get("/openapi.json")).json()

    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer" and schemes["header"]["name"] == "X-API-Key"
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert route["security"] == [{"bearer": []}, {"header": []}], (path, method)
    assert "securitySchemes" not in free["components"]
    heads = {
        path: [one["name"] for one in document["paths"][path]["post"]["parameters"] if one["in"] == "header"]
        for path in ("/v1/try-on", "/v1/jobs")
    }
    assert heads == {"/v1/try-on": ["Prefer", "Idempotency-Key", "X-Atelier-Timeout"], "/v1/jobs": ["Idempotency-Key"]}


async def test_every_code_has_a_status_that_http_knows() -> None:
    for code, status in STATUSES.items():
        body = Problem(code, "why").body()
        assert body.status == status and body.title
