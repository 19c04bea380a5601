"""Who is drawn: a body, a head and the things that a try-on leaves as they are, from one seed."""

from __future__ import annotations

from dataclasses import dataclass

from atelier.closet.canvas import Colour
from atelier.closet.dice import between, dice, pick

SKINS: tuple[Colour, ...] = (
    (252, 226, 208),
    (246, 212, 188),
    (238, 196, 166),
    (226, 178, 142),
    (206, 154, 114),
    (182, 128, 90),
    (152, 102, 70),
    (122, 80, 56),
    (98, 64, 46),
    (78, 52, 40),
)
HAIR_COLOURS: dict[str, Colour] = {
    "black": (38, 32, 34),
    "dark brown": (66, 45, 36),
    "brown": (102, 68, 46),
    "auburn": (132, 66, 42),
    "red": (178, 92, 48),
    "dark blond": (160, 124, 80),
    "blond": (216, 180, 122),
    "grey": (156, 154, 154),
    "white": (226, 223, 218),
    "pink": (226, 140, 164),
}
_USUAL_HAIR = ("black",) * 4 + ("dark brown",) * 4 + ("brown",) * 3 + ("auburn", "red", "dark blond", "blond", "blond")
_OTHER_HAIR = ("grey", "grey", "white", "pink")
HAIR_STYLES = ("short", "short", "side part", "quiff", "curly", "bob", "bob", "long", "long", "wavy", "wavy", "bun")
RARE_STYLES = ("ponytail", "afro", "buzz cut", "bald")
EYES: tuple[Colour, ...] = ((74, 48, 34), (94, 62, 40), (54, 40, 34), (92, 118, 138), (98, 122, 92), (118, 94, 58))
SHOES: dict[str, Colour] = {
    "white": (240, 239, 235),
    "black": (44, 43, 48),
    "brown": (122, 82, 56),
    "tan": (190, 148, 104),
    "red": (186, 60, 58),
    "navy": (50, 62, 94),
    "green": (86, 116, 96),
}
HATS = ("beanie", "cap", "sun hat")
HAT_COLOURS: tuple[Colour, ...] = ((52, 60, 84), (176, 74, 66), (222, 196, 150), (92, 110, 92), (70, 68, 72))
BACKDROPS: tuple[Colour, ...] = (
    (236, 234, 230),
    (228, 231, 235),
    (238, 228, 218),
    (226, 232, 226),
    (234, 226, 232),
    (220, 218, 214),
    (214, 222, 230),
    (240, 236, 224),
)


@dataclass(frozen=True, kw_only=True)
class Person:
    """A body and a head. Lengths are in head heights; `build` runs from slender-shouldered 0 to broad-shouldered 1."""

    seed: int
    build: float
    weight: float
    stature: float
    head_scale: float
    skin: Colour
    hair_style: str
    hair: str
    eyes: Colour
    beard: bool
    glasses: bool
    hat: str
    hat_colour: Colour
    socks: bool
    sock_colour: Colour
    shoes: str
    boots: bool
    backdrop: Colour

    @property
    def hair_colour(self) -> Colour:
        return HAIR_COLOURS[self.hair]

    @property
    def shoe_colour(self) -> Colour:
        return SHOES[self.shoes]

    @property
    def shoulder(self) -> float:
        """Half the distance between the shoulder joints."""
        return 0.68 + 0.15 * self.build + 0.04 * self.weight

    @property
    def chest(self) -> float:
        return 0.60 + 0.10 * self.build + 0.08 * self.weight

    @property
    def waist(self) -> float:
        return 0.46 + 0.13 * self.build + 0.12 * self.weight

    @property
    def hip(self) -> float:
        return 0.665 - 0.05 * self.build + 0.09 * self.weight

    @property
    def girth(self) -> float:
        """How thick the limbs are; 1 is average."""
        return 0.95 + 0.12 * self.build + 0.16 * self.weight


def person_from(seed: int) -> Person:
    """The person that `seed` names."""
    rng = dice("person", seed)
    build = between(rng, 0.0, 1.0)
    styles = HAIR_STYLES if rng.random() < 0.8 else RARE_STYLES
    style = pick(rng, styles)
    if build > 0.72 and style in ("bob", "long", "wavy", "bun", "ponytail") and rng.random() < 0.75:
        style = pick(rng, ("short", "side part", "quiff", "buzz cut"))
    if build < 0.35 and style in ("short", "quiff", "buzz cut", "bald") and rng.random() < 0.7:
        style = pick(rng, ("long", "wavy", "bun", "bob", "ponytail"))
    tone = between(rng, 0.0, len(SKINS) - 1.001)
    low, high = SKINS[int(tone)], SKINS[int(tone) + 1]
    share = tone - int(tone)
    skin = (
        round(low[0] + (high[0] - low[0]) * share),
        round(low[1] + (high[1] - low[1]) * share),
        round(low[2] + (high[2] - low[2]) * share),
    )
    hair = pick(rng, _USUAL_HAIR if rng.random() < 0.88 else _OTHER_HAIR)
    if tone > 5 and rng.random() < 0.85:
        hair = pick(rng, ("black", "black", "dark brown"))
    return Person(
        seed=seed,
        build=build,
        weight=between(rng, -0.75, 0.9) * between(rng, 0.4, 1.0),
        stature=between(rng, 0.955, 1.03),
        head_scale=between(rng, 1.03, 1.11),
        skin=skin,
        hair_style=style,
        hair=hair,
        eyes=pick(rng, EYES if tone < 5 else EYES[:3]),
        beard=build > 0.6 and style not in ("bob", "long", "wavy", "bun", "ponytail") and bool(rng.random() < 0.4),
        glasses=bool(rng.random() < 0.14),
        hat=pick(rng, HATS) if rng.random() < 0.12 else "",
        hat_colour=pick(rng, HAT_COLOURS),
        socks=bool(rng.random() < 0.5),
        sock_colour=pick(rng, ((244, 243, 240), (70, 72, 80), (206, 206, 204), (180, 84, 76))),
        shoes=pick(rng, tuple(SHOES)),
        boots=bool(rng.random() < 0.2),
        backdrop=pick(rng, BACKDROPS),
    )


MANNEQUIN = Person(
    seed=0,
    build=0.5,
    weight=0.0,
    stature=1.0,
    head_scale=1.0,
    skin=SKINS[0],
    hair_style="bald",
    hair="black",
    eyes=EYES[0],
    beard=False,
    glasses=False,
    hat="",
    hat_colour=HAT_COLOURS[0],
    socks=False,
    sock_colour=(244, 243, 240),
    shoes="white",
    boots=False,
    backdrop=BACKDROPS[0],
)
"""The average body on which a garment is laid flat and against which its cloth is measured."""
