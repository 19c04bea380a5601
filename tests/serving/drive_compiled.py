"""A model whose networks are compiled, beside the same that are not, in a process without shape checks in its way.

`python drive_compiled.py WEIGHTS` prints one JSON object: how many graphs were compiled before it was ready and after
it made a picture in each mode, and how far apart the pictures are.
"""

from __future__ import annotations

import asyncio
import json
import sys

import numpy as np
from torch._dynamo.utils import counters

from atelier.images import decode_picture
from atelier.stages.sampled import MODES
from serving.models.asked import Ask
from serving.models.family import ModelFamily
from serving.settings import ModelSettings
from tests.serving.held import INPUTS


def main() -> None:
    settings = ModelSettings(recipe="pidm_closet", weights={"weights": sys.argv[1], "mode": "fast"}, batch_size=1)
    plain, compiled = ModelFamily(settings), ModelFamily(settings.model_copy(update={"compile": True}))
    ready = counters["stats"]["unique_graphs"]
    found = [[picture(family, mode) for family in (plain, compiled)] for mode in MODES]
    apart = [float(np.abs(one.astype(float) - other).mean()) for one, other in found]
    sys.stdout.write(json.dumps({"ready": ready, "after": counters["stats"]["unique_graphs"], "apart": apart}))


def picture(family: ModelFamily, mode: str) -> np.ndarray:
    answer = asyncio.run(family.make(Ask(inputs=INPUTS, seeds=(7,), mode=mode, format="png", timeout_s=3600)))
    assert answer.refusal is None, answer.refusal
    return decode_picture(answer.samples[0].picture)


if __name__ == "__main__":
    main()
