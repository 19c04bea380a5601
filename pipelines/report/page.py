"""The report's page: what a template needs, gathered and rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

from atelier import storage
from atelier.rows import Outcome
from pipelines.census import Census
from pipelines.ledger import Ledger
from pipelines.report.selection import Limits, Rank, Selection, select
from pipelines.report.thumbnails import Thumbnail, thumbnails
from pipelines.summary import NOT_RUN, Summary, summarize

_SHOWN_INPUTS = ("person", "garment", "pose", "pose_map")


@dataclass(frozen=True, kw_only=True)
class Card:
    """One unit as the page shows it.

    Args:
        group: `failed`, `rejected`, `worst` or `random`: why it is shown.
        pictures: (caption, thumbnail) in order; the result, if any, last.
        link: the picture itself, relative to the page.
        prompt: the row's words.
        notes: (code, sentence) of what a person should know of the picture.
        rank: of one of the worst, which score put it there.
    """

    item_id: str
    variant: int
    task: str
    status: str
    group: str
    code: str = ""
    stage: str = ""
    detail: str = ""
    pictures: tuple[tuple[str, Thumbnail], ...] = ()
    link: str = ""
    prompt: str = ""
    notes: tuple[tuple[str, str], ...] = ()
    seed: int = 0
    recipe: str = ""
    picture_key: str = ""
    scores: Mapping[str, float] | None = None
    rank: Rank | None = None
    seconds: float = 0.0


def write_report(output: str, *, limits: Limits | None = None) -> str:
    """Writes `OUTPUT/report.html`, whole and self-contained, and gives its address.

    Raises:
        LedgerError: nothing was ever run into the output.
    """
    root = storage.resolve(output)
    summary = summarize(output)
    selection = select(Ledger(output), Census(output, summary.run.run_id), limits)
    page = _template().render(
        summary=summary,
        run=summary.run,
        selection=selection,
        cards=_cards(root, selection),
        recipes=_recipes(summary, selection),
        versions=_versions(summary, selection),
        stages=_stages(selection.seconds),
        started=_moment(summary.run.started_at_s),
        took=_duration(summary.run.started_at_s, summary.run.finished_at_s),
    )
    address = f"{root}/report.html"
    storage.put(address, page.encode(), content_type="text/html; charset=utf-8")
    return address


def _template() -> jinja2.Template:
    # Ids, prompts and messages come from outside: everything is escaped.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda number: f"{number:,}"
    environment.filters["percent"] = _percent
    environment.filters["place"] = _place
    return environment.get_template("page.html.j2")


def _cards(root: str, selection: Selection) -> list[Card]:
    wanted = [shown for outcome in (*selection.not_ok, *selection.ok) for shown in _addresses(root, outcome)]
    shown = thumbnails(wanted)
    not_ok = [_card(outcome.status, outcome, root, shown) for outcome in selection.not_ok]
    worst = [
        _card("worst", outcome, root, shown, rank)
        for outcome, rank in zip(selection.worst, selection.ranks, strict=True)
    ]
    random = [_card("random", outcome, root, shown) for outcome in selection.random]
    failed = [card for card in not_ok if card.group == "failed"]
    detail = "it was planned, and its run ended before it was made; the next run makes it"
    not_run = [
        Card(item_id=item_id, variant=variant, task=task, status="failed", group="failed", code=NOT_RUN, detail=detail)
        for item_id, variant, task in selection.not_run
    ]
    return failed + not_run + [card for card in not_ok if card.group != "failed"] + worst + random


def _addresses(root: str, outcome: Outcome) -> list[tuple[str, str]]:
    given = [(name, outcome.inputs[name]) for name in _SHOWN_INPUTS if outcome.inputs.get(name)]
    return [*given, ("result", f"{root}/{outcome.picture}")] if outcome.picture else given


def _card(
    group: str, outcome: Outcome, root: str, shown: Mapping[tuple[str, str], Thumbnail], rank: Rank | None = None
) -> Card:
    return Card(
        item_id=outcome.item_id,
        variant=outcome.variant,
        task=outcome.task,
        status=outcome.status,
        group=group,
        code=outcome.code,
        stage=outcome.stage,
        detail=outcome.detail,
        pictures=tuple((name, shown[name, address]) for name, address in _addresses(root, outcome)),
        link=outcome.picture,
        prompt=outcome.prompt,
        notes=tuple((code, said.strip()) for code, _, said in (note.partition(":") for note in outcome.notes)),
        seed=outcome.seed,
        recipe=outcome.recipe,
        picture_key=outcome.picture_key,
        scores=outcome.scores,
        rank=rank,
        seconds=sum(outcome.seconds.values()),
    )


def _recipes(summary: Summary, selection: Selection) -> list[dict[str, Any]]:
    """Name, working size, fingerprint and weight digests: of the run, and of earlier runs that pictures come from."""
    recipes = {name: {"name": name, **facts} for name, facts in summary.run.recipes.items()}
    for outcome in selection.ok:
        if outcome.recipe not in recipes:
            size, digests = list(outcome.batch_shape[1:]), dict(outcome.digests)
            found = {"name": outcome.recipe, "size": size, "fingerprint": outcome.fingerprint, "digests": digests}
            recipes[outcome.recipe] = found
    return [recipes[name] for name in sorted(recipes)]


def _versions(summary: Summary, selection: Selection) -> Mapping[str, str]:
    if versions := summary.run.facts.get("versions"):
        return versions
    return next((outcome.versions for outcome in selection.ok if outcome.versions), {})


def _stages(seconds: Mapping[str, float]) -> Sequence[dict[str, Any]]:
    """The stages in order; the one that takes the longest has rank 0 and the strongest colour."""
    total = sum(seconds.values())
    ranked = sorted(seconds, key=seconds.__getitem__, reverse=True)
    return [
        {"name": name, "seconds": value, "share": value / total, "rank": min(ranked.index(name), 7)}
        for name, value in seconds.items()
        if value > 0
    ]


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{share:.1%}".replace("%", " %")


def _place(place: int) -> str:
    """Where something stands from the worst on, in words: `worst`, `2nd worst`."""
    if place == 1:
        return "worst"
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place:,}{ending} worst"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%-d %B %Y, %H:%M UTC")


def _duration(start_s: float, end_s: float | None) -> str:
    if end_s is None:
        return ""
    minutes, seconds = divmod(round(end_s - start_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
