"""What Ray Serve is handed: an application from plain values, and what stands around its proxy."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from ray.serve import Application
from starlette.responses import PlainTextResponse, Response

from atelier import recipes
from atelier.errors import ConfigError
from serving import environment
from serving.__main__ import main
from serving.api.problems import Problem
from serving.app import build_app
from serving.offered import OFFERED, offered
from serving.proxy import middlewares
from serving.settings import ModelSettings, ServeSettings

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # where the default store is looked at


async def test_the_command_lines_words_are_settings() -> None:
    assert isinstance(build_app({"anonymous": "true"}), Application)
    assert isinstance(build_app(ServeSettings()), Application)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"anonymous": "maybe"}, "anonymous: is 'maybe'; must be true or false"),
        ({"ingress_replicas": "x"}, "ingress_replicas: is 'x'; must be a whole number"),
        ({"models": "foo"}, "models: is 'foo'; must be a list"),
    ],
)
async def test_the_command_lines_words_that_cannot_be_are_told_as_run_tells_them(
    args: dict[str, str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        build_app(args)
    assert str(refused.value) == expected and refused.value.__suppress_context__

    file = tmp_path / "serve.json"
    file.write_text(json.dumps(args))
    assert main(["config", "--settings", str(file)]) == 2 and capsys.readouterr().err == f"{file}: {expected}\n"


async def test_a_store_that_cannot_be_written_is_told_as_run_tells_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for store, why in (
        ("file/x", f"cannot be written: {tmp_path}/file is a file"),
        ("gs://bucket", "its scheme is unk"),
    ):
        with pytest.raises(ConfigError) as refused:
            build_app({"anonymous": "true", "store": store})
        assert str(refused.value).startswith(f"store: is {store!r}; {why}")


async def test_every_word_that_cannot_be_has_a_line() -> None:
    with pytest.raises(ConfigError) as refused:
        build_app({"bogus": "1", "drain_s": "-1"})
    first, second = str(refused.value).splitlines()
    assert first == "drain_s: is '-1'; must be at least 0"
    assert second.startswith("bogus: there is no such field; there are models, store, ")


async def test_what_serve_run_builds_finds_room_and_a_proxy_that_drops_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.ENVIRONMENT:
        monkeypatch.setenv(name, "")  # so that it is as before when this test is over
        monkeypatch.delenv(name)
    app: Any = build_app({"anonymous": "true"})  # before Ray starts, as `serve run` does it
    models = [one._bound_deployment.ray_actor_options["num_cpus"] for one in app._bound_deployment.init_args[1:]]

    assert len(models) == len(recipes.RECIPES) and sum(models) <= 1, "two cores have room for all"
    assert {name: os.environ[name] for name in environment.ENVIRONMENT} == environment.ENVIRONMENT


async def test_a_model_takes_what_its_recipe_takes() -> None:
    weights = {"weights": "mine", "parser": None, "pose": None}
    assert offered("viton_hd", weights, batch_size=2).batch_size == 2
    for name in OFFERED:
        with pytest.raises(ConfigError, match=f"model {name}: was given the weights"):
            offered(name, {"wieghts": "x"})
    with pytest.raises(ConfigError, match="and needs"):
        offered("viton_hd", {})
    with pytest.raises(ConfigError, match="model pidm_closet: mode: is 'ultra'"):
        offered("pidm_closet", {"mode": "ultra"})
    assert ModelSettings(recipe="viton_hd", weights=weights).weights == weights


async def test_the_proxy_drops_timeouts_that_callers_set() -> None:
    middleware = middlewares()[0]
    seen: list[Any] = []

    async def inside(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["headers"])

    app = middleware.cls(inside)
    headers = [(b"X-Request-Timeout-Seconds", b"0"), (b"x-request-disconnect-disabled", b"?1"), (b"accept", b"*/*")]
    await app({"type": "http", "headers": headers}, None, None)  # pyright: ignore[reportArgumentType]
    await app({"type": "websocket", "headers": headers}, None, None)  # pyright: ignore[reportArgumentType]

    assert seen == [[(b"accept", b"*/*")], headers]


async def test_a_proxy_that_knows_of_no_application_yet_says_so() -> None:
    def serves_own(path: str) -> Response:
        return PlainTextResponse(f"Path '{path}' not found. Ping http://.../-/routes for available routes.", 404)

    async def answered(response: Response) -> httpx.Response:
        app = middlewares()[1].cls(response)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get("/v1/jobs/1")

    starting = await answered(serves_own("/v1/jobs/1"))
    problem = Problem("starting", "the service is not up yet; ask again", retry_after_s=2.0).response()
    assert (starting.status_code, starting.content) == (problem.status_code, problem.body)
    names = ("content-type", "retry-after", "content-length")
    assert [starting.headers[name] for name in names] == [problem.headers[name] for name in names]

    for response in (
        Problem("job_unknown", "there is no such job").response(),
        PlainTextResponse("Path", 404),
        Response(status_code=404),
        PlainTextResponse("made"),
    ):
        told = await answered(response)
        assert (told.status_code, told.content) == (response.status_code, response.body), (
            "what an application says stays"
        )
