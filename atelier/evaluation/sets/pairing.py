"""Which true picture a made one is held against."""

from __future__ import annotations

import csv
import posixpath
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from atelier import storage
from atelier.errors import MismatchError
from atelier.evaluation.sets.listing import SUFFIXES, PictureSet
from atelier.evaluation.sets.protocol import Pairing

_HEADER = ("made", "true")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One made picture and its true one: names and addresses."""

    name: str
    made: str
    true_name: str
    truth: str


def pair_by_name(made: PictureSet, truth: PictureSet, rule: Pairing) -> list[Pair]:
    """Every made picture with the true one of its name, in the order of names; both sets must be used up.

    Raises:
        MismatchError: pictures without a partner, or several with one; lists their names.
    """
    # Sets that share all names, as a job's output and its truths do, need no reading of them.
    key: Callable[[str], str] = str if rule == "name" or made.pictures.keys() == truth.pictures.keys() else _person
    keys = {side: {name: key(name) for name in those.pictures} for side, those in (("made", made), ("true", truth))}
    for side, those in (("made", made), ("true", truth)):
        counts = Counter(keys[side].values())
        if several := [name for name, value in keys[side].items() if counts[value] > 1]:
            raise MismatchError(f"{those.address}: {len(several)} {side} pictures share their partner", several)
    partners = {value: name for name, value in keys["true"].items()}
    asked = set(keys["made"].values())
    for side, those, lonely in (
        ("made", made, [name for name, value in keys["made"].items() if value not in partners]),
        ("true", truth, [name for name, value in keys["true"].items() if value not in asked]),
    ):
        if lonely:
            other = truth if side == "made" else made
            raise MismatchError(
                f"{those.address}: {len(lonely)} of {len(those.pictures)} {side} pictures have no partner in "
                f"{other.address}; take them out, or name the pairs in a pairs file",
                lonely,
            )
    return [_pair(made, truth, name, partners[value]) for name, value in keys["made"].items()]


def pair_by_file(address: str, made: PictureSet, truth: PictureSet) -> list[Pair]:
    """The pairs that a file lists, in its order: a line each, made picture then true one.

    `.csv` is divided at commas and `.tsv` at tabs, any other file at spaces; a first line `made,true` is a heading.
    Names are paths inside the folders, with the file ending or without. Pictures that no line names are left out.

    Raises:
        MismatchError: a line without two names, a made picture listed twice, or pictures that are not there, listed.
        StorageError: a file that cannot be read.
    """
    pairs: list[Pair] = []
    absent: list[str] = []
    for number, fields in _lines(address):
        if len(fields) != 2:
            raise MismatchError(f"{address}, line {number}: has {len(fields)} names, must have two: MADE TRUE")
        names = [_name(field) for field in fields]
        missing = [
            f"{field} ({those.address})"
            for field, name, those in zip(fields, names, (made, truth), strict=True)
            if name not in those.pictures
        ]
        absent += missing
        if not missing:
            pairs.append(_pair(made, truth, *names))
    if absent:
        are = "picture is" if len(absent) == 1 else "pictures are"
        raise MismatchError(f"{address}: {len(absent)} {are} not there", absent)
    counts = Counter(pair.name for pair in pairs)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise MismatchError(f"{address}: {len(twice)} made pictures are listed more than once", twice)
    if not pairs:
        raise MismatchError(f"{address}: lists no pair")
    return pairs


def _lines(address: str) -> list[tuple[int, list[str]]]:
    lines = storage.get(address).decode("utf-8-sig").splitlines()
    suffix = posixpath.splitext(address)[1].lower()
    if suffix in (".csv", ".tsv"):
        rows = list(csv.reader(lines, delimiter="," if suffix == ".csv" else "\t"))
    else:
        rows = [line.split() for line in lines]
    numbered = [(number, [field.strip() for field in row]) for number, row in enumerate(rows, start=1) if any(row)]
    return numbered[1:] if numbered and tuple(numbered[0][1]) == _HEADER else numbered


def _pair(made: PictureSet, truth: PictureSet, name: str, true_name: str) -> Pair:
    return Pair(name=name, made=made.pictures[name], true_name=true_name, truth=truth.pictures[true_name])


def _person(name: str) -> str:
    return name.partition("_")[0]


def _name(field: str) -> str:
    stem, suffix = posixpath.splitext(posixpath.normpath(field))
    return stem if suffix.lower() in SUFFIXES else posixpath.normpath(field)
