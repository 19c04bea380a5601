"""Pictures made by strangers, by the thousand: `python -m tests.serving.fuzz --pictures 10000 --seed 0`.

Each is sent to the real application, and is to be answered like any other mistake. A hang ends the process with every
thread's place after two minutes. Memory is looked at after each tenth, from the first on, when caches are full, and the
step that added most is left out: what leaks does so again and again, while a heap that once had room for a large
picture keeps it.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import faulthandler
import gc
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import httpx
import psutil
from PIL import Image

from atelier.images import PICTURE_CODES
from serving.api.api import create_api
from serving.jobs.sql import SqlJobs
from serving.models.client import LocalModel
from serving.models.family import ModelFamily
from serving.models.samples import drawn_garment, drawn_person
from serving.settings import ModelSettings, ServeSettings

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")
CODES = {*PICTURE_CODES, "garment_mask_needed", "picture_too_small"}
"""What a damaged person and a garment without a plain ground may be refused with."""
_HANGS_S = 120
_LIBC, _ARENA_MAX = ctypes.CDLL(None), -8
"""glibc's own number for it."""
_MOST_GROWTH = 24 * 2**20
"""Bytes, without the tenth that added most: a fraction of what 9,000 leaked pictures of 64 x 48 would be, 83 MB."""
_TENTHS = 10


def encoded(data: bytes, kind: str, *, crop: bool = False) -> bytes:
    """A small copy of a picture; `crop`: of its middle alone."""
    file = BytesIO()
    with Image.open(BytesIO(data)) as picture:
        middle = picture.crop((86, 118, 106, 138)) if crop else picture
        middle.resize((48, 64)).save(file, kind)
    return file.getvalue()


def mutated(data: bytes, dice: random.Random, other: bytes = b"") -> bytes:
    """A picture's file with bytes changed, cut out, doubled, cut off or, where there is one, out of another file."""
    broken = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(broken))
        kind = dice.randrange(6 if other else 4)
        if kind == 0:
            broken[at] = dice.randrange(256)
        elif kind == 1:
            broken[at : at + 4] = dice.randbytes(4)
        elif kind == 2 and len(broken) > 64:
            del broken[at : at + dice.randint(1, 32)]
        elif kind == 3:
            broken[at:at] = broken[at : at + dice.randint(1, 32)]
        elif kind == 4:
            start = dice.randrange(len(other))
            broken[at : at + dice.randint(0, 64)] = other[start : start + dice.randint(1, 64)]
        elif kind == 5:  # a length that lies, wherever a length may be
            broken[at : at + 4] = dice.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, len(broken))).to_bytes(4, "big")
    return bytes(broken[: dice.randint(1, len(broken))] if dice.random() < 0.2 else broken)


def damaged(whole: list[bytes], seed: int) -> Iterator[bytes]:
    """Mutations of whole files, in turn, without end."""
    dice = random.Random(seed)
    while True:
        for data in whole:
            yield mutated(data, dice, dice.choice(whole))


def resident() -> int:
    """Bytes of memory that this process holds on to, with what is free in its heap given back first."""
    gc.collect()
    if sys.platform == "linux":
        _LIBC.malloc_trim(0)
    return psutil.Process().memory_info().rss


async def answered(client: httpx.AsyncClient, pictures: Iterator[bytes], number: int, garment: bytes) -> Counter[str]:
    """How many of a number of persons were refused with which code.

    Raises:
        AssertionError: an answer that is no refusal of a picture.
    """
    codes: Counter[str] = Counter()
    for sent in range(number):
        if sent % 100 == 0:
            gc.collect()  # what errors and their frames keep of each other; late, it leaves holes in the heap
        faulthandler.dump_traceback_later(_HANGS_S, exit=True)
        answer = await client.post("/v1/try-on", files={"person": next(pictures), "garment": garment})
        assert answer.status_code in (413, 415, 422), answer.text
        codes[answer.json()["code"]] += 1
    faulthandler.cancel_dump_traceback_later()
    assert set(codes) <= CODES, codes
    return codes


async def main() -> None:
    if sys.platform == "linux":
        # A heap for every thread wanders by 60 MB up and down, and hides what a leak would add.
        _LIBC.mallopt(_ARENA_MAX, 1)
    parser = argparse.ArgumentParser(prog="python -m tests.serving.fuzz", description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    person, size = drawn_person(1, (256, 192)), (256, 192)
    # A garment without a plain ground is refused after it was decoded: nothing of these costs a run of the model.
    flat = encoded(drawn_garment(1, size), "PNG", crop=True)
    pictures = damaged([encoded(person, kind) for kind in FORMATS], told.seed)
    with tempfile.TemporaryDirectory() as folder:
        places = {name: str(Path(folder, name)) for name in ("store", "database", "keys")}
        model = ModelSettings(recipe="viton_hd_closet", batch_size=1)
        settings = ServeSettings(anonymous=True, models=(model,), **places)
        family = ModelFamily(model)
        app = create_api(settings, {model.recipe: LocalModel(family)}, SqlJobs(settings.database))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=None) as client:
            codes: Counter[str] = Counter()
            memory: list[int] = []
            for _ in range(_TENTHS):
                codes += await answered(client, pictures, told.pictures // _TENTHS, flat)
                memory.append(resident())
            steps = sorted(after - before for before, after in pairwise(memory))
            growth = sum(steps[:-1])
            fine = await client.post("/v1/try-on", files={"person": person, "garment": drawn_garment(1, size)})
        family.close()
    sys.stdout.write(
        f"{codes.total()} pictures: {dict(codes.most_common())}, memory {growth / 2**20:+.1f} MB "
        f"and once {steps[-1] / 2**20:+.1f} MB\n"
    )
    assert fine.status_code == 200, fine.text
    assert growth < _MOST_GROWTH, f"memory grew by {growth:,} bytes, without the largest step; it was {memory}"


if __name__ == "__main__":
    asyncio.run(main())
