"""SegFormer (Xie et al. 2021) by transformers, out of a local folder: nothing is ever downloaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from atelier.errors import WeightsError
from atelier.models.tensors import Picture
from atelier.weights import read_state

MODEL_TYPE = "segformer"
"""By which transformers' `config.json` names it."""
STEM = "model"
"""The weight file's name, without its suffix, as `save_pretrained` gives it."""

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How a picture is prepared for the network."""

    mean: tuple[float, ...] = _IMAGENET_MEAN
    std: tuple[float, ...] = _IMAGENET_STD
    size: tuple[int, int] | None = None
    """(height, width) that the weights were trained for, aspect or not; None takes pictures as they are."""

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """What `preprocessor_config.json` says, ImageNet's statistics where there is none.

        Raises:
            WeightsError: the file is there but is not one of transformers' image processors.
        """
        path = folder / "preprocessor_config.json"
        if not path.is_file():
            return cls()
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            size = _size(values.get("size")) if values.get("do_resize", True) else None
            mean, std = values.get("image_mean") or _IMAGENET_MEAN, values.get("image_std") or _IMAGENET_STD
            return cls(mean=tuple(map(float, mean)), std=tuple(map(float, std)), size=size)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise WeightsError(str(path), reason=f"is no image processor's configuration: {error!r}") from error


class Segformer(nn.Module):
    """Class logits at a quarter of its input's resolution, of a picture in [-1, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, preparation: Preparation) -> None:
        super().__init__()
        self.network, self.size = network, preparation.size
        self.register_buffer("mean", torch.tensor(preparation.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preparation.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, picture: Picture) -> Float[Tensor, "batch classes map_height map_width"]:
        """Logits of the whole picture, whatever its size."""
        if self.size is not None and tuple(picture.shape[2:]) != self.size:
            picture = F.interpolate(picture, size=self.size, mode="bilinear", antialias=True)
        return self.network(pixel_values=((picture + 1) / 2 - self.mean) / self.std).logits

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """The network that `save_pretrained` wrote as safetensors, in evaluation mode.

        Raises:
            WeightsError: files are missing, keys do not fit, or the configuration is not a SegFormer's.
        """
        # Here, because importing transformers' models takes seconds that a run on our own weights needn't spend.
        from transformers import SegformerForSemanticSegmentation

        folder = Path(folder)
        read_state(folder, STEM)  # says plainly what is wrong with the file, where transformers has many answers
        # By transformers, not by `load_into`: published files carry older key names, which it knows to translate.
        with _silent():
            loaded: Any = SegformerForSemanticSegmentation.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        network, report = loaded
        mis_shaped = [(key, tuple(have), tuple(want)) for key, have, want in report["mismatched_keys"]]
        missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
        if missing or unexpected or mis_shaped:
            raise WeightsError(str(folder), missing=missing, unexpected=unexpected, mis_shaped=mis_shaped)
        return cls(network, Preparation.from_folder(folder)).eval()


@contextmanager
def _silent() -> Iterator[None]:
    """Without transformers' progress bar and load report: what doesn't fit is raised, not written to a terminal."""
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def class_names(config: Mapping[str, Any], source: str) -> dict[int, str]:
    """`id2label` of transformers' configuration.

    Raises:
        WeightsError: there is none: without names nobody knows what a class is.
    """
    try:
        return {int(index): str(name) for index, name in config["id2label"].items()}
    except (KeyError, ValueError, AttributeError) as error:
        raise WeightsError(source, reason="config.json has no id2label that maps class ids to names") from error


def _size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    if isinstance(value, int):
        return value, value
    if "height" in value and "width" in value:
        return int(value["height"]), int(value["width"])
    return None  # by the shortest edge: the working size's own aspect
