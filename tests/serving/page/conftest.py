"""A service on loopback whose page a real browser opens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from serving.api.api import create_api
from serving.jobs.sql import SqlJobs
from serving.models.client import LocalModel
from serving.models.family import ModelFamily
from serving.settings import ModelSettings, ServeSettings
from tests.serving.page.loopback import on_loopback


@pytest.fixture(scope="module")
def settings(tiny: Callable[[int], str], tmp_path_factory: pytest.TempPathFactory) -> ServeSettings:
    folder = tmp_path_factory.mktemp("page")
    model = ModelSettings(recipe="viton_hd_closet", weights={"weights": tiny(0)}, batch_size=1)
    names = {"store": "store", "database": "jobs.sqlite", "keys": "keys.json"}
    return ServeSettings(models=(model,), anonymous=True, **{name: str(folder / file) for name, file in names.items()})


@pytest.fixture(scope="module")
def model(settings: ServeSettings) -> LocalModel:
    return LocalModel(ModelFamily(settings.models[0]))


@pytest.fixture
def address(settings: ServeSettings, model: LocalModel, request: pytest.FixtureRequest) -> Iterator[str]:
    """A service on loopback, with keys where the test is parametrized so."""
    told = settings.model_copy(update=getattr(request, "param", {}))
    with on_loopback(create_api(told, {"viton_hd_closet": model}, SqlJobs(told.database))) as address:
        yield address
