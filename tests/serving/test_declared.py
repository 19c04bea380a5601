"""A service by declarative config: what is sent to Ray Serve, what may change in place, and what is refused before."""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.exceptions import AuthenticationError
from ray.serve.schema import ServeDeploySchema

from atelier.errors import ConfigError, WeightsError
from atelier.models import registry
from serving import environment
from serving.__main__ import main
from serving.declared import Declared, config_of, fits, stand, try_weights
from serving.deployments import check_serve
from serving.offered import offered
from serving.settings import ModelSettings, ScalingSettings, ServeSettings

pytestmark = pytest.mark.anyio
SHIPPED = Path(__file__).parents[2] / "infra" / "serve.yaml"


def told(**changes: Any) -> ServeSettings:
    weights = changes.pop("weights", {"weights": "pidm_closet"})
    return ServeSettings(models=(ModelSettings(), ModelSettings(recipe="pidm_closet", weights=weights)), **changes)


async def test_what_run_deploys_serve_deploy_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "serve.json"
    file.write_text(told().model_dump_json())
    assert main(["config", "--settings", str(file)]) == 0
    shown = json.loads(capsys.readouterr().out)

    (app,) = ServeDeploySchema.model_validate(shown).applications
    assert shown == config_of(told()) and ServeSettings.model_validate(app.args).models == told().models
    assert [one.user_config for one in app.deployments] == [{"weights": {}}, {"weights": {"weights": "pidm_closet"}}]
    assert Path(app.args["database"]).is_absolute() and Path(app.args["store"]).is_absolute()


async def test_the_shipped_config_is_one() -> None:
    (app,) = ServeDeploySchema.model_validate(yaml.safe_load(SHIPPED.read_text())).applications
    module, _, name = app.import_path.partition(":")
    settings = ServeSettings.model_validate(app.args)

    assert callable(getattr(import_module(module), name)) and settings.models == ServeSettings().models
    assert [one.name for one in app.deployments] == [model.recipe for model in settings.models]
    for one in app.deployments:
        recipe = offered(one.name, one.user_config["weights"])
        assert recipe.fingerprint() == offered(one.name, {}).fingerprint(), "it says what is the default"


async def test_weights_alone_change_in_place() -> None:
    assert fits(told(), told(weights={"weights": "pidm_closet", "mode": "fast"}))
    assert not fits(told(), told(jobs={"at_once": 3}))
    assert not fits(told(), told().model_copy(update={"models": told().models[:1]}))
    published = [
        ModelSettings(recipe="viton_hd", weights={"weights": "a", "parser": None, "pose": None}),
        ModelSettings(recipe="viton_hd", weights={"weights": "b", "parser": None, "pose": None}),
    ]
    assert fits(*(ServeSettings(models=(one,)) for one in published))
    scaled = told().models[1].model_copy(update={"scaling": ScalingSettings()})
    assert not fits(told(), told().model_copy(update={"models": (told().models[0], scaled)}))


async def test_what_a_service_that_is_not_there_yet_waits_for() -> None:
    waits = {
        "name": "pidm_closet",
        "status": "UPDATING",
        "message": "1 replicas have taken more than 30s to be scheduled",
    }
    begun = {"name": "Ingress", "status": "UPDATING", "message": ""}
    ready = {"name": "viton_hd_closet", "status": "HEALTHY", "message": ""}
    app = {"status": "DEPLOYING", "deployments": {one["name"]: one for one in (ready, waits, begun)}}

    assert stand(app) == (
        "Serve says DEPLOYING; pidm_closet is UPDATING: 1 replicas have taken more than 30s to be scheduled; "
        "Ingress is UPDATING: its replicas start"
    )
    assert stand({}) == "Serve knows of none"


async def test_a_token_that_is_not_taken_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AuthenticationError("Unauthorized: Invalid or missing authentication token")

    monkeypatch.setattr("ray.dashboard.modules.serve.sdk.ServeSubmissionClient", refuse)
    with pytest.raises(ConfigError, match=r"http://127\.0\.0\.1:9 wants Ray's token, .* or set RAY_AUTH_TOKEN"):
        Declared("http://127.0.0.1:9")


async def test_nobody_at_the_door_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"dashboard: http://127\.0\.0\.1:9 does not answer"):
        Declared("http://127.0.0.1:9")
    assert main(["apply", str(tmp_path / "absent.json")]) == 2
    assert "absent.json: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "address", ["foo", "", "127.0.0.1:8265", "ray://127.0.0.1:1", "http://", "http://a:b", "http://[a"]
)
async def test_what_is_no_address_is_no_dashboard(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "serve.json"
    file.write_text(told().model_dump_json())
    assert main(["apply", str(file), "--dashboard", address]) == 2
    assert capsys.readouterr().err == (
        f"dashboard: is {address!r}; must be http://HOST:PORT, e.g. http://127.0.0.1:8265\n"
    )


async def test_the_environment_is_shown_as_a_shell_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["environment"]) == 0
    told = dict(line.removeprefix("export ").split("=", 1) for line in capsys.readouterr().out.splitlines())

    assert told["RAY_AUTH_MODE"] == "token" and told[environment.PROXY_CALLBACK] == "serving.proxy:middlewares"
    assert set(environment.ENVIRONMENT) < set(told)


async def test_a_serve_that_stands_open_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.PROXY_CALLBACK, environment.ENVIRONMENT[environment.PROXY_CALLBACK])
    free = ServeSettings(anonymous=True)
    for host in ("127.0.0.1", "localhost", "::1", None):
        check_serve(free, host=host)
    check_serve(ServeSettings(), host="0.0.0.0")
    with pytest.raises(ConfigError, match=r"http_options.host is '0.0.0.0'; without keys"):
        check_serve(free, host="0.0.0.0")
    monkeypatch.delenv(environment.PROXY_CALLBACK)
    with pytest.raises(ConfigError, match=f"{environment.PROXY_CALLBACK} is None"):
        check_serve(ServeSettings(), host="127.0.0.1")


async def test_weights_are_tried_before_a_service_is_given_them(tmp_path: Path) -> None:
    whole = Path(registry.folder("pidm_closet"))
    try_weights(ModelSettings(recipe="pidm_closet", weights={"weights": str(whole)}))
    copy = shutil.copytree(whole, tmp_path / "copy")
    unet = copy / "unet.safetensors"
    unet.write_bytes(unet.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        try_weights(ModelSettings(recipe="pidm_closet", weights={"weights": str(copy)}))
    shutil.copy(whole / "encoder.safetensors", unet)
    with pytest.raises(WeightsError, match="unet"):
        try_weights(ModelSettings(recipe="pidm_closet", weights={"weights": str(copy)}))
