"""What a service is told: which models, where it keeps jobs and keys, and how much it takes from a stranger."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from atelier.recipes import RECIPES
from serving.database_url import DatabaseUrl
from serving.offered import OFFERED


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScalingSettings(_Settings):
    """Replicas that come and go with the work.

    Args:
        min_replicas: 0 lets the last one go, and the next request wait for a cold start. max_replicas: the most.
        replica_s: seconds of queued work that a replica should have, by what its batches have taken.
        up_after_s, down_after_s: how long more, or less, must be wanted. zero_after_s: before the last one goes.
    """

    min_replicas: Annotated[int, Field(ge=0)] = 1
    max_replicas: Annotated[int, Field(ge=1)] = 4
    replica_s: Annotated[float, Field(gt=0)] = 10.0
    up_after_s: Annotated[float, Field(ge=0)] = 5.0
    down_after_s: Annotated[float, Field(ge=0)] = 120.0
    zero_after_s: Annotated[float, Field(ge=0)] = 600.0

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas is {self.max_replicas}; must be at least min_replicas, {self.min_replicas}")
        return self


class ModelSettings(_Settings):
    """One recipe, served by replicas of its own.

    Args:
        recipe: a name in `serving.offered.OFFERED`.
        weights: by the recipe's own argument names, shipped names or folders (and its other choices, such as `mode`);
            what is left out is the recipe's default.
        batch_size: rows its stages see at once; None is the recipe's own, at which pictures are the batch plane's bit
            for bit. 1 answers a lone caller soonest on a CPU. "measured": as many as wait, padded to 1, 2, 4 … and no
            more than the size up to which a start-up measurement gained pictures a second.
        most_batch_size: the largest that "measured" tries.
        replicas: how many, where `scaling` is absent. num_cpus, num_gpus: Ray's share for each; part of a GPU, or whole
            ones. A quarter of a CPU lets all that comes with Atelier start on two cores; where replicas should not
            share a core, it is `num_threads`.
        num_threads: torch's in each; the batch plane's workers have 1.
        compile: run its networks through `torch.compile`, before the model is ready and anew for other weights; needs a
            C++ compiler on a CPU. Pictures are then not the batch plane's bit for bit: their fingerprint says so.
        max_waiting: pictures that may wait in a replica; more are answered with 429.
        stuck_after_s: a batch that runs longer than this without a step of its loop fails the replica's health check,
            and Ray Serve replaces it.
    """

    recipe: str = "viton_hd_closet"
    weights: dict[str, str | None] = Field(default_factory=dict)
    batch_size: Annotated[int, Field(ge=1, le=64)] | Literal["measured"] | None = None
    most_batch_size: Annotated[int, Field(ge=1, le=256)] = 32
    replicas: Annotated[int, Field(ge=1)] = 1
    scaling: ScalingSettings | None = None
    num_cpus: Annotated[float, Field(ge=0)] = 0.25
    num_gpus: Annotated[float, Field(ge=0)] = 0.0
    num_threads: Annotated[int, Field(ge=1)] = 1
    compile: bool = False
    max_waiting: Annotated[int, Field(ge=1)] = 64
    stuck_after_s: Annotated[float, Field(gt=0)] = 600.0

    @property
    def most_replicas(self) -> int:
        """How many there may be at a time."""
        return self.replicas if self.scaling is None else self.scaling.max_replicas

    @property
    def first_replicas(self) -> int:
        """How many it begins with; one at least, so that weights that cannot be used are refused at the start."""
        return self.replicas if self.scaling is None else max(1, self.scaling.min_replicas)

    @field_validator("num_gpus")
    @classmethod
    def _is_a_part_or_whole(cls, num_gpus: float) -> float:
        if num_gpus > 1 and num_gpus != int(num_gpus):
            raise ValueError(f"num_gpus is {num_gpus}; must be at most 1, or whole")
        return num_gpus

    @property
    def fixed_batch_size(self) -> int | None:
        """The batch size that the recipe is told; None leaves it its own."""
        return None if self.batch_size == "measured" else self.batch_size

    @field_validator("recipe")
    @classmethod
    def _is_there(cls, name: str) -> str:
        if name not in OFFERED:
            raise ValueError(f"there is no recipe {name!r}; there are {sorted(OFFERED)}")
        return name


class Limits(_Settings):
    """How much one request may bring and ask for.

    Args:
        max_body_bytes: of a request; what is longer is refused while it is read.
        max_input_bytes: of one file, however it comes. max_pixels: of one picture, by its header.
        max_prompt_chars: of a prompt. max_samples: pictures of one request.
        max_requests: that one ingress has in hand at a time: most of them wait for a model or follow a job.
        timeout_s: longest time that a request without a job takes, from its arrival: its upload, what is fetched for it
            and its wait included.
    """

    max_body_bytes: Annotated[int, Field(ge=1024)] = 40 * 2**20
    max_input_bytes: Annotated[int, Field(ge=1024)] = 10 * 2**20
    max_pixels: Annotated[int, Field(ge=1024)] = 25_000_000
    max_prompt_chars: Annotated[int, Field(ge=1)] = 1000
    max_samples: Annotated[int, Field(ge=1, le=16)] = 4
    max_requests: Annotated[int, Field(ge=1)] = 1000
    timeout_s: Annotated[float, Field(gt=0)] = 60.0


class Fetching(_Settings):
    """What the service reads on a caller's behalf.

    Args:
        schemes: of addresses that are fetched from the web; none refuses them all.
        s3_prefixes: `s3://bucket/folder` that callers may name objects below, read with the service's own credentials;
            none refuses `s3://`.
        allowed_networks: networks that are dialled though they are not public, e.g. `10.1.0.0/16` of an own store.
        timeout_s: for one address, its redirects included. max_redirects: each is checked as the first address was.
    """

    schemes: tuple[str, ...] = ("https",)
    s3_prefixes: tuple[str, ...] = ()
    allowed_networks: tuple[str, ...] = ()
    timeout_s: Annotated[float, Field(gt=0)] = 10.0
    max_redirects: Annotated[int, Field(ge=0, le=10)] = 3

    @field_validator("schemes")
    @classmethod
    def _are_known(cls, schemes: tuple[str, ...]) -> tuple[str, ...]:
        if strangers := set(schemes) - {"http", "https"}:
            raise ValueError(f"schemes {sorted(strangers)} are not fetched; must be http or https")
        return schemes

    @field_validator("s3_prefixes")
    @classmethod
    def _are_buckets(cls, prefixes: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [prefix for prefix in prefixes if not prefix.startswith("s3://") or prefix == "s3://"]:
            raise ValueError(f"s3_prefixes {wrong} must be s3://bucket or s3://bucket/folder")
        return prefixes

    @field_validator("allowed_networks")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network)
        return networks


class JobSettings(_Settings):
    """How work is kept that nobody waits for.

    Args:
        keep_s: seconds that a finished job's pictures stay before they are deleted, of jobs from now on; its inputs go
            when it ends.
        ends_after_s: seconds from its acceptance after which a job that has not ended fails, whatever it waits for; a
            full queue of jobs of ten seconds each is done by then.
        at_once: jobs that one ingress has with each model at a time: those of a model that is away or slow keep no
            other's waiting.
        lease_s: a job whose ingress has not been heard of for so long is taken up by another.
        max_attempts: how often a job is taken up before it is given up.
        max_queued: jobs that may wait for one model; more are answered with 429.
    """

    keep_s: Annotated[float, Field(gt=0)] = 24 * 3600.0
    ends_after_s: Annotated[float, Field(gt=0)] = 3 * 3600.0
    at_once: Annotated[int, Field(ge=1)] = 8
    lease_s: Annotated[float, Field(gt=0)] = 30.0
    max_attempts: Annotated[int, Field(ge=1)] = 3
    max_queued: Annotated[int, Field(ge=1)] = 1000


class WebhookSettings(_Settings):
    """How callers are told that their jobs have ended.

    Args:
        timeout_s: for one call. pauses_s: before each further attempt, where nobody answered with 2xx.
        links_from: what a job's links begin with, e.g. `https://pictures.shop.example`; "" leaves them paths.
    """

    timeout_s: Annotated[float, Field(gt=0)] = 10.0
    pauses_s: tuple[Annotated[float, Field(gt=0)], ...] = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 18000.0)
    links_from: str = ""

    @field_validator("links_from")
    @classmethod
    def _is_a_beginning(cls, links_from: str) -> str:
        if not re.fullmatch(r"(https?://[^/]+)?", links_from):
            raise ValueError("must be http://HOST or https://HOST, with a :PORT or without, and no path; or empty")
        return links_from


def _all_models() -> tuple[ModelSettings, ...]:
    return tuple(ModelSettings(recipe=name) for name in RECIPES)


class ServeSettings(_Settings):
    """A whole service.

    Args:
        models: what it makes, by default all that comes with Atelier; the first of a task is the one for a request
            that names none.
        store: folder or `s3://` prefix where jobs' inputs and pictures lie, no other service's: those that `database`
            knows no job of are deleted.
        database: of the jobs' states, one for every ingress: a file, where they are on one machine, or
            `postgresql://USER@HOST:5432/NAME`, with the password in the environment's `PGPASSWORD`.
        keys: file of API keys' hashes, see `python -m serving keys`.
        anonymous: take requests without a key. Only loopback is then answered, whatever Serve listens on.
        ingress_replicas: how many ingresses; on several machines they need a `database` that is no file.
        drain_s: how long what has begun may take to end when the service, or a replica of it, is to stop.
    """

    models: tuple[ModelSettings, ...] = Field(default_factory=_all_models)
    store: str = "out/serve/store"
    database: str = Field(default="out/serve/jobs.sqlite", repr=False)
    keys: str = "out/serve/keys.json"
    anonymous: bool = False
    ingress_replicas: Annotated[int, Field(ge=1)] = 1
    drain_s: Annotated[float, Field(ge=0)] = 120.0
    limits: Limits = Field(default_factory=Limits)
    fetching: Fetching = Field(default_factory=Fetching)
    jobs: JobSettings = Field(default_factory=JobSettings)
    webhooks: WebhookSettings = Field(default_factory=WebhookSettings)

    # Of the field, not of the whole, which pydantic would show, and in it the database's password.
    @field_validator("models")
    @classmethod
    def _stand_once(cls, models: tuple[ModelSettings, ...]) -> tuple[ModelSettings, ...]:
        if not models:
            raise ValueError("must name at least one model")
        names = [model.recipe for model in models]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"models {twice} stand in it twice; give one more replicas instead")
        return models

    @field_validator("database")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        DatabaseUrl.of(address)  # raises what pydantic lets through as it is
        return address
