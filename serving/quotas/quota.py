"""A quota, and the store that counts what was used of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast, get_args

from atelier.errors import ConfigError

Unit = Literal["requests", "pictures"]
"""`requests`: that ask for pictures, whatever comes of them. `pictures`: asked for; given back where none was made."""
Window = Literal["minute", "hour", "day"]

WINDOWS_S: Mapping[Window, float] = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
_WORD = re.compile(r"(requests|pictures)=([1-9]\d{0,8})/(minute|hour|day)|jobs=([1-9]\d{0,8})")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """At most `most` of a unit in any window of time, wherever it begins."""

    unit: Unit
    most: int
    per: Window

    @property
    def name(self) -> str:
        """In headers and messages."""
        return f"{self.unit}-per-{self.per}"

    @property
    def window_s(self) -> float:
        """The window's length."""
        return WINDOWS_S[self.per]


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What one owner may use.

    Args:
        rates: each holds by itself. jobs: that may be queued or running at once; None for no bound but the service's.
    """

    rates: tuple[Rate, ...] = ()
    jobs: int | None = None

    @classmethod
    def of_words(cls, words: Sequence[str]) -> Quota:
        """A quota as the command line and the file of keys say it: `requests=60/minute`, `pictures=1000/day`, `jobs=8`.

        Raises:
            ConfigError: another word, or two of a kind.
        """
        rates: dict[str, Rate] = {}
        jobs: int | None = None
        for word in words:
            found = _WORD.fullmatch(word)
            if found is None:
                units, windows = "|".join(get_args(Unit)), "|".join(get_args(Window))
                raise ConfigError(f"quota is {word!r}; must be ({units})=NUMBER/({windows}) or jobs=NUMBER")
            unit, most, per, at_once = cast(tuple[Unit, str, Window, str | None], found.groups())
            name = f"{unit}/{per}"
            if name in rates or (at_once is not None and jobs is not None):
                raise ConfigError(f"quota {word!r}: another of its kind is given; must be one of each")
            if at_once is not None:
                jobs = int(at_once)
            else:
                rates[name] = Rate(unit=unit, most=int(most), per=per)
        return cls(rates=tuple(rates.values()), jobs=jobs)

    @property
    def words(self) -> list[str]:
        """What `of_words` makes it of."""
        rates = [f"{rate.unit}={rate.most}/{rate.per}" for rate in self.rates]
        return rates if self.jobs is None else [*rates, f"jobs={self.jobs}"]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How much of a rate is used.

    Args:
        frees_in_s: seconds until some of it is free again; 0 where nothing is used.
    """

    rate: Rate
    used: int
    frees_in_s: float

    @property
    def left(self) -> int:
        """What may still be asked for."""
        return max(0, self.rate.most - self.used)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What came of asking for some of a quota.

    Args:
        wait_s: 0 where it was counted; else seconds until it would be, infinite where it is more than the quota.
        full: the rate that it waits for.
        standings: of every rate, afterwards.
    """

    wait_s: float
    full: Rate | None
    standings: tuple[Standing, ...]


class UseStore(Protocol):
    """Counts what owners use. Each call is one transaction, and safe from any thread and process.

    Each may raise `StateUnavailable`.
    """

    def take(self, owner: str, quota: Quota, unit: Unit, count: int, *, now_s: float) -> Taken:
        """Counts a use where every rate of its unit has room, else nothing."""
        ...

    def give_back(self, owner: str, quota: Quota, unit: Unit, count: int, *, taken_at_s: float) -> None:
        """Takes a use back that was counted at `taken_at_s`."""
        ...

    def standings(self, owner: str, quota: Quota, *, now_s: float) -> tuple[Standing, ...]:
        """How much of each rate is used."""
        ...
