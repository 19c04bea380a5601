"""The page at `/`: three files and a drawn wardrobe, with no script of anybody else's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from atelier import poses
from atelier.images import FORMATS
from serving.api.problems import Problem
from serving.api.tasks import Task
from serving.models.samples import PROMPTS, drawn_garment, drawn_person
from serving.settings import Limits

_FOLDER = Path(__file__).parent.parent / "page"
_FILES = {"page.css": "text/css", "page.js": "text/javascript"}
_NUM_DRAWN = 12
_DRAWN = {"person": drawn_person, "garment": drawn_garment}
_DRAWN_SIZE = (256, 192)
_OUTFITS = {
    "": "T-shirt and trousers",
    "dress": "Dress",
    "jacket": "Open jacket and trousers",
    "shorts": "T-shirt and shorts",
    "skirt": "T-shirt and skirt",
}
"""What the figures of pose maps wear, by what stands behind a pose's name."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def routes(tasks: Mapping[str, Task], limits: Limits, *, needs_key: bool) -> APIRouter:
    """The page, and what it loads; nothing of it needs a key, since nothing of it is anybody's.

    Args:
        needs_key: the page asks for one.
    """
    router = APIRouter(include_in_schema=False)
    facts = {
        "needsKey": needs_key,
        "maxSamples": limits.max_samples,
        "maxBytes": limits.max_input_bytes,
        "numDrawn": _NUM_DRAWN,
        "poses": poses.names(),
        "outfits": [{"name": name, "says": says, "prompt": PROMPTS[name]} for name, says in _OUTFITS.items()],
        "formats": [f"image/{name.lower()}" for name in FORMATS],
        "tasks": [
            {
                "name": task.name,
                "path": task.path,
                "summary": task.summary,
                "inputs": [
                    {
                        "name": name,
                        "kind": task.fields[name].kind,
                        "hasNames": task.fields[name].has_names,
                        "hasOutfits": name == "pose_map",
                    }
                    for name in task.recipes[0].inputs
                    if name in task.fields
                ],
                "hasPrompt": task.has_prompt,
                "models": [
                    {
                        "name": recipe.name,
                        "inputs": [name for name in recipe.inputs if name in task.fields],
                        "modes": recipe.modes,
                        "mode": recipe.mode,
                    }
                    for recipe in task.recipes
                ],
            }
            for task in tasks.values()
        ],
    }

    @router.api_route("/", methods=["GET", "HEAD"])
    async def index() -> Response:
        return Response((_FOLDER / "index.html").read_bytes(), media_type="text/html", headers=_HEADERS)

    @router.get("/page/facts.json")
    async def told() -> Response:
        return Response(json.dumps(facts), media_type="application/json", headers=_HEADERS)

    @router.get("/page/{name}")
    async def file(name: str) -> Response:
        if name not in _FILES:
            raise Problem("not_found", f"the page has no file {name[:40]!r}; it has {sorted(_FILES)}")
        return Response((_FOLDER / name).read_bytes(), media_type=_FILES[name], headers=_HEADERS)

    @router.get("/closet/pose/{name}.png")
    async def pose(name: str) -> Response:
        if name not in poses.names("pose_map"):
            raise Problem("not_found", f"there is no pose {name[:40]!r}; there are {poses.listed('pose_map')}")
        picture = poses.read(poses.address(name), "pose_map")
        return Response(picture, media_type="image/png", headers=_HEADERS | {"Cache-Control": "max-age=86400"})

    @router.get("/closet/{kind}/{number}.jpg")
    async def drawn(kind: str, number: int) -> Response:
        if kind not in _DRAWN or not 0 <= number < _NUM_DRAWN:
            detail = f"the closet has {sorted(_DRAWN)} 0 to {_NUM_DRAWN - 1}, not {kind[:40]!r} {number}"
            raise Problem("not_found", detail)
        picture = await run_in_threadpool(_DRAWN[kind], number, _DRAWN_SIZE)
        return Response(picture, media_type="image/jpeg", headers=_HEADERS | {"Cache-Control": "max-age=86400"})

    return router
