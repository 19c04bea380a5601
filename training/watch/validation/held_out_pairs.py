"""A DeepFashion folder's test split as rows of a catalog, with the true pictures beside them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from atelier import storage
from atelier.datasets import deepfashion
from atelier.datasets.samples import PoseTransferSample
from atelier.images import decode_picture, fit
from atelier.skeletons import body25
from training.data.sources.annotated import AnnotatedPose
from training.watch.validation.catalog import CatalogRow
from training.watch.validation.rows import Size, whole_rows


@dataclass(frozen=True, kw_only=True)
class TransferRow:
    """A row, its true picture uint8 RGB [H, W, 3], and where of it people are judged, bool [H, W]."""

    row: CatalogRow
    truth: np.ndarray
    person: np.ndarray


@lru_cache(maxsize=4)
def held_out_pairs(root: str, num_rows: int, size: Size, annotation_size: Size | None) -> tuple[TransferRow, ...]:
    """The first pairs of the test split; without parses the whole true picture is judged.

    Raises:
        CatalogError: the folder is not of that layout, or has no row that can be read.
    """
    annotation = AnnotatedPose(annotation_size=annotation_size).build(torch.device("cpu"))

    def read(sample: PoseTransferSample) -> TransferRow:
        source, target = storage.get(sample.source), storage.get(sample.target)
        decode_picture(source)  # the recipe does so again; a broken one is no row to judge by
        pose = annotation.run_row({"person_bytes": target, "joints_given": body25(sample.target_keypoints)})
        files = {"person": source, "parse": b"", "pose": pose["pose_bytes"]}
        row = CatalogRow(item_id=_name(sample), files=files, prompt="", truth=None)
        truth, _ = fit(decode_picture(target), size)
        return TransferRow(row=row, truth=truth, person=np.ones(size, bool))

    samples = ((_name(sample), sample) for sample in deepfashion.read(root, "test"))
    return whole_rows(root, samples, read, num_rows)


def _name(sample: PoseTransferSample) -> str:
    return " to ".join(storage.name(address).rsplit(".", 1)[0] for address in (sample.source, sample.target))
