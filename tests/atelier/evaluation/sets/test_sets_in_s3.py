"""Sets in an object store are judged as those on disk are."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atelier import storage
from atelier.evaluation import sets


@pytest.mark.slow
def test_sets_in_a_store_score_as_on_disk(s3: str, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    for number in range(5):
        for side in ("made", "true"):
            file = io.BytesIO()
            Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(file, "PNG")
            for root in (s3, str(tmp_path)):
                storage.put(f"{root}/{side}/tops/{number}.png", file.getvalue())
    records = []
    for root in (s3, str(tmp_path)):
        evaluation = sets.evaluate(sets.Job(made=f"{root}/made", truth=f"{root}/true", num_threads=2))
        sets.write(evaluation, f"{root}/judged")
        record = json.loads(storage.get(f"{root}/judged/eval.json"))
        for facts in record["sets"].values():
            assert facts.pop("address").startswith(root)
        records.append(record)
    assert records[0] == records[1] and records[0]["num_pairs"] == 5
    assert storage.get(f"{s3}/judged/pairs.csv") == storage.get(f"{tmp_path}/judged/pairs.csv")
