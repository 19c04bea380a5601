"""Uses in the SQLite file of the jobs: counts by owner, rate and slice of time.

A window slides: a slice leaves it when the youngest use that it may hold is a window old. So there is never a moment
around which twice the quota fits, as there is where windows begin at full minutes; and a day is 144 rows.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from serving.database import Database
from serving.quotas.quota import Quota, Rate, Standing, Taken, Unit, Window

_SLICES_S: Mapping[Window, float] = {"minute": 1.0, "hour": 30.0, "day": 600.0}

_SCHEMA = """
create table if not exists uses (
    owner text not null,
    unit text not null,
    per text not null,
    slice integer not null,
    count integer not null,
    primary key (owner, unit, per, slice)
) without rowid;
"""


class SqliteUses:
    """A `UseStore`."""

    def __init__(self, path: str | Path) -> None:
        self._database = Database(path, _SCHEMA)

    def take(self, owner: str, quota: Quota, unit: Unit, count: int, *, now_s: float) -> Taken:
        with self._database.open(is_kept=False) as connection:
            connection.execute("begin immediate")
            waits = {
                rate: _wait_s(rate, count, self._slices(connection, owner, rate, now_s), now_s)
                for rate in quota.rates
                if rate.unit == unit
            }
            wait_s = max(waits.values(), default=0.0)
            if wait_s == 0:
                for rate in waits:
                    self._count(connection, owner, rate, count, now_s)
            full = max(waits, key=waits.__getitem__) if wait_s > 0 else None
            return Taken(wait_s=wait_s, full=full, standings=self._standings(connection, owner, quota, now_s))

    def give_back(self, owner: str, quota: Quota, unit: Unit, count: int, *, taken_at_s: float) -> None:
        with self._database.open(is_kept=False) as connection:
            for rate in quota.rates:
                if rate.unit == unit:
                    where = "owner = ? and unit = ? and per = ? and slice = ?"
                    connection.execute(
                        f"update uses set count = max(0, count - ?) where {where}",
                        (count, owner, rate.unit, rate.per, _slice(rate, taken_at_s)),
                    )

    def standings(self, owner: str, quota: Quota, *, now_s: float) -> tuple[Standing, ...]:
        with self._database.open(is_kept=False) as connection:
            return self._standings(connection, owner, quota, now_s)

    def _standings(
        self, connection: sqlite3.Connection, owner: str, quota: Quota, now_s: float
    ) -> tuple[Standing, ...]:
        found: list[Standing] = []
        for rate in quota.rates:
            slices = self._slices(connection, owner, rate, now_s)
            frees_in_s = _leaves_at_s(rate, slices[0][0]) - now_s if slices else 0.0
            found.append(Standing(rate=rate, used=sum(count for _, count in slices), frees_in_s=frees_in_s))
        return tuple(found)

    def _slices(self, connection: sqlite3.Connection, owner: str, rate: Rate, now_s: float) -> list[tuple[int, int]]:
        """Those that the window holds, oldest first, each with its count."""
        return connection.execute(
            "select slice, count from uses where owner = ? and unit = ? and per = ? and slice > ? and count > 0 "
            "order by slice",
            (owner, rate.unit, rate.per, _newest_gone(rate, now_s)),
        ).fetchall()

    def _count(self, connection: sqlite3.Connection, owner: str, rate: Rate, count: int, now_s: float) -> None:
        connection.execute(
            "insert into uses values (?, ?, ?, ?, ?) on conflict do update set count = count + excluded.count",
            (owner, rate.unit, rate.per, _slice(rate, now_s), count),
        )
        connection.execute(
            "delete from uses where owner = ? and unit = ? and per = ? and slice <= ?",
            (owner, rate.unit, rate.per, _newest_gone(rate, now_s)),
        )


def _wait_s(rate: Rate, count: int, slices: list[tuple[int, int]], now_s: float) -> float:
    """Seconds until there is room for `count` more."""
    if count > rate.most:
        return math.inf
    over = sum(used for _, used in slices) + count - rate.most
    for number, used in slices:
        if over <= 0:
            break
        over -= used
        if over <= 0:
            return _leaves_at_s(rate, number) - now_s
    return 0.0


def _slice(rate: Rate, time_s: float) -> int:
    return int(time_s // _SLICES_S[rate.per])


def _leaves_at_s(rate: Rate, number: int) -> float:
    return (number + 1) * _SLICES_S[rate.per] + rate.window_s


def _newest_gone(rate: Rate, now_s: float) -> int:
    """The newest slice that has left the window."""
    return _slice(rate, now_s - rate.window_s) - 1
