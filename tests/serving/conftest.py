"""A service in this process: the real application over real models at small size, and drawn pictures to ask with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from serving.api.api import create_api
from serving.jobs.sqlite import SqliteJobs
from serving.models.client import LocalModel
from serving.models.family import ModelFamily
from serving.models.samples import drawn_garment, drawn_person
from serving.settings import ModelSettings, ServeSettings

SIZE = (256, 192)
Open = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def anyio_backend() -> str:
    """What `@pytest.mark.anyio` runs coroutines on."""
    return "asyncio"


def png(height: int, width: int) -> bytes:
    """A grey picture."""
    file = BytesIO()
    Image.fromarray(np.full((height, width, 3), 128, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def family_settings() -> ModelSettings:
    """The shipped try-on, one row at a time: a picture then takes a quarter of a second."""
    return ModelSettings(recipe="viton_hd_closet", batch_size=1)


@pytest.fixture(scope="session")
def ready(family_settings: ModelSettings) -> ModelFamily:
    """A family that was built once, for tests whose event loops differ only in who waits."""
    return ModelFamily(family_settings)


@pytest.fixture
def family(ready: ModelFamily) -> ModelFamily:
    return ready


@pytest.fixture
def pictures() -> dict[str, bytes]:
    """A person and a garment."""
    return {"person": drawn_person(1, SIZE), "garment": drawn_garment(1, SIZE)}


@pytest.fixture
def settings(tmp_path: Path, family_settings: ModelSettings) -> ServeSettings:
    """A service without keys."""
    return ServeSettings(
        anonymous=True,
        models=(family_settings,),
        store=str(tmp_path / "store"),
        database=str(tmp_path / "jobs.sqlite"),
        keys=str(tmp_path / "keys.json"),
    )


@pytest.fixture
def served(settings: ServeSettings, family: ModelFamily) -> Open:
    """Opens a client of a service; its arguments change the settings."""

    @asynccontextmanager
    async def open_service(
        peer: str = "127.0.0.1", wrap: Callable[[LocalModel], Any] = lambda model: model, **changes: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        told = settings.model_copy(update=changes)
        app = create_api(told, {"viton_hd_closet": wrap(LocalModel(family))}, SqliteJobs(told.database))
        transport = httpx.ASGITransport(app, client=(peer, 4242), raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client,
        ):
            yield client

    return open_service


async def until(look: Callable[[], Awaitable[Any]], *, tries: int = 400, pause_s: float = 0.05) -> Any:
    """The first true answer of `look`."""
    for _ in range(tries):
        if found := await look():
            return found
        await asyncio.sleep(pause_s)
    raise AssertionError("it did not come about")
