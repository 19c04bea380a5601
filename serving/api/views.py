"""What callers get, as pydantic models: the OpenAPI document is made from them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.jobs.job import Job, State
from serving.models.asked import ModelCard, Progress
from serving.quotas.quota import Standing

_SAMPLE: dict[str, Any] = {
    "seed": "7",
    "media_type": "image/jpeg",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "height": 256,
    "width": 192,
    "batch_shape": [4, 256, 192],
    "scores": {"colour_drift": 0.0132},
    "notes": [],
}
_TINY = "/9j/4AAQSkZJRgABAQ…"
_MADE: dict[str, Any] = {
    "recipe": "viton_hd_closet",
    "mode": "",
    "fingerprint": "3912796d7d97c0489f34d84ff9275193",
    "digests": {"viton_hd": "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce"},
    "seconds": {"total": 0.8421, "parse": 0.0412, "synthesize": 0.1903},
}

_JOB: dict[str, Any] = {
    "id": "3f0c9a7e5d1b4c2a8e6f7d9b0a1c2e3f",
    "state": "succeeded",
    "task": "try_on",
    "recipe": "viton_hd_closet",
    "position": 0,
    "created_at_s": 1790000000.0,
}
_ENDED: dict[str, Any] = {
    "started_at_s": 1790000001.5,
    "ended_at_s": 1790000002.4,
    "expires_at_s": 1790086402.4,
    "result": _MADE | {"samples": [_SAMPLE | {"url": f"/v1/jobs/{_JOB['id']}/pictures/0"}]},
}


def _examples(*values: Mapping[str, Any]) -> dict[str, Any]:
    return {"examples": [dict(value) for value in values]}


class SampleView(BaseModel):
    """One picture. Seeds are texts: they have 63 bits, more than a JavaScript number holds."""

    seed: str
    media_type: str
    sha256: str
    height: int
    width: int
    batch_shape: list[int] = Field(description="[B, H, W] it was made at; bits repeat only at an equal shape")
    scores: dict[str, float] = Field(description="what may have gone wrong; 0 is best")
    notes: list[str] = Field(description="sentences about the picture, each `code: sentence`")
    picture: str | None = Field(default=None, description="base64; of a job, see `url`")
    url: str | None = Field(default=None, description="where a job's picture is")


class MadeView(BaseModel):
    """What was made."""

    recipe: str
    mode: str = Field(default="", description="of sampling, that they were made in; empty where the model has none")
    fingerprint: str = Field(description="of the recipe in that mode and its weights, as the batch plane records them")
    digests: dict[str, str] = Field(description="sha256 by weight name")
    seconds: dict[str, float] = Field(description="`total` of the request; by stage's name, what a picture took")
    samples: list[SampleView]

    model_config = ConfigDict(json_schema_extra=_examples(_MADE | {"samples": [_SAMPLE | {"picture": _TINY}]}))


class ProgressView(BaseModel):
    """How far a running job's loop has come. Pictures that don't fit into one batch have a loop each."""

    step: int
    num_steps: int
    samples: list[int] = Field(description="numbers of the pictures that this loop makes")
    queued_s: float = Field(description="seconds that they waited for the device")
    step_s: float | None = Field(
        default=None, description="seconds that a step takes on average; not known at the first"
    )
    left_s: float | None = Field(default=None, description="seconds that the steps to come would take")

    @classmethod
    def of(cls, progress: Progress) -> ProgressView:
        """A stored progress as the job's owner sees it."""
        return cls(
            step=progress.step,
            num_steps=progress.num_steps,
            samples=list(progress.samples),
            queued_s=round(progress.queued_s, 3),
            step_s=round(progress.step_s, 4) if progress.step > 1 else None,
            left_s=round(progress.step_s * (progress.num_steps - progress.step), 3) if progress.step > 1 else None,
        )


class WebhookView(BaseModel):
    """How a job's webhook stands."""

    attempts: int
    next_at_s: float | None = Field(default=None, description="when it is called again, if nobody answers now")
    result: str = Field(description="of the last attempt: `delivered`, `status 500`, `timeout`, …; empty before it")


class JobView(BaseModel):
    """A job's state."""

    id: str
    state: State = Field(description="`queued` until its model begins with it")
    task: str
    recipe: str
    position: int = Field(description="while it is queued: jobs of the same recipe that wait and came before it")
    created_at_s: float = Field(description="Unix time")
    started_at_s: float | None = Field(default=None, description="when its model first began with it")
    ended_at_s: float | None = None
    expires_at_s: float | None = Field(default=None, description="when its pictures are deleted")
    progress: ProgressView | None = Field(default=None, description="of a job whose steps are running")
    result: MadeView | None = None
    problem: dict[str, Any] | None = Field(default=None, description="why it failed, as problem+json")
    webhook: WebhookView | None = None

    model_config = ConfigDict(json_schema_extra=_examples(_JOB | {"state": "queued", "position": 2}, _JOB | _ENDED))

    @classmethod
    def of(cls, job: Job, *, position: int, progress: Progress | None = None) -> JobView:
        """A stored job as its owner sees it; one that an ingress has in hand waits until its model begins with it."""
        waits = job.state == "running" and progress is None
        result = None
        if job.result is not None:
            samples = [
                sample | {"url": f"/v1/jobs/{job.id}/pictures/{number}"}
                for number, sample in enumerate(job.result["samples"])
            ]
            result = MadeView(**{**job.result, "samples": samples})
        return cls(
            id=job.id,
            state="queued" if waits else job.state,
            task=job.task,
            recipe=job.recipe,
            position=position,
            created_at_s=job.created_at_s,
            started_at_s=None if waits else job.started_at_s,
            ended_at_s=job.ended_at_s,
            expires_at_s=job.expires_at_s,
            progress=ProgressView.of(progress) if progress is not None and progress.num_steps else None,
            result=result,
            problem=dict(job.problem) if job.problem is not None else None,
            webhook=_webhook(job) if job.webhook else None,
        )

    def told(self, links_from: str) -> dict[str, Any]:
        """As a webhook tells it: without itself, and with links that begin somewhere."""
        values = self.model_dump(exclude_none=True, exclude={"webhook"})
        for sample in (values.get("result") or {}).get("samples", []):
            sample["url"] = links_from + sample["url"]
        return values


class ModelView(BaseModel):
    """One model."""

    recipe: str
    version: str = Field(description="of Atelier, and of the fingerprint: another where recipe, code or weights are")
    state: Literal["ready", "starting", "asleep", "away"] = Field(
        description="`starting`: has not answered yet; `asleep`: the next request waits for a replica to start; `away`:"
        " no replica answers now"
    )
    task: str
    path: str
    size: list[int] = Field(description="working size (height, width) in pixels")
    inputs: list[str]
    optional: list[str]
    batch_size: int = Field(description="the most rows of a batch")
    batch_seconds: dict[int, float] = Field(description="of a batch by its size, as measured at the start, if it was")
    modes: list[str] = Field(description="of sampling, that a request may name, the dearest first; empty: it has none")
    mode: str = Field(description="of a request that names none, and of `fingerprint`; empty where there are none")
    fingerprint: str
    weights: dict[str, str]
    digests: dict[str, str]
    licences: dict[str, str]
    waiting: int = Field(description="pictures that wait at this moment")
    running: int = Field(description="pictures that are being made, and that somebody waits for")
    is_asleep: bool = Field(description="whether the next request waits for a replica to start")
    away: str = Field(description="why no replica answers; empty where one does, or none is wanted")
    has_refused: bool = Field(description="whether it was told to take up other weights that cannot be used")

    @classmethod
    def of(cls, card: ModelCard, path: str) -> ModelView:
        """A model's card, and where it is asked."""
        ours = ("path", "weights", "has_refused", "state", "version")
        values: dict[str, Any] = {name: getattr(card, name) for name in cls.model_fields if name not in ours}
        values["version"] = f"{_release()}+{card.fingerprint[:8]}"
        absent = "starting" if card.is_starting else "away" if card.away else ""
        values["state"] = absent or ("asleep" if card.is_asleep else "ready")
        # Folders of this machine are nobody's business; the digest says which weights they are.
        weights = {name: value.rpartition("/")[2] for name, value in card.weights.items()}
        return cls(**values, path=path, weights=weights, has_refused=bool(card.refused))


class RateView(BaseModel):
    """How one rate of a quota stands."""

    unit: str = Field(description="`requests` that ask for pictures, or `pictures`")
    per: str = Field(description="`minute`, `hour` or `day`: a window that slides")
    most: int
    used: int
    left: int
    frees_in_s: float = Field(description="seconds until some of it is free again; 0 where nothing is used")

    @classmethod
    def of(cls, standing: Standing) -> RateView:
        """A rate as its owner sees it."""
        rate = standing.rate
        return cls(
            unit=rate.unit,
            per=rate.per,
            most=rate.most,
            used=standing.used,
            left=standing.left,
            frees_in_s=round(standing.frees_in_s, 1),
        )


class UsageView(BaseModel):
    """What the key's owner may use, and has used, with all keys together."""

    owner: str
    rates: list[RateView] = Field(description="empty where there is no bound")
    open_jobs: int = Field(description="queued or running")
    most_open_jobs: int | None = Field(description="null where there is no bound of the owner's own")


class LimitsView(BaseModel):
    """What a request may bring."""

    max_body_bytes: int
    max_input_bytes: int
    max_pixels: int
    max_prompt_chars: int
    max_samples: int
    timeout_s: float


class OpenAIModelView(BaseModel):
    """A model as OpenAI's clients list it."""

    id: str = Field(description="the recipe")
    object: Literal["model"] = "model"
    created: int = Field(description="Unix time: when this ingress started")
    owned_by: str = "atelier"


class OneModelView(ModelView, OpenAIModelView):
    """One model, with what OpenAI's clients read of it."""


class ModelsView(BaseModel):
    """What the service makes, and how much of it at a time; `object` and `data` are for OpenAI's clients."""

    models: list[ModelView]
    limits: LimitsView
    object: Literal["list"] = "list"
    data: list[OpenAIModelView]


@lru_cache(maxsize=1)
def _release() -> str:
    try:
        return metadata.version("atelier")
    except metadata.PackageNotFoundError:
        return "0"  # run from a folder of sources


def _webhook(job: Job) -> WebhookView:
    return WebhookView(attempts=job.webhook_attempts, next_at_s=job.webhook_due_at_s, result=job.webhook_result)
