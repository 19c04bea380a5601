"""Held-out rows of a data set beside what is prepared of it: validations find them where the training data lie."""

from __future__ import annotations

import itertools
import logging

from atelier import storage
from atelier.datasets import deepfashion, viton_hd
from atelier.datasets.samples import PoseTransferSample, TryOnSample
from training.data.sources.deepfashion import DeepFashionSource
from training.data.sources.source import Source
from training.data.sources.viton_hd import VitonHDSource

FOLDER = "held_out"
"""In a folder of shards: a few rows of the test split, in their data set's own layout."""
NUM_ROWS = 32
_LISTS = {"viton_hd": viton_hd.PAIRS.format(split="test"), "deepfashion": deepfashion.PAIRS.format(split="test")}


def check_held_out(source: Source, *, num_rows: int = NUM_ROWS) -> None:
    """Reads the list of a source's test split as validations will, before hours are spent on the other split.

    Raises:
        CatalogError: it names what is not there.
    """
    _try_ons(source, num_rows)
    _transfers(source, num_rows)


def carry_held_out(source: Source, output: str, *, num_rows: int = NUM_ROWS) -> int:
    """Copies the first rows of a source's test split into its shards' folder, and gives how many there are.

    0 where the source has no test split; the pair list comes last, and one that is there is not written again.

    Raises:
        CatalogError: a test split that names what is not there.
    """
    folder = storage.join(storage.resolve(output), FOLDER)
    if samples := _try_ons(source, num_rows):
        if not _has_test(folder, "viton_hd"):
            viton_hd.write(folder, "test", (_files(sample) for sample in samples))
        return len(samples)
    if pairs := _transfers(source, num_rows):
        joints = {pair.source: pair.source_keypoints for pair in pairs}
        joints |= {pair.target: pair.target_keypoints for pair in pairs}
        if not _has_test(folder, "deepfashion"):
            pictures = ((storage.name(at), storage.get(at), joints[at]) for at in joints)
            names = [(storage.name(pair.source), storage.name(pair.target)) for pair in pairs]
            deepfashion.write(folder, "test", pictures, names)
        return len(pairs)
    return 0


def held_out_root(data: str | None, layout: str) -> str | None:
    """The folder of a layout's test split that lies beside a run's data; None says so to the log, but for drawn data.

    Args:
        data: address of a folder in that layout, perhaps with the layout's name before it, or of shards.
        layout: `viton_hd` or `deepfashion`.
    """
    if data is None:
        return None
    root = data.removeprefix(f"{layout}:")
    for folder in (root, storage.join(root, FOLDER)):
        if _has_test(folder, layout):
            return folder
    logging.getLogger(__name__).warning(
        "%s: there is no test split (%s) beside the data: validations draw people of the closet, whose figures say "
        "little of this data; `python -m training prepare` carries held-out rows along where the data set has some",
        *(root, _LISTS[layout]),
    )
    return None


def _try_ons(source: Source, num_rows: int) -> list[TryOnSample]:
    if not isinstance(source, VitonHDSource) or not _has_test(source.root, "viton_hd"):
        return []
    return list(itertools.islice(viton_hd.read(source.root, "test", paired=True), num_rows))


def _transfers(source: Source, num_rows: int) -> list[PoseTransferSample]:
    if not isinstance(source, DeepFashionSource) or not _has_test(source.root, "deepfashion"):
        return []
    return list(itertools.islice(deepfashion.read(source.root, "test"), num_rows))


def _has_test(root: str, layout: str) -> bool:
    return storage.exists(storage.join(root, _LISTS[layout]))


def _files(sample: TryOnSample) -> viton_hd.TryOnFiles:
    return viton_hd.TryOnFiles(
        name=sample.person_id,
        person_jpeg=storage.get(sample.person),
        garment_jpeg=storage.get(sample.garment),
        garment_mask_jpeg=storage.get(sample.garment_mask),
        parse_png=storage.get(sample.parse),
        keypoints_json=storage.get(sample.keypoints),
        pose_image_png=storage.get(sample.pose_image),
    )
