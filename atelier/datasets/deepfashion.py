"""DeepFashion In-shop for pose transfer: `<split>/` pictures, `fasion-resize-pairs-*.csv` and `…-annotation-*.csv`.

The misspelling is the convention. Annotations are `name:keypoints_y:keypoints_x` with COCO-18 joints in the frame of
the 256x176 pictures; -1 marks a missing joint.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import numpy as np

from atelier import storage
from atelier.datasets.samples import PoseTransferSample
from atelier.datasets.texts import read_text
from atelier.errors import CatalogError

Split = Literal["train", "test"]
MISSING = -1
_LAYOUT = "DeepFashion pose-transfer"
PAIRS = "fasion-resize-pairs-{split}.csv"
"""The list of a split's pairs, in the folder's root."""


def read(root: str, split: Split) -> Iterator[PoseTransferSample]:
    """The pairs of a split, in the list's order; keypoints as annotated.

    Raises:
        CatalogError: a file of the layout is absent, empty or no text, a pair names an unannotated picture, or a line
            is malformed.
    """
    pairs, annotations = _path(root, "pairs", split), _path(root, "annotation", split)
    joints = _annotations(root, annotations)
    rows = csv.DictReader(io.StringIO(read_text(pairs, root=root, layout=_LAYOUT)))
    if lacking := [name for name in ("from", "to") if name not in (rows.fieldnames or ())]:
        held = ",".join(rows.fieldnames or ())
        raise CatalogError(f"{pairs}: its header is {held!r}, without {' and '.join(lacking)}; must be 'from,to'")
    number = 1
    for number, row in enumerate(rows, start=2):
        names = (row.get("from"), row.get("to"))
        if absent := [name for name in names if name not in joints]:
            raise CatalogError(f"{pairs}, line {number}: names {absent}, which {annotations} does not annotate")
        source, target = str(names[0]), str(names[1])
        yield PoseTransferSample(
            source=storage.join(root, f"{split}/{source}"),
            target=storage.join(root, f"{split}/{target}"),
            source_keypoints=joints[source],
            target_keypoints=joints[target],
        )
    if number == 1:
        raise CatalogError(f"{pairs}: names no pair; each line below its header must be 'SOURCE.jpg,TARGET.jpg'")


def write(
    root: str,
    split: Split,
    pictures: Iterable[tuple[str, bytes, np.ndarray]],
    pairs: Iterable[tuple[str, str]],
) -> None:
    """Puts down a split.

    Args:
        pictures: name, encoded JPEG, COCO-18 keypoints [18, 3] in its pixels (confidence 0 where missing).
        pairs: names of (source, target).
    """
    lines = ["name:keypoints_y:keypoints_x"]
    for name, jpeg, keypoints in pictures:
        storage.put(storage.join(root, f"{split}/{name}"), jpeg)
        rounded = np.where(keypoints[:, 2:] > 0, np.rint(keypoints[:, :2]), MISSING).astype(int)
        lines.append(f"{name}: {json.dumps(rounded[:, 1].tolist())}: {json.dumps(rounded[:, 0].tolist())}")
    storage.put(_path(root, "annotation", split), ("\n".join(lines) + "\n").encode())
    listed = "".join(f"{source},{target}\n" for source, target in pairs)
    storage.put(_path(root, "pairs", split), f"from,to\n{listed}".encode())


def _annotations(root: str, address: str) -> Mapping[str, np.ndarray]:
    joints = {}
    for number, line in enumerate(read_text(address, root=root, layout=_LAYOUT).splitlines()[1:], start=2):
        parts = line.split(":")
        try:
            name, y, x = parts[0].strip(), json.loads(parts[1]), json.loads(parts[2])
            xy = np.stack([np.asarray(x, np.float32), np.asarray(y, np.float32)], axis=1)
            if xy.shape != (18, 2):
                raise ValueError(f"{len(xy)} joints")
        except (ValueError, IndexError) as error:
            raise CatalogError(f"{address}, line {number}: must be 'name:[18 y]:[18 x]', got {line[:80]!r}") from error
        present = (xy != MISSING).all(axis=1, keepdims=True)
        joints[name] = np.where(present, np.concatenate([xy, np.ones_like(xy[:, :1])], axis=1), 0).astype(np.float32)
    return joints


def _path(root: str, kind: Literal["pairs", "annotation"], split: Split) -> str:
    return storage.join(root, f"fasion-resize-{kind}-{split}.csv")
