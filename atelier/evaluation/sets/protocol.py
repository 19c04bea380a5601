"""What has to be said of an evaluation for its numbers to mean anything."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from atelier.evaluation.sets.resizing import Resize, Rule
from atelier.models.lpips import Net

Pairing = Literal["name", "person_id"]
PAIRINGS: dict[Pairing, str] = {
    "name": "equal paths inside their folders, file endings aside",
    "person_id": "equal paths, or else equal text before the first underscore: 00891_01430_00.jpg is of 00891_00.jpg",
}


@dataclass(frozen=True, kw_only=True)
class SsimRule:
    """Structural similarity (Wang et al. 2004) by scikit-image: Gaussian window, population covariance, border cropped.

    Args:
        colour: `rgb` averages the channels, `luma` is Pillow's conversion to `L` first.
        sigma: of the window, in pixels; it reaches 3.5 sigma.
        data_range: `255`, or the made picture's own maximum less minimum.
    """

    colour: Literal["rgb", "luma"] = "rgb"
    sigma: float = 1.5
    data_range: Literal["255", "made"] = "255"

    @property
    def window(self) -> int:
        """The window's side in pixels."""
        return 2 * int(3.5 * self.sigma + 0.5) + 1


@dataclass(frozen=True, kw_only=True)
class LpipsRule:
    """LPIPS 0.1.

    Args:
        net: the backbone it has to be; None takes the given weights' own.
        resize: of both pictures before it; None judges them at their own size.
    """

    net: Net | None = None
    resize: Resize | None = None


@dataclass(frozen=True, kw_only=True)
class DistanceRule:
    """FID and KID, or the same distances on other features.

    Args:
        against: the true partners, or the training set's pictures, which are then a third set.
        resize: of all pictures before the feature network, which resizes by its own rule after.
        kernel: whether the kernel distance (KID) is part of the protocol; it keeps every picture's features.
    """

    against: Literal["truth", "training"] = "truth"
    resize: Resize | None = None
    kernel: bool = True


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A way to evaluate, by name.

    Args:
        size: (height, width) that made pictures must have; None is whatever the first of them has. Nothing is cropped.
        truth_resize: how true pictures are brought to it; None: they must have it already.
        truth_rule: the same by its rule alone, where the size is that of the first made picture.
        num_pairs, num_training: pictures in the published evaluation; other counts are noted, not refused.
        sources: where each fact comes from.
        differences: what the published evaluation does otherwise.
    """

    name: str
    summary: str
    pairing: Pairing = "name"
    size: tuple[int, int] | None = None
    truth_resize: Resize | None = None
    truth_rule: Rule | None = None
    ssim: SsimRule = SsimRule()
    lpips: LpipsRule = LpipsRule()
    distance: DistanceRule = DistanceRule()
    num_pairs: int | None = None
    num_training: int | None = None
    sources: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()

    def at(self, size: tuple[int, int]) -> Protocol:
        """The protocol for made pictures of a size (height, width)."""
        if self.truth_rule is None:
            return self
        return dataclasses.replace(self, truth_resize=Resize(size=size, rule=self.truth_rule))

    def to_json(self) -> dict[str, Any]:
        """Every field, with the words for those that are names, and what is the same in all protocols."""
        return dataclasses.asdict(self) | {
            "pairing": PAIRINGS[self.pairing],
            "crop": "none",
            "colour": "sRGB, 8 bits: profiles converted, EXIF orientation applied, transparency on white",
            "ssim": dataclasses.asdict(self.ssim)
            | {"window_px": self.ssim.window, "covariance": "population", "border": "half a window cropped"},
            "psnr": "of the mean squared error over all channels, data range 255, per pair, at most 100 dB",
        }
