"""Which words of a sentence belong to which region."""

from __future__ import annotations

import pytest

from atelier.closet.caption import look_caption
from atelier.closet.outfits import outfit_for, worn
from atelier.closet.people import person_from
from atelier.closet.poses import pose_from
from atelier.errors import ConfigError
from atelier.models.human_diffusion import Description, human_diffusion_closet, parse
from atelier.models.human_diffusion.encoders import SmallEncoders
from atelier.models.human_diffusion.lexicon import NOUNS
from atelier.models.human_diffusion.regions import REGIONS


def test_a_closet_caption_is_taken_apart() -> None:
    sentence = (
        "A person with light skin, a dark blond quiff, glasses, a sun hat wears a red hoodie with a sun logo over a"
        ' white T-shirt with the word "SOL" with an open-weave navy skirt and tan boots, sitting on a box, '
        "hands in the lap."
    )
    description = parse(sentence)
    assert description.phrases == {
        "skin": "light skin",
        "face": "light skin",
        "hair": "dark blond quiff",
        "eyeglass": "glasses",
        "headwear": "sun hat",
        "top": 'red hoodie with sun logo, white T-shirt with word "SOL"',
        "skirt": "open-weave navy skirt",
        "footwear": "tan boots",
    }
    assert description.person == "person, sitting on a box, hands, lap"
    assert description.unplaced == () and description.unlisted == {"open-weave": ("skirt",)}


@pytest.mark.parametrize(
    ("sentence", "phrases"),
    [
        (
            "a red and white striped shirt and black jeans",
            {"top": "red and white striped shirt", "pants": "black jeans"},
        ),
        ("a long, flowing red dress", {"dress": "long flowing red dress"}),
        ("Her hair is blond and curly.", {"hair": "hair is blond and curly"}),
        ("short and curly hair", {"hair": "short and curly hair"}),
        ("jacket: navy, trousers: grey", {"outer": "jacket navy", "pants": "trousers grey"}),
        ("a denim jacket over a plain tee", {"outer": "denim jacket", "top": "plain tee"}),
        ("The shirt is red. It has short sleeves.", {"top": "shirt is red has short sleeves"}),
        ("lower clothing of denim", {"skirt": "lower clothing of denim", "pants": "lower clothing of denim"}),
        ("holding a small leather bag", {"bag": "small leather bag"}),
        ("There is a ring on her finger", {"ring": "ring on her finger"}),
        ("dress shoes and a silk tie", {"footwear": "dress shoes", "tie": "silk tie"}),
        ("a tank top and a sun hat", {"top": "tank top", "headwear": "sun hat"}),
    ],
)
def test_free_words_find_their_regions(sentence: str, phrases: dict[str, str]) -> None:
    assert parse(sentence).phrases == phrases


def test_every_region_can_be_named() -> None:
    named = {region for regions in NOUNS.values() for region in regions}
    assert named == set(REGIONS)
    for noun, regions in NOUNS.items():
        assert set(regions) <= set(parse(f"a red {noun}").phrases), noun


def test_words_that_belong_nowhere_are_kept_and_told() -> None:
    description = parse("A tall woman wears a qipao and crimson boots.")
    assert description.person == "tall woman, qipao" and description.unplaced == ("qipao",)
    assert description.phrases == {"footwear": "crimson boots"}
    assert description.warnings == (
        "'qipao' belongs to no region that is known; every region is told",
        "'crimson' is in no word list; it is read as part of footwear",
    )


def test_no_word_is_lost_whatever_the_sentence() -> None:
    sentence = "Glimmering zorbic fnord, with mauve-ish pantaloons over blorp socks; she grins & 3 wugs, in teal!"
    description = parse(sentence)
    kept = " ".join([*description.phrases.values(), description.person])
    for word in (
        "Glimmering",
        "zorbic",
        "fnord",
        "mauve-ish",
        "pantaloons",
        "blorp",
        "socks",
        "grins",
        "3",
        "wugs",
        "teal",
    ):
        assert word in kept.replace(",", " ").split()
    assert description.warnings


def test_an_empty_sentence_says_nothing() -> None:
    assert parse("") == parse(" ,.") == Description()


def test_closet_captions_are_understood_and_their_words_are_known() -> None:
    encoders = SmallEncoders(human_diffusion_closet())
    for seed in range(300):
        caption = look_caption(person_from(seed), pose_from(seed), worn(outfit_for(seed)))
        description = parse(caption)
        assert description.warnings == ()
        assert parse(caption.replace(" and ", ", ", 1)) == description, "the shipped weights read commas in training"
        assert {"face", "skin", "footwear"} <= set(description.phrases)
        for phrase in (*description.phrases.values(), description.person):
            assert encoders.unseen(phrase) == (), caption


def test_changing_a_regions_words_leaves_the_others() -> None:
    description = parse("a red shirt and black jeans on a tall man")
    changed = description.changed(top="green zorb blouse", hair="blond bob", pants="")
    assert changed.phrases == {"top": "green zorb blouse", "hair": "blond bob"}
    assert changed.person == description.person
    assert changed.unlisted == {"zorb": ("top",)}
    with pytest.raises(ConfigError, match="region: is 'trousers', must be one of background, top"):
        description.changed(trousers="")
