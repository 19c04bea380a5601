"""Which garments are worn together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from atelier.closet.dice import dice, pick
from atelier.closet.garments import BOTTOMS, TOPS, Garment, garment_category, garment_from, garment_seed

_PLAIN_TOP = garment_seed("tank top", -1)


@dataclass(frozen=True, kw_only=True)
class Outfit:
    """Garment seeds. `top` is any upper garment or a dress; a dress hides the bottom.

    A jacket may be the `top` itself or the `outer` layer; without a top below, it is worn over a plain tank top.
    """

    top: int | None = None
    outer: int | None = None
    bottom: int | None = None


@dataclass(frozen=True, kw_only=True)
class Worn:
    """An outfit's garments, as painted: `layers` of the upper body from the skin outwards."""

    layers: tuple[Garment, ...]
    bottom: Garment | None


def worn(outfit: Outfit) -> Worn:
    """The garments of an outfit.

    Raises:
        ValueError: a seed of another category than its place, or a bottom missing where there is no dress.
    """
    _check("top", outfit.top, (*TOPS, "jacket", "dress"))
    _check("outer", outfit.outer, ("jacket",))
    _check("bottom", outfit.bottom, BOTTOMS)
    upper = [garment_from(seed) for seed in (outfit.top, outfit.outer) if seed is not None]
    if not upper or upper[0].category == "jacket":
        upper.insert(0, garment_from(_PLAIN_TOP))
    if len(upper) == 2:  # an outer layer is never tighter than what it goes over
        inner, outer = upper
        upper[1] = replace(outer, ease=max(outer.ease, inner.ease + inner.flare + 0.03))
    dressed = any(garment.category == "dress" for garment in upper)
    if outfit.bottom is None and not dressed:
        raise ValueError("outfit.bottom is None, must be a garment seed unless the top is a dress")
    bottom = None if dressed or outfit.bottom is None else garment_from(outfit.bottom)
    return Worn(layers=tuple(upper), bottom=bottom)


def _check(place: str, seed: int | None, allowed: tuple[str, ...]) -> None:
    if seed is not None and garment_category(seed) not in allowed:
        raise ValueError(
            f"outfit.{place} is garment {seed}, a {garment_category(seed)}; must be one of {', '.join(allowed)}"
        )


def top_seed(number: int) -> int:
    """The seed of the `number`-th top for try-on: T-shirts and long sleeves more often than the rest."""
    usual = ("t-shirt", "t-shirt", "t-shirt", "long-sleeved top", "long-sleeved top", "shirt", "hoodie", "tank top")
    return garment_seed(pick(dice("top", number), usual), number)


def bottom_seed(number: int) -> int:
    """The seed of the `number`-th bottom: trousers more often than shorts and skirts."""
    usual = ("trousers", "trousers", "trousers", "shorts", "skirt")
    return garment_seed(pick(dice("bottom", number), usual), number)


def outfit_for(seed: int) -> Outfit:
    """The outfit that `seed` names: mostly a top and a bottom, at times a jacket over it or a dress."""
    rng = dice("outfit", seed)
    chance = rng.random()
    if chance < 0.14:
        return Outfit(top=garment_seed("dress", seed))
    outer = garment_seed("jacket", seed) if chance > 0.84 else None
    return Outfit(top=top_seed(seed), outer=outer, bottom=bottom_seed(seed))
