"""Which source lies at an address: named before it, or told by the files that only its layout has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from atelier import storage
from atelier.errors import CatalogError, ConfigError
from training.data.sources.deepfashion import DeepFashionSource
from training.data.sources.multimodal import MultimodalSource
from training.data.sources.source import Source
from training.data.sources.viton_hd import VitonHDSource

CLOSET = "closet"
"""The address of drawn data, which lies nowhere."""

_TELLING: Mapping[str, str] = {
    "viton_hd": "{split}_pairs.txt",
    "deepfashion": "fasion-resize-pairs-{split}.csv",
    "multimodal": "captions.json",
}
"""A file of each layout that the others have not."""


@dataclass(frozen=True, kw_only=True)
class LayoutSettings:
    """How a folder of any layout is read.

    Args:
        size: working size (H, W).
        parser, pose: weights that find parse and keypoints in place of the data set's own, as they will be found in
            use; None takes what the data set brings. DeepFashion brings no parses.
        annotation_size: of DeepFashion's joints, see `DeepFashionSource`.
    """

    size: tuple[int, int]
    split: Literal["train", "test"] = "train"
    parser: str | None = None
    pose: str | None = None
    annotation_size: tuple[int, int] | None = None
    device: str = "cpu"


def find_source(address: str, settings: LayoutSettings, *, with_keypoints: bool = True) -> Source:
    """The source at `address`, or at `layout:address`.

    Args:
        with_keypoints: whether somebody reads the samples' joints, see `MultimodalSource`; the other layouts' are
            always there.

    Raises:
        CatalogError: the folder has none of the layouts, is a file, or nothing lies there.
    """
    layout, root = _named(address)
    is_empty = next(storage.list(root), None) is None
    is_bucket = storage.is_s3(root) and storage.parent(storage.resolve(root)) == storage.resolve(root)
    if is_empty and not is_bucket and storage.exists(root):
        raise CatalogError(
            f"{root}: is a file; must be a folder or s3:// prefix, of a data set or of prepared data, "
            f"such as {storage.parent(storage.resolve(root))}"
        )
    if not layout:
        tried = {name: file.format(split=settings.split) for name, file in _TELLING.items()}
        found = [name for name, file in tried.items() if storage.exists(storage.join(root, file))]
        if not found:
            looked_for = ", ".join(f"{file} ({name})" for name, file in tried.items())
            hint = f"; before a colon may stand {', '.join(_TELLING)}" if ":" in root.removeprefix("s3://") else ""
            raise CatalogError(
                f"{root}: {'nothing lies there' if is_empty else 'holds no data set'}: there is none of {looked_for}, "
                f"nor the index.json that ends prepared data{hint}"
            )
        layout = found[0]
    root = storage.resolve(root)
    if layout == "viton_hd":
        return VitonHDSource(
            root=root,
            size=settings.size,
            split=settings.split,
            parser=settings.parser,
            pose=settings.pose,
            device=settings.device,
        )
    if layout == "deepfashion":
        return DeepFashionSource(
            root=root,
            size=settings.size,
            split=settings.split,
            annotation_size=settings.annotation_size,
            parser=settings.parser,
            pose=settings.pose,
            device=settings.device,
        )
    if settings.parser is not None or settings.pose is not None:
        raise ConfigError(f"{root}: parser and pose are for a viton_hd or deepfashion folder, this is {layout}")
    return MultimodalSource(root=root, size=settings.size, with_keypoints=with_keypoints)


def resolve(address: str) -> str:
    """An address of data that means the same in every process, whatever layout is named before it."""
    if address == CLOSET:
        return address
    layout, root = _named(address)
    return f"{layout}:{storage.resolve(root)}" if layout else storage.resolve(root)


def _named(address: str) -> tuple[str, str]:
    for layout in _TELLING:
        if address.startswith(f"{layout}:"):
            return layout, address.removeprefix(f"{layout}:")
    return "", address
