"""The pose pack's files, drawn: for each name the first pose that is as the name says, taken by one plain figure in
each of some outfits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from itertools import count

import numpy as np
from PIL import Image, ImageDraw

from atelier import storage
from atelier.closet.files import labels_png, picture_file
from atelier.closet.garments import Garment, garment_from, garment_seed
from atelier.closet.look import Look, draw_look
from atelier.closet.outfits import Outfit, worn
from atelier.closet.poses import Pose, pose_from
from atelier.closet.sheet import contact_sheet
from atelier.skeletons import write_openpose

SIZE = (512, 384)
PERSON = 17
"""Short hair, no hat, no glasses: a map that suits many sentences."""


def _frontal(arms: str, *, feet: bool = True) -> Callable[[Pose], bool]:
    def fits(pose: Pose) -> bool:
        calm = abs(pose.yaw) < 0.08 and abs(pose.head_tilt) < 0.05 and abs(pose.shift) < 0.05
        stands = pose.name in ("standing", "feet apart", "one knee loose")
        return calm and stands and pose.arms_name == arms and pose.shows_feet == feet

    return fits


def _turned(sign: float) -> Callable[[Pose], bool]:
    def fits(pose: Pose) -> bool:
        return pose.name == "turned" and sign * pose.yaw > 0.4 and pose.arms_name == "arms relaxed" and pose.shows_feet

    return fits


POSES: Mapping[str, Callable[[Pose], bool]] = {
    "standing": _frontal("arms down"),
    "relaxed": _frontal("arms relaxed"),
    "hand_on_hip": _frontal("one hand on the hip"),
    "hands_on_hips": _frontal("hands on hips"),
    "arms_crossed": _frontal("arms crossed"),
    "hands_in_pockets": _frontal("hands in pockets"),
    "hands_behind_back": _frontal("hands behind the back"),
    "hands_behind_head": _frontal("both hands behind the head"),
    "arm_raised": _frontal("one hand raised"),
    "half_length": _frontal("arms relaxed", feet=False),
    "turned_left": _turned(-1.0),
    "turned_right": _turned(1.0),
    "walking": lambda pose: pose.name == "walking" and pose.shows_feet and pose.arms_name == "arms relaxed",
    "seated": lambda pose: pose.name == "seated" and pose.shows_feet and pose.arms_name == "hands in the lap",
}
"""What a pose of each name is like; left and right are the viewer's."""

OUTFITS: Mapping[str, Callable[[], Outfit]] = {
    "": lambda: Outfit(top=_plain("t-shirt"), bottom=_plain("trousers")),
    "dress": lambda: Outfit(top=_plain("dress")),
    "jacket": lambda: Outfit(
        top=_plain("t-shirt"), outer=_plain("jacket", lambda garment: garment.opened), bottom=_plain("trousers")
    ),
    "shorts": lambda: Outfit(top=_plain("t-shirt"), bottom=_plain("shorts")),
    "skirt": lambda: Outfit(top=_plain("t-shirt"), bottom=_plain("skirt")),
}
"""What the figure wears, by what stands behind a pose's name. A jacket is open, so that both layers show."""


@cache
def pose_seed(name: str) -> int:
    """The seed of the pose of a name: the first whose pose is as the name says.

    Raises:
        KeyError: no such name.
    """
    fits = POSES[name]
    return next(seed for seed in count() if fits(pose_from(seed)))


def draw_pose(name: str, outfit: str = "") -> Look:
    """The figure in the pose of a name, 512x384, in an outfit of `OUTFITS`."""
    return draw_look(person=PERSON, outfit=OUTFITS[outfit](), pose=pose_seed(name), size=SIZE)


def pose_files(name: str) -> dict[str, bytes]:
    """`NAME.json`, `NAME.png` and each `NAME_OUTFIT.png` of a pose, as the pack holds them."""
    document = json.loads(write_openpose(draw_pose(name).keypoints))
    document |= {"canvas_height": SIZE[0], "canvas_width": SIZE[1]}
    files = {f"{name}.json": json.dumps(document, separators=(",", ":")).encode()}
    for outfit in OUTFITS:
        parse = draw_pose(name, outfit).parse_multimodal
        files[f"{_full_name(name, outfit)}.png"] = labels_png(np.ascontiguousarray(parse))
    return files


def in_clothes(name: str, outfit: Outfit) -> str:
    """The name of a pose's map in the clothes that are most like an outfit."""
    clothes = worn(outfit)
    if any(garment.category == "jacket" for garment in clothes.layers):
        return f"{name}_jacket"
    category = "dress" if clothes.bottom is None else clothes.bottom.category
    return name if category == "trousers" else f"{name}_{category}"


def write_pose_sheet(out: str) -> str:
    """Draws the figure in every pose and outfit, sorted and named, into a .png or .jpg file; gives its address.

    Raises:
        ConfigError: an address that ends otherwise.
    """
    picture_file(np.zeros((1, 1, 3), np.uint8), out)  # refused before the drawing, not after
    named = ((name, outfit) for name in sorted(POSES) for outfit in OUTFITS)
    pictures = [_titled(draw_pose(name, outfit).image, _full_name(name, outfit)) for name, outfit in named]
    storage.put(out, picture_file(np.asarray(contact_sheet(pictures, columns=2 * len(OUTFITS))), out))
    return out


def _full_name(name: str, outfit: str) -> str:
    return f"{name}_{outfit}" if outfit else name


def _titled(picture: np.ndarray, name: str) -> np.ndarray:
    shown = Image.fromarray(picture).resize((SIZE[1] // 2, SIZE[0] // 2), Image.Resampling.LANCZOS)
    page = Image.new("RGB", (shown.width, shown.height + 18), "white")
    page.paste(shown, (0, 18))
    ImageDraw.Draw(page).text((page.width // 2, 9), name, fill="black", anchor="mm")
    return np.asarray(page)


def _plain(category: str, fits: Callable[[Garment], bool] = lambda _: True) -> int:
    seeds = (garment_seed(category, number) for number in count())
    return next(seed for seed in seeds if (garment := garment_from(seed)).pattern == "solid" and fits(garment))
