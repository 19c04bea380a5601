"""`python -m tests.crash.drive_training OUTPUT CACHE MIN:MAX RUN`: a tiny run on Ray, looking often for room."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.training.loop.tiny_runs import request_for
from training.launch.ray_train import RayWorkers, train_on_ray


def main() -> int:
    output, cache, workers, run = sys.argv[1:]
    fewest, most = map(int, workers.split(":"))
    outcome = train_on_ray(
        request_for(run, Path(output), Path(cache), resume=True),
        RayWorkers(num_workers=(fewest, most), use_gpu=False, resize_every_s=5),
    )
    return 0 if outcome.is_done else 130


if __name__ == "__main__":
    sys.exit(main())
