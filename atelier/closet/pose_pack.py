"""The pose pack's files, drawn: for each name the first pose that is as the name says, taken by one plain figure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from itertools import count

import numpy as np
from PIL import Image, ImageDraw

from atelier import storage
from atelier.closet.files import labels_png, picture_file
from atelier.closet.garments import garment_from, garment_seed
from atelier.closet.look import Look, draw_look
from atelier.closet.outfits import Outfit
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


@cache
def pose_seed(name: str) -> int:
    """The seed of the pose of a name: the first whose pose is as the name says.

    Raises:
        KeyError: no such name.
    """
    fits = POSES[name]
    return next(seed for seed in count() if fits(pose_from(seed)))


def draw_pose(name: str) -> Look:
    """The figure in the pose of a name, 512x384, in a plain T-shirt and trousers."""
    outfit = Outfit(top=_plain("t-shirt"), bottom=_plain("trousers"))
    return draw_look(person=PERSON, outfit=outfit, pose=pose_seed(name), size=SIZE)


def pose_files(name: str) -> dict[str, bytes]:
    """`NAME.json` and `NAME.png` of a pose, as the pack holds them."""
    look = draw_pose(name)
    document = json.loads(write_openpose(look.keypoints))
    document |= {"canvas_height": SIZE[0], "canvas_width": SIZE[1]}
    text = json.dumps(document, separators=(",", ":")).encode()
    return {f"{name}.json": text, f"{name}.png": labels_png(np.ascontiguousarray(look.parse_multimodal))}


def write_pose_sheet(out: str) -> str:
    """Draws the figure in every pose, sorted by name and named, into a .png or .jpg file; gives its address.

    Raises:
        ConfigError: an address that ends otherwise.
    """
    picture_file(np.zeros((1, 1, 3), np.uint8), out)  # refused before the drawing, not after
    pictures = [_named(draw_pose(name).image, name) for name in sorted(POSES)]
    storage.put(out, picture_file(np.asarray(contact_sheet(pictures, columns=7)), out))
    return out


def _named(picture: np.ndarray, name: str) -> np.ndarray:
    shown = Image.fromarray(picture).resize((SIZE[1] // 2, SIZE[0] // 2), Image.Resampling.LANCZOS)
    page = Image.new("RGB", (shown.width, shown.height + 18), "white")
    page.paste(shown, (0, 18))
    ImageDraw.Draw(page).text((page.width // 2, 9), name, fill="black", anchor="mm")
    return np.asarray(page)


def _plain(category: str) -> int:
    return next(
        seed for seed in (garment_seed(category, number) for number in count()) if garment_from(seed).pattern == "solid"
    )
