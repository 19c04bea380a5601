"""Bodies and pictures made by strangers: each is answered, none with 500, and the service goes on."""

from __future__ import annotations

from itertools import islice

import pytest

from atelier.errors import RowError
from atelier.images import decode_picture
from serving.models.samples import drawn_person
from tests.serving.conftest import SIZE, Open
from tests.serving.fuzz import CODES, FORMATS, answered, damaged, encoded, resident

pytestmark = pytest.mark.anyio
NUM_DECODED = 2000


async def test_damaged_pictures_are_refused_and_the_service_goes_on(served: Open, pictures: dict[str, bytes]) -> None:
    # A garment without a plain ground is refused after it was decoded: nothing of these costs a run of the model.
    flat = encoded(pictures["garment"], "PNG", crop=True)
    whole = [encoded(pictures["person"], kind) for kind in FORMATS]
    async with served() as client:
        codes = await answered(client, damaged(whole, 0), 200, flat)
        fine = await client.post("/v1/try-on", files=pictures)

    assert len(codes) >= 4, f"the mutations must reach into the decoders: {codes}"
    assert fine.status_code == 200


def test_damaged_pictures_leave_nothing_in_memory() -> None:
    whole = [drawn_person(number, SIZE) for number in range(4)]
    codes: set[str] = set()
    memory = 0
    for number, data in enumerate(islice(damaged(whole, 1), NUM_DECODED)):
        if number == NUM_DECODED // 4:  # by then caches are full
            memory = resident()
        try:
            codes.add(str(decode_picture(data).shape))
        except RowError as error:
            codes.add(error.code)

    assert codes & CODES and f"({SIZE[0]}, {SIZE[1]}, 3)" in codes
    # Were decoded pictures to stay, these would be 210 MB.
    assert resident() - memory < 64 * 2**20
