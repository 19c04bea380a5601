"""What is worn: a garment's cut, colours and pattern, from one seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from atelier.closet.canvas import Colour
from atelier.closet.dice import between, dice, pick
from atelier.closet.labels import DRESS, OUTER, PANTS, SKIRT, TOP, Label
from atelier.closet.shading import luminance, mixed, scaled

CATEGORIES = (
    "t-shirt", "long-sleeved top", "tank top", "shirt", "hoodie", "jacket", "trousers", "shorts", "skirt", "dress",
)  # fmt: skip
"""A garment's category is its seed modulo ten."""
TOPS = ("t-shirt", "long-sleeved top", "tank top", "shirt", "hoodie")
BOTTOMS = ("trousers", "shorts", "skirt")
PATTERNS = ("solid", "stripes", "checks", "dots", "gradient", "print", "logo", "fabric")
Neckline = Literal["crew", "v", "scoop", "collar", "hood", "strap"]

COLOURS: dict[str, Colour] = {
    "white": (243, 241, 237),
    "cream": (237, 226, 204),
    "grey": (166, 168, 173),
    "charcoal": (74, 77, 84),
    "black": (43, 43, 49),
    "navy": (46, 58, 94),
    "blue": (64, 108, 168),
    "light blue": (156, 188, 218),
    "teal": (50, 120, 124),
    "green": (76, 124, 92),
    "olive": (122, 122, 80),
    "mustard": (212, 164, 68),
    "orange": (222, 130, 70),
    "rust": (174, 88, 58),
    "red": (190, 60, 60),
    "burgundy": (120, 46, 62),
    "pink": (226, 148, 164),
    "blush": (234, 198, 192),
    "lilac": (178, 160, 206),
    "purple": (108, 82, 140),
    "brown": (124, 88, 66),
    "beige": (212, 194, 166),
}
_DENIM: dict[str, Colour] = {"indigo": (60, 76, 112), "denim blue": (92, 120, 158), "washed blue": (142, 166, 194)}
_SOBER = ("black", "charcoal", "navy", "grey", "beige", "olive", "brown", "cream", "burgundy", "white")
_WORDS = (
    "LYON",
    "OSLO",
    "NOVA",
    "RIO",
    "ATELIER",
    "WILD",
    "SOL",
    "KYOTO",
    "1987",
    "HELLO",
    "LUNA",
    "42",
    "BLOOM",
    "VITA",
)
LOGOS = ("circle", "star", "mountains", "sun", "heart", "waves", "flower", "bolt")


@dataclass(frozen=True, kw_only=True)
class Garment:
    """A garment's cut, in head heights of the average body, and its cloth.

    `sleeve` and `leg` say where a sleeve or a leg ends (0 shoulder or hip, 1 elbow or knee, 2 wrist or ankle);
    `hem` is how far below the neck's base a top ends; `ease` how far it stands off the body.
    """

    seed: int
    category: str
    pattern: str
    main: str
    colour: Colour
    second: Colour
    accent: Colour
    neckline: Neckline
    neck_depth: float
    sleeve: float
    cuff: float
    ease: float
    hem: float
    flare: float
    leg: float
    period: float
    duty: float
    vertical: bool
    word: str
    logo: str
    fabric: int
    trim: bool
    opened: bool
    crispness: float
    pocket: bool

    @property
    def label(self) -> Label:
        return {"jacket": OUTER, "dress": DRESS, "skirt": SKIRT, "trousers": PANTS, "shorts": PANTS}.get(
            self.category, TOP
        )

    @property
    def is_dark(self) -> bool:
        return luminance(self.colour) < 0.4

    @property
    def trim_colour(self) -> Colour:
        """Ribs, collars and cuffs: the accent where the cut has contrasting trims, else the cloth a little darker."""
        if self.trim:
            return self.accent
        return mixed(self.colour, (255, 255, 255), 0.12) if self.is_dark else scaled(self.colour, 0.9)


def garment_category(garment: int) -> str:
    """The category of a garment's seed, one of `CATEGORIES`."""
    return CATEGORIES[garment % len(CATEGORIES)]


def garment_seed(category: str, number: int) -> int:
    """The seed of the `number`-th garment of a category.

    Raises:
        ValueError: there is no such category.
    """
    if category not in CATEGORIES:
        raise ValueError(f"category is {category!r}, must be one of {', '.join(CATEGORIES)}")
    return number * len(CATEGORIES) + CATEGORIES.index(category)


@lru_cache(maxsize=512)
def garment_from(seed: int) -> Garment:
    """The garment that `seed` names."""
    rng = dice("garment", seed)
    category = garment_category(seed)
    pattern = _pattern(rng, category)
    sober = category in ("trousers", "shorts", "jacket") or (category in ("skirt", "shirt") and rng.random() < 0.4)
    main = pick(rng, _SOBER if sober and rng.random() < 0.8 else tuple(COLOURS))
    colour = COLOURS[main]
    if category in ("trousers", "shorts") and rng.random() < 0.4:
        main = pick(rng, tuple(_DENIM))
        colour = _DENIM[main]
        pattern = "solid"
    second = _contrasting(rng, colour)
    cut = _cut(rng, category)
    return Garment(
        seed=seed,
        category=category,
        pattern=pattern,
        main=main,
        colour=colour,
        second=second,
        accent=_contrasting(rng, colour),
        period=between(rng, 0.13, 0.42) if pattern != "checks" else between(rng, 0.2, 0.5),
        duty=between(rng, 0.25, 0.6),
        vertical=bool(rng.random() < (0.6 if category in ("shirt", "trousers") else 0.22)),
        word=pick(rng, _WORDS),
        logo=pick(rng, LOGOS),
        fabric=int(rng.integers(1 << 30)),
        trim=category in ("t-shirt", "hoodie", "tank top", "long-sleeved top") and bool(rng.random() < 0.3),
        opened=bool(rng.random() < 0.62),
        crispness=between(rng, 0.7, 1.2),
        pocket=bool(rng.random() < 0.5),
        **cut,
    )


def _pattern(rng: np.random.Generator, category: str) -> str:
    odds = {
        "shirt": ("solid", "solid", "stripes", "stripes", "checks", "checks", "dots", "fabric"),
        "hoodie": ("solid", "solid", "print", "print", "logo", "logo", "stripes", "gradient"),
        "jacket": ("solid", "solid", "solid", "checks", "fabric", "fabric"),
        "trousers": ("solid", "solid", "solid", "solid", "checks", "stripes", "fabric"),
        "shorts": ("solid", "solid", "checks", "stripes", "fabric", "dots"),
        "skirt": ("solid", "solid", "checks", "stripes", "dots", "gradient", "fabric", "fabric"),
        "dress": ("solid", "solid", "stripes", "checks", "dots", "dots", "gradient", "fabric", "fabric"),
    }
    usual = ("solid", "stripes", "stripes", "print", "print", "logo", "logo", "gradient", "dots", "checks", "fabric")
    return pick(rng, odds.get(category, usual))


def _cut(rng: np.random.Generator, category: str) -> dict[str, Any]:
    """The lengths of a category's cut."""
    cut: dict[str, Any] = {
        "neckline": pick(rng, ("crew", "crew", "crew", "v", "scoop")),
        "sleeve": 0.0,
        "cuff": 0.0,
        "ease": between(rng, 0.015, 0.07),
        "hem": between(rng, 2.25, 2.6),
        "flare": between(rng, 0.0, 0.05),
        "leg": 0.0,
    }
    if category == "t-shirt":
        cut["sleeve"] = between(rng, 0.48, 0.74)
    elif category == "long-sleeved top":
        cut.update(sleeve=between(rng, 1.78, 1.95), cuff=0.07)
    elif category == "tank top":
        cut.update(neckline="strap", ease=between(rng, 0.0, 0.05))
    elif category == "shirt":
        cut.update(neckline="collar", sleeve=pick(rng, (0.66, 1.93, 1.93)), cuff=0.1, hem=between(rng, 2.4, 2.7))
    elif category == "hoodie":
        cut.update(neckline="hood", sleeve=1.93, cuff=0.12, ease=between(rng, 0.07, 0.13), hem=between(rng, 2.3, 2.55))
    elif category == "jacket":
        cut.update(neckline=pick(rng, ("collar", "crew")), sleeve=1.95, cuff=0.1, ease=between(rng, 0.09, 0.14))
        cut["hem"] = between(rng, 2.2, 2.75)
    elif category == "trousers":
        cut.update(
            leg=between(rng, 1.82, 1.99), flare=pick(rng, (0.0, 0.02, 0.05, 0.12)), ease=between(rng, 0.012, 0.05)
        )
    elif category == "shorts":
        cut.update(leg=between(rng, 0.36, 0.82), flare=between(rng, 0.03, 0.09), ease=between(rng, 0.025, 0.06))
    elif category == "skirt":
        cut.update(leg=between(rng, 0.55, 1.55), flare=pick(rng, (0.0, 0.06, 0.16, 0.28, 0.36)))
    elif category == "dress":
        cut["neckline"] = pick(rng, ("crew", "v", "scoop", "strap", "strap"))
        if cut["neckline"] != "strap":
            cut["sleeve"] = pick(rng, (0.45, 0.6, 0.75, 1.9))
        cut.update(leg=between(rng, 0.6, 1.5), flare=pick(rng, (0.02, 0.1, 0.2, 0.32)), ease=between(rng, 0.01, 0.035))
    depth = {"crew": 0.27, "v": 0.62, "scoop": 0.46, "collar": 0.36, "hood": 0.32, "strap": 0.52}[cut["neckline"]]
    cut["neck_depth"] = depth + between(rng, -0.03, 0.06)
    return cut


def _contrasting(rng: np.random.Generator, colour: Colour) -> Colour:
    """A colour that can be told from `colour`."""
    for _ in range(12):
        other = COLOURS[pick(rng, tuple(COLOURS))]
        if sum(abs(a - b) for a, b in zip(other, colour, strict=True)) > 170:
            return other
    return COLOURS["white"] if luminance(colour) < 0.5 else COLOURS["navy"]
