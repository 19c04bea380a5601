"""What Ray Serve is handed: an application from plain values, and a proxy that drops what only the inside may say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from ray.serve import Application

from atelier.errors import ConfigError
from serving.app import build_app
from serving.offered import OFFERED, offered
from serving.proxy import middlewares
from serving.settings import ModelSettings, ServeSettings

pytestmark = pytest.mark.anyio


async def test_the_command_lines_words_are_settings() -> None:
    assert isinstance(build_app({"anonymous": "true"}), Application)
    assert isinstance(build_app(ServeSettings()), Application)
    with pytest.raises(ValidationError, match="anonymous"):
        build_app({"anonymous": "perhaps"})


async def test_a_model_takes_what_its_recipe_takes() -> None:
    weights = {"weights": "mine", "parser": None, "pose": None}
    assert offered("viton_hd", weights, batch_size=2).batch_size == 2
    for name in OFFERED:
        with pytest.raises(ConfigError, match=f"model {name}: was given the weights"):
            offered(name, {"wieghts": "x"})
    with pytest.raises(ConfigError, match="it needs"):
        offered("viton_hd", {})
    assert ModelSettings(recipe="viton_hd", weights=weights).weights == weights


async def test_the_proxy_drops_timeouts_that_callers_set() -> None:
    (middleware,) = middlewares()
    seen: list[Any] = []

    async def inside(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["headers"])

    app = middleware.cls(inside)
    headers = [(b"X-Request-Timeout-Seconds", b"0"), (b"x-request-disconnect-disabled", b"?1"), (b"accept", b"*/*")]
    await app({"type": "http", "headers": headers}, None, None)  # pyright: ignore[reportArgumentType]
    await app({"type": "websocket", "headers": headers}, None, None)  # pyright: ignore[reportArgumentType]

    assert seen == [[(b"accept", b"*/*")], headers]
