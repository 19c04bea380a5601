"""What a judgement says as a whole: means by method and pattern, and everything needed to repeat it."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from atelier.evaluation.held_out import KINDS
from atelier.evaluation.pictures import PSNR_CAP, SSIM_PROTOCOL, PictureScores
from atelier.evaluation.try_on import Judgement, KeptScores

_LIBRARIES = ("torch", "numpy", "scikit-image", "pillow", "aggdraw")


def summary(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Means over items, by method; inside the changed region also by pattern kind."""
    methods = list(dict.fromkeys(judgement.method for judgement in judgements))
    by_method = {name: [judgement for judgement in judgements if judgement.method == name] for name in methods}
    kinds = [kind for kind in KINDS if any(judgement.kind == kind for judgement in judgements)]
    return {
        "changed": {name: _mean(one.changed for one in those) for name, those in by_method.items()},
        "changed_by_kind": {
            kind: {
                "items": sum(one.kind == kind for one in by_method[methods[0]]),
                **{name: _mean(one.changed for one in those if one.kind == kind) for name, those in by_method.items()},
            }
            for kind in kinds
        },
        "whole": {name: _mean(one.whole for one in those) for name, those in by_method.items()},
        "kept_psnr": {name: _mean(one.kept for one in those) for name, those in by_method.items()},
    }


def protocol(*, num_items: int, seed: int, size: tuple[int, int]) -> dict[str, Any]:
    """How the judging was done, in words and numbers."""
    return {
        "items": num_items,
        "seed": seed,
        "size": list(size),
        "pairing": "unpaired: the person wears another top than the one tried on; the truth is drawn",
        "held_out": "people, garments and poses with seeds from 1,000,000 up",
        "changed": "the union of the pixels that wear the top before and in the truth",
        "ssim": SSIM_PROTOCOL,
        "psnr": f"of the region's mean squared error, per item, at most {PSNR_CAP:.0f} dB; then averaged",
        "ciede2000": "mean over the region's pixels, per item; then averaged",
        "kept_psnr": "to the input picture, over pixels that are face or background both before and in the truth",
        "resizing": "none: drawn at the working size",
    }


def versions() -> Mapping[str, str]:
    """Of Python and the libraries that a score depends on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def _mean(scores: Iterable[PictureScores | KeptScores]) -> dict[str, float | None]:
    rows = [dataclasses.asdict(score) for score in scores]
    means: dict[str, float | None] = {}
    for name in rows[0]:
        values = [row[name] for row in rows if row[name] is not None]
        means[name] = round(float(np.mean(values)), 4) if values else None
    return means
