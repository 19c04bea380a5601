"""Phrase-to-region parsing: which words of a free English sentence belong to which of the 24 regions.

The paper describes persons by free sentences and gives no rule; these rules are ours. A sentence is cut at verbs,
commas and joining words; each piece goes to the region of its last garment word, a piece without one to the thing it
adds to. No word is lost: what belongs to no region is told to all of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from atelier.models.human_diffusion import lexicon
from atelier.models.human_diffusion.regions import REGIONS, region_id

_WORD = re.compile(r"\"[^\"]*\"|“[^”]*”|[^\W_]+(?:['’-][^\W_]+)*")
_TOKEN = re.compile(rf"{_WORD.pattern}|[.,;!?()]")
_STOPS = frozenset(".;!?()")


@dataclass(frozen=True, kw_only=True)
class Description:
    """A person in words, by region.

    Args:
        phrases: region → its words; regions that nothing is said of are absent.
        person: what is said of the person as a whole, and what belongs to no region; every region is told.
        unplaced: the words in `person` that no rule could place.
    """

    phrases: Mapping[str, str] = field(default_factory=dict)
    person: str = ""
    unplaced: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for region in self.phrases:
            region_id(region)

    def changed(self, **phrases: str) -> Description:
        """The same person with other words for some regions; empty words leave a region undescribed.

        Raises:
            ConfigError: there is no such region.
        """
        for region in phrases:
            region_id(region)
        merged = {**self.phrases, **phrases}
        return Description(
            phrases={region: words for region, words in merged.items() if words},
            person=self.person,
            unplaced=self.unplaced,
        )

    @property
    def unlisted(self) -> Mapping[str, tuple[str, ...]]:
        """Words whose region their neighbours tell, but that stand in no list, each with its regions."""
        found: dict[str, tuple[str, ...]] = {}
        for region, phrase in self.phrases.items():
            for word in words_of(phrase):
                if not lexicon.is_listed(word) and region not in found.get(word, ()):
                    found[word] = (*found.get(word, ()), region)
        return found

    @property
    def told(self) -> tuple[tuple[str, str], ...]:
        """Each word that was not understood, and where it went in a sentence."""
        unplaced = (
            (word, f"{word!r} belongs to no region that is known; every region is told") for word in self.unplaced
        )
        unlisted = (
            (word, f"{word!r} is in no word list; it is read as part of {' and '.join(regions)}")
            for word, regions in self.unlisted.items()
        )
        return (*unplaced, *unlisted)

    def unshown(self, shown: Collection[str]) -> tuple[str, ...]:
        """What whoever wrote the sentence should know beside a pose map: a sentence for each phrase that reaches no
        pixel, since all its regions are absent there.

        Args:
            shown: the regions that the pose map holds.
        """
        reached = {self.phrases[region] for region in self.phrases if region in shown}
        lost: dict[str, list[str]] = {}
        for region, phrase in self.phrases.items():
            if phrase not in reached and not any(word.lower() in lexicon.ABSENT for word in words_of(phrase)):
                lost.setdefault(phrase, []).append(region)
        held = ", ".join(region for region in REGIONS[1:] if region in shown)
        return tuple(
            f"{phrase!r} is said of {' and '.join(regions)}, which the pose map does not show; it shows {held}"
            for phrase, regions in lost.items()
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What whoever wrote the sentence should know: the sentences of `told`."""
        return tuple(sentence for _, sentence in self.told)


@dataclass(kw_only=True)
class _Piece:
    """Words between two breaks, and the break before them."""

    opened_by: str
    words: list[str]

    @property
    def text(self) -> str:
        """The words without the empty ones at either end."""
        kept = [index for index, word in enumerate(self.words) if word.lower() not in lexicon.FILLERS]
        return " ".join(self.words[kept[0] : kept[-1] + 1]) if kept else ""

    @property
    def bare(self) -> list[str]:
        return [word for word in self.words if word.lower() not in lexicon.FILLERS]

    @property
    def regions(self) -> tuple[str, ...]:
        """Of the last noun; `shirt collar` is the shirt's, `lower clothing` two regions'."""
        lowered = [word.lower() for word in self.words]
        for end in range(len(lowered), 0, -1):
            for length in range(min(lexicon.LONGEST_NOUN, end), 0, -1):
                if regions := lexicon.NOUNS.get(" ".join(lowered[end - length : end])):
                    return regions
        return ()

    @property
    def ends_in_modifier(self) -> bool:
        return bool(self.bare) and self.bare[-1].lower() in lexicon.MODIFIERS

    def is_of(self, words: frozenset[str]) -> bool:
        return any(word.lower() in words for word in self.bare)


def words_of(phrase: str) -> list[str]:
    """The words of a phrase; a quoted text is one of them, quotes and all."""
    return _WORD.findall(phrase)


def parse(sentence: str) -> Description:
    """A sentence, or several, as a description by region; words keep their case and order."""
    found: dict[str, list[str]] = {}
    person: list[str] = []
    unplaced: list[str] = []
    before: tuple[str, ...] = ()
    held = ""
    pieces = _pieces(sentence)
    for index, piece in enumerate(pieces):
        after = pieces[index + 1] if index + 1 < len(pieces) else None
        if not piece.bare:
            continue
        if regions := piece.regions:
            for region in regions:
                found.setdefault(region, []).append(held + piece.text)
            held, before = "", regions
        elif _leads_to(piece, after):
            held += f"{piece.text} and " if after and after.opened_by == "and" else f"{piece.text} "
        elif before and (piece.opened_by in lexicon.ADDS or _adds(piece)) and not _is_posture(piece):
            joint = f" {piece.opened_by} " if piece.opened_by in lexicon.BREAKS else " "
            for region in before:
                found[region][-1] += joint + piece.text
        else:
            person.append(piece.text)
            strangers = [word for word in piece.bare if not lexicon.is_listed(word)]
            unplaced += strangers
            before = before if strangers else ()
    return Description(
        phrases={region: ", ".join(found[region]) for region in REGIONS if region in found},
        person=", ".join(person),
        unplaced=tuple(dict.fromkeys(unplaced)),
    )


def _pieces(sentence: str) -> list[_Piece]:
    pieces = [_Piece(opened_by=".", words=[])]
    for token in _TOKEN.findall(sentence):
        mark = token.lower()
        if token in _STOPS or token == "," or mark in lexicon.BREAKS:
            if pieces[-1].words or mark not in lexicon.BREAKS:
                pieces.append(_Piece(opened_by=mark, words=[]))
            else:
                pieces[-1].opened_by = mark
        else:
            pieces[-1].words.append(token)
    return [piece for piece in pieces if piece.words]


def _leads_to(piece: _Piece, after: _Piece | None) -> bool:
    """`black` in `black and white shirt`: words that describe what the next piece names."""
    if (
        after is None
        or after.opened_by not in ("and", ",")
        or not piece.ends_in_modifier
        or piece.is_of(lexicon.PEOPLE)
    ):
        return False
    begins_anew = after.words[0].lower() in lexicon.ARTICLES
    said_of_subject = any(word.lower() in ("is", "are") for word in piece.words)
    return bool(after.regions) and not begins_anew and not said_of_subject


def _adds(piece: _Piece) -> bool:
    """Words of a garment's details, or that only describe: they go with the thing named before."""
    described = [word for word in piece.bare if word.lower() not in lexicon.MODIFIERS and not lexicon.is_quoted(word)]
    return not described or any(word.lower() in lexicon.DETAILS for word in described)


def _is_posture(piece: _Piece) -> bool:
    return piece.opened_by not in lexicon.ADDS and any(
        word.lower() in lexicon.POSTURE and word.lower() not in lexicon.MODIFIERS | lexicon.DETAILS
        for word in piece.bare
    )
