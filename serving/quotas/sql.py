"""Uses in the database of the jobs: counts by owner, rate and slice of time.

A window slides: a slice leaves it when the youngest use that it may hold is a window old. So there is never a moment
around which twice the quota fits, as there is where windows begin at full minutes; and a day is 144 rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, bindparam, case, delete, select, update

from serving.database import Database
from serving.quotas.quota import Quota, Rate, Standing, Taken, Unit, Window

_SLICES_S: Mapping[Window, float] = {"minute": 1.0, "hour": 30.0, "day": 600.0}

TABLES = MetaData()

USES = Table(
    "uses",
    TABLES,
    Column("owner", Text, primary_key=True),
    Column("unit", Text, primary_key=True),
    Column("per", Text, primary_key=True),
    Column("slice", BigInteger, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

_of_rate = (
    USES.c.owner == bindparam("of_owner"),
    USES.c.unit == bindparam("of_unit"),
    USES.c.per == bindparam("of_per"),
)
_less = USES.c["count"] - bindparam("by", type_=BigInteger)

_OF_OWNER = select(USES.c.unit, USES.c.per, USES.c.slice, USES.c["count"]).where(USES.c.owner == bindparam("of_owner"))
_GIVE_BACK = (
    update(USES)
    .where(*_of_rate, USES.c.slice == bindparam("number"))
    .values({"count": case((_less > 0, _less), else_=0)})
)
_FORGET = delete(USES).where(*_of_rate, USES.c.slice <= bindparam("number"))

Slices = Mapping[Rate, list[tuple[int, int]]]
"""By rate, those that its window holds, oldest first, each with its count."""


class SqlUses:
    """A `UseStore`."""

    def __init__(self, database: Database | str | Path) -> None:
        self._database = Database.holding(TABLES, database)
        insert = self._database.insert(USES)
        self._add = insert.on_conflict_do_update(
            index_elements=USES.primary_key.columns, set_={"count": USES.c["count"] + insert.excluded["count"]}
        )

    def take(self, owner: str, quota: Quota, unit: Unit, count: int, *, now_s: float) -> Taken:
        with self._database.transaction(lock=f"uses of {owner}", is_kept=False) as connection:
            found, gone = _slices(connection, owner, quota, now_s)
            asked = [rate for rate in quota.rates if rate.unit == unit]
            waits = {rate: _wait_s(rate, count, found[rate], now_s) for rate in asked}
            wait_s = max(waits.values(), default=0.0)
            if wait_s == 0 and asked:
                uses = [
                    {"owner": owner, "unit": unit, "per": rate.per, "slice": _slice(rate, now_s), "count": count}
                    for rate in asked
                ]
                connection.execute(self._add, uses)
                found = {**found, **{rate: _with(found[rate], _slice(rate, now_s), count) for rate in asked}}
            for rate in gone:
                connection.execute(_FORGET, {**_key(owner, rate), "number": _newest_gone(rate, now_s)})
            full = max(waits, key=waits.__getitem__) if wait_s > 0 else None
            return Taken(wait_s=wait_s, full=full, standings=_standings(quota, found, now_s))

    def give_back(self, owner: str, quota: Quota, unit: Unit, count: int, *, taken_at_s: float) -> None:
        with self._database.transaction(lock=f"uses of {owner}", is_kept=False) as connection:
            for rate in quota.rates:
                if rate.unit == unit:
                    values = {**_key(owner, rate), "number": _slice(rate, taken_at_s), "by": count}
                    connection.execute(_GIVE_BACK, values)

    def standings(self, owner: str, quota: Quota, *, now_s: float) -> tuple[Standing, ...]:
        with self._database.one(is_kept=False) as connection:
            return _standings(quota, _slices(connection, owner, quota, now_s)[0], now_s)


def _key(owner: str, rate: Rate) -> dict[str, Any]:
    return {"of_owner": owner, "of_unit": rate.unit, "of_per": rate.per}


def _slices(connection: Connection, owner: str, quota: Quota, now_s: float) -> tuple[Slices, list[Rate]]:
    """Of every rate; and the rates that have slices which left their window."""
    counts: dict[Rate, list[tuple[int, int]]] = {rate: [] for rate in quota.rates}
    by_name = {(rate.unit, rate.per): rate for rate in quota.rates}
    gone: set[Rate] = set()
    for unit, per, number, count in connection.execute(_OF_OWNER, {"of_owner": owner}):
        rate = by_name.get((unit, per))
        if rate is None:
            continue  # of another quota, before this one
        if number <= _newest_gone(rate, now_s):
            gone.add(rate)
        elif count > 0:
            counts[rate].append((number, count))
    return {rate: sorted(found) for rate, found in counts.items()}, [rate for rate in quota.rates if rate in gone]


def _with(slices: list[tuple[int, int]], number: int, count: int) -> list[tuple[int, int]]:
    """The same after a use."""
    counts = dict(slices)
    return sorted({**counts, number: counts.get(number, 0) + count}.items())


def _standings(quota: Quota, found: Slices, now_s: float) -> tuple[Standing, ...]:
    standings: list[Standing] = []
    for rate in quota.rates:
        slices = found[rate]
        frees_in_s = _leaves_at_s(rate, slices[0][0]) - now_s if slices else 0.0
        standings.append(Standing(rate=rate, used=sum(count for _, count in slices), frees_in_s=frees_in_s))
    return tuple(standings)


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
