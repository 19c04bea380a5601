"""Batch sizes that a device was measured at: as large as gains, as small as those who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
import pytest
import torch

from serving.api.api import create_api
from serving.jobs.sql import SqlJobs
from serving.models.asked import Ask
from serving.models.batch_sizes import BatchSizes, measured, told
from serving.models.client import LocalModel
from serving.models.family import ModelFamily
from serving.settings import ModelSettings, ServeSettings

pytestmark = pytest.mark.anyio


class Device:
    """Takes so many seconds for a batch of each size, at first ten times as long; has no memory beyond the last."""

    def __init__(self, seconds: Sequence[float]) -> None:
        self.seconds = dict(zip((1, 2, 4, 8, 16), seconds, strict=False))
        self.now_s, self.made = 0.0, []

    def make(self, size: int) -> None:
        if size not in self.seconds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.now_s += self.seconds[size] * (1 if size in self.made else 10)
        self.made.append(size)

    def sizes(self, most: int = 64) -> BatchSizes:
        return measured(self.make, most=most, clock=lambda: self.now_s)


async def test_sizes_grow_while_they_gain() -> None:
    device = Device([1.0, 1.2, 1.6, 3.1, 6.0])
    sizes = device.sizes()

    assert sizes.sizes == (1, 2, 4) and sizes.largest == 4
    assert sizes.seconds == pytest.approx({1: 1.0, 2: 1.2, 4: 1.6, 8: 3.1})
    assert [sizes.size_for(rows) for rows in (1, 2, 3, 4)] == [1, 2, 4, 4]
    assert 16 not in device.made


async def test_memory_and_the_setting_bound_them() -> None:
    assert Device([1.0, 1.1]).sizes().sizes == (1, 2)
    assert Device([1.0] * 5).sizes(most=5).sizes == (1, 2, 4)
    assert Device([1.0, 2.0]).sizes().sizes == (1,)
    assert told(3).size_for(1) == told(3).largest == 3
    with pytest.raises(torch.OutOfMemoryError):
        Device([]).sizes()


@pytest.mark.slow
async def test_a_measured_model_makes_lone_pictures_alone_and_tells_its_table(
    settings: ServeSettings,
    family_settings: ModelSettings,
    pictures: dict[str, bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="serving.models.family")
    model = family_settings.model_copy(update={"batch_size": "measured", "most_batch_size": 2})
    family = ModelFamily(model)
    app = create_api(
        settings.model_copy(update={"models": (model,)}),
        {model.recipe: LocalModel(family)},
        SqlJobs(settings.database),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        (card,) = (await client.get("/v1/models")).json()["models"]
        lone = (await client.post("/v1/try-on", files=pictures, data={"seed": "7"})).json()["samples"][0]
    fixed = ModelFamily(family_settings)
    alone = await fixed.make(Ask(inputs=pictures, seeds=(7,)))
    pair = await asyncio.gather(*(family.make(Ask(inputs=pictures, seeds=(7, 8))) for _ in range(2)))
    family.close()
    fixed.close()

    assert set(card["batch_seconds"]) == {"1", "2"} and all(value > 0 for value in card["batch_seconds"].values())
    assert card["batch_size"] in (1, 2) and "measured 1: " in caplog.text
    # A batch that is padded to 1 has the bits of batch size 1; what it was made at is told with each picture.
    assert lone["batch_shape"] == [1, 256, 192] and lone["sha256"] == alone.samples[0].sha256
    assert {sample.batch_shape[0] for answer in pair for sample in answer.samples} <= {1, card["batch_size"]}
