"""Bodies and pictures made by strangers: each is answered, none with 500, and the service goes on."""

from __future__ import annotations

import random
from io import BytesIO

import pytest
from PIL import Image

from atelier.images import PICTURE_CODES
from tests.serving.conftest import Open

pytestmark = pytest.mark.anyio
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")


def encoded(data: bytes, kind: str, *, crop: bool = False) -> bytes:
    """A small copy of a picture; `crop`: of its middle alone."""
    file = BytesIO()
    with Image.open(BytesIO(data)) as picture:
        middle = picture.crop((86, 118, 106, 138)) if crop else picture
        middle.resize((48, 64)).save(file, kind)
    return file.getvalue()


def mutated(data: bytes, dice: random.Random) -> bytes:
    """A picture's file with bytes changed, cut out, doubled or cut off."""
    broken = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(broken))
        kind = dice.randrange(4)
        if kind == 0:
            broken[at] = dice.randrange(256)
        elif kind == 1:
            broken[at : at + 4] = dice.randbytes(4)
        elif kind == 2 and len(broken) > 64:
            del broken[at : at + dice.randint(1, 32)]
        else:
            broken[at:at] = broken[at : at + dice.randint(1, 32)]
    return bytes(broken[: dice.randint(1, len(broken))] if dice.random() < 0.2 else broken)


async def test_damaged_pictures_are_refused_and_the_service_goes_on(served: Open, pictures: dict[str, bytes]) -> None:
    dice = random.Random(0)
    # A garment without a plain ground is refused after it was decoded: nothing of these costs a run of the model.
    flat = encoded(pictures["garment"], "PNG", crop=True)
    whole = [encoded(pictures["person"], kind) for kind in FORMATS]
    codes: dict[str, int] = {}
    async with served() as client:
        for number in range(200):
            files = {"person": mutated(whole[number % len(whole)], dice), "garment": flat}
            answer = await client.post("/v1/try-on", files=files)
            problem = answer.json()
            assert answer.status_code in (413, 415, 422), problem
            codes[problem["code"]] = codes.get(problem["code"], 0) + 1
        fine = await client.post("/v1/try-on", files=pictures)

    assert set(codes) <= {*PICTURE_CODES, "garment_mask_needed", "picture_too_small"}, codes
    assert len(codes) >= 4, f"the mutations must reach into the decoders: {codes}"
    assert fine.status_code == 200
