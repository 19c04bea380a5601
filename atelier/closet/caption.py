"""A sentence that describes a look or a flat lay."""

from __future__ import annotations

from atelier.closet.garments import Garment
from atelier.closet.outfits import Worn
from atelier.closet.people import SKINS, Person
from atelier.closet.poses import Pose

_STANCES = {
    "standing": "standing straight",
    "feet apart": "standing with feet apart",
    "one knee loose": "standing with one knee loose",
    "legs crossed": "standing with legs crossed",
    "turned": "standing turned to the side",
    "walking": "walking",
    "seated": "sitting on a box",
}


def _article(phrase: str) -> str:
    return ("an " if phrase[0].lower() in "aeiou" else "a ") + phrase


def garment_phrase(garment: Garment) -> str:
    """A garment in words: colour, pattern, cut and category, without an article."""
    words = [garment.main]
    pattern = {
        "stripes": "vertically striped" if garment.vertical else "striped",
        "checks": "checked",
        "dots": "dotted",
        "gradient": "gradient",
    }.get(garment.pattern, "")
    if garment.pattern == "fabric":
        words = ["patterned"]
    if pattern:
        words.append(pattern)
    if garment.category in ("t-shirt", "long-sleeved top", "dress") and garment.neckline in ("v", "scoop"):
        words.append({"v": "V-neck", "scoop": "scoop-neck"}[garment.neckline])
    if garment.category == "shirt" and garment.sleeve < 1:
        words.append("short-sleeved")
    if garment.category == "jacket":
        words.append("open" if garment.opened else "closed")
    words.append("T-shirt" if garment.category == "t-shirt" else garment.category)
    phrase = " ".join(words)
    if garment.pattern == "print":
        phrase += f' with the word "{garment.word}"'
    elif garment.pattern == "logo":
        phrase += f" with a {garment.logo} logo"
    return phrase


def _noun(garment: Garment) -> str:
    phrase = garment_phrase(garment)
    return phrase if garment.category in ("trousers", "shorts") else _article(phrase)


def _skin_word(person: Person) -> str:
    tone = sum(person.skin)
    bounds = [sum(SKINS[k]) for k in (2, 4, 6, 8)]
    for bound, word in zip(bounds, ("fair", "light", "tan", "brown"), strict=True):
        if tone >= bound:
            return word
    return "dark"


def look_caption(person: Person, pose: Pose, clothes: Worn) -> str:
    """One sentence: the person, the garments from the skin outwards, the pose."""
    if person.hair_style == "bald":
        hair = "a bald head"
    elif person.hair_style in ("bun", "afro", "ponytail", "bob", "quiff", "side part", "buzz cut"):
        hair = f"{_article(person.hair)} {person.hair_style}"
    else:
        hair = f"{person.hair_style} {person.hair} hair"
    extras = ["a beard"] * person.beard + ["glasses"] * person.glasses + ([f"a {person.hat}"] if person.hat else [])
    *traits, last = f"{_skin_word(person)} skin", hair, *extras
    garments = [_noun(garment) for garment in reversed(clothes.layers)]
    outfit = " over ".join(garments)
    if clothes.bottom is not None:
        outfit += f" with {_noun(clothes.bottom)}"
    footwear = f"{person.shoes} {'boots' if person.boots else 'shoes'}"
    return (
        f"A person with {', '.join(traits)} and {last} wears {outfit} and {footwear}, "
        f"{_STANCES[pose.name]}, {pose.arms_name}."
    )


def flat_caption(garment: Garment) -> str:
    """One sentence about a product picture."""
    noun = _noun(garment)
    return f"{noun[0].upper()}{noun[1:]}, laid flat on a plain background."
