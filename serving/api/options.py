"""What a request asks for beside its inputs."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from atelier.images import PictureFormat
from atelier.seeds import MAX_SEED, unit_seed

_DRAWN_SEEDS = 2**31
"""Seeds drawn for callers who give none are short enough to be read out."""


class Webhook(BaseModel):
    """Whom to tell when a job has ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, Field(min_length=1, max_length=2000)] = Field(
        description="gets a POST, signed with the secret that came with the key; see docs/serving.md"
    )


class Options(BaseModel):
    """Fields that every task has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = Field(
        default_factory=lambda: secrets.randbelow(_DRAWN_SEEDS),
        description="the first sample's randomness; drawn and told where it is absent",
    )
    num_samples: Annotated[int, Field(ge=1)] = Field(default=1, description="pictures, each with a seed of its own")
    output_format: PictureFormat = "jpeg"
    quality: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="of jpeg, webp and avif; each has its own where it is absent"
    )
    size: Literal["working", "original"] = Field(
        default="working", description="as the model made it, or scaled to the person's picture"
    )
    mode: Literal["quality", "balanced", "fast"] | None = Field(
        default=None, description="of sampling: what a picture may cost; the model's own if absent"
    )
    prompt: str = ""
    model: str | None = Field(default=None, description="a recipe of `GET /v1/models`; the task's first if absent")

    @field_validator("seed", "num_samples", "quality", mode="before")
    @classmethod
    def _is_a_number(cls, value: Any) -> Any:
        # A form's numbers are texts, so pydantic may not be strict; but it would take `true` for 1.
        if isinstance(value, bool):
            raise ValueError("must be a number")
        if isinstance(value, str) and "_" in value:
            raise ValueError("must be a whole number")  # which Python would read, and nobody writes
        return value

    @model_validator(mode="after")
    def _png_is_lossless(self) -> Options:
        if self.output_format == "png" and self.quality is not None:
            raise ValueError(f"quality: is {self.quality} of a png; must be left out, png is lossless")
        return self

    @property
    def seeds(self) -> tuple[int, ...]:
        """One a sample, as a catalog's row of that seed gives its variants."""
        return tuple(unit_seed("online", variant, 0, given=self.seed) for variant in range(self.num_samples))
