"""What pydantic refuses is told in plain words, never in its own."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from serving.words import what_is_allowed


class Size(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int


class Form(Enum):
    ROUND = "round"
    FLAT = "flat"


def even(number: int) -> int:
    if number % 2:
        raise ValueError("must be even")
    return number


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (bool, "maybe", "must be true or false"),
        (bool, [], "must be true or false"),
        (int, "x", "must be a whole number"),
        (int, [], "must be a whole number"),
        (int, 1.5, "must be a whole number"),
        (int, "9" * 5000, "must be a whole number"),
        (float, "x", "must be a number"),
        (float, None, "must be a number"),
        (Annotated[float, Field(allow_inf_nan=False)], float("nan"), "must be a finite number"),
        (Annotated[int, Field(ge=1)], 0, "must be at least 1"),
        (Annotated[float, Field(ge=1)], 0, "must be at least 1"),
        (Annotated[float, Field(gt=0)], 0, "must be more than 0"),
        (Annotated[int, Field(le=25_000_000)], 25_000_001, "must be at most 25000000"),
        (Annotated[float, Field(lt=0.5)], 1, "must be less than 0.5"),
        (Annotated[int, Field(multiple_of=8)], 12, "must be a multiple of 8"),
        (Literal["a", "b", "c"], "d", "must be one of 'a', 'b', 'c'"),
        (Literal["a"], "d", "must be 'a'"),
        (Form, "square", "must be one of 'round', 'flat'"),
        (str, 5, "must be a text"),
        (Annotated[str, Field(min_length=1)], "", "must have at least 1 character"),
        (Annotated[str, Field(max_length=2)], "abc", "must have at most 2 characters"),
        (Annotated[list[int], Field(min_length=1)], [], "must have at least 1 entry"),
        (Annotated[str, Field(pattern="^a$")], "b", "must fit the pattern ^a$"),
        (dict[str, int], 5, "must be an object"),
        (Size, 5, "must be an object"),
        (list[int], 5, "must be a list"),
        (tuple[int, ...], 5, "must be a list"),
        (Size, {"width": 1, "depth": 1}, "is not known here"),
        (Size, {}, "must be given"),
        (Annotated[int, AfterValidator(even)], 1, "must be even"),
    ],
)
def test_what_is_refused_is_told_in_plain_words(kind: Any, value: object, expected: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(value)
    assert [what_is_allowed(error) for error in refused.value.errors()] == [expected]


def test_what_is_rare_is_told_as_pydantic_tells_it() -> None:
    assert what_is_allowed({"type": "rare", "loc": (), "msg": "Is rare", "input": 1}) == "Is rare"
