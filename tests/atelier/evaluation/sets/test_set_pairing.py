"""Which picture is held against which, and what is refused, by name."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atelier.errors import CatalogError, MismatchError
from atelier.evaluation.sets.listing import PictureSet, digest
from atelier.evaluation.sets.pairing import pair_by_file, pair_by_name


def _folder(path: Path, *names: str) -> PictureSet:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"")
    return PictureSet.of(str(path))


def test_pictures_pair_by_path_whatever_their_endings(tmp_path: Path) -> None:
    made = _folder(tmp_path / "made", "b.png", "women/a.JPG", "ledger.json")
    truth = _folder(tmp_path / "true", "women/a.webp", "b.jpeg")
    pairs = pair_by_name(made, truth, "name")
    assert [(pair.name, pair.true_name) for pair in pairs] == [("b", "b"), ("women/a", "women/a")]
    assert pairs[1].truth.endswith("women/a.webp")


def test_viton_hd_names_pair_by_the_person(tmp_path: Path) -> None:
    made = _folder(tmp_path / "made", "00891_01430_00.jpg", "03615_09933_00.jpg")
    truth = _folder(tmp_path / "true", "03615_00.jpg", "00891_00.jpg")
    pairs = pair_by_name(made, truth, "person_id")
    assert [(pair.name, pair.true_name) for pair in pairs] == [
        ("00891_01430_00", "00891_00"),
        ("03615_09933_00", "03615_00"),
    ]
    assert [pair.true_name for pair in pair_by_name(truth, truth, "person_id")] == ["00891_00", "03615_00"]
    twice = _folder(tmp_path / "made", "00891_09933_00.jpg")
    with pytest.raises(MismatchError, match="2 made pictures share their partner: 00891_01430_00, 00891_09933_00"):
        pair_by_name(twice, truth, "person_id")


@pytest.mark.parametrize("side", ["made", "true"])
def test_missing_partners_are_listed_on_either_side(tmp_path: Path, side: str) -> None:
    _folder(tmp_path / "made", "a.png", "b.png")
    _folder(tmp_path / "true", "a.png", "b.png")
    _folder(tmp_path / side, *(f"c{number:02}.png" for number in range(12)))
    made, truth = PictureSet.of(str(tmp_path / "made")), PictureSet.of(str(tmp_path / "true"))
    with pytest.raises(MismatchError) as refused:
        pair_by_name(made, truth, "name")
    assert f"12 of 14 {side} pictures have no partner" in str(refused.value)
    assert "c00, c01" in str(refused.value) and "and 2 more" in str(refused.value)
    assert len(refused.value.names) == 12


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pairs.txt", "x.png a.jpg\n\ny b\n"),
        ("pairs.csv", "made,true\nx.png,a.jpg\n y , b\n"),
        ("pairs.tsv", "x.png\ta.jpg\ny\tb\n"),
    ],
)
def test_pairs_file_says_which(tmp_path: Path, file: str, text: str) -> None:
    made = _folder(tmp_path / "made", "x.png", "y.png", "unlisted.png")
    truth = _folder(tmp_path / "true", "a.jpg", "b.jpg")
    (tmp_path / file).write_text(text)
    pairs = pair_by_file(str(tmp_path / file), made, truth)
    assert [(pair.name, pair.true_name) for pair in pairs] == [("x", "a"), ("y", "b")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x a\nz c\n", r"2 pictures are not there: z \(.*made\), c \(.*true\)"),
        ("x a\nx b\n", "1 made pictures are listed more than once: x"),
        ("x a b\n", "line 1: has 3 names, must have two"),
        ("\n", "lists no pair"),
    ],
)
def test_pairs_file_that_does_not_fit_is_refused(tmp_path: Path, text: str, message: str) -> None:
    made, truth = _folder(tmp_path / "made", "x.png"), _folder(tmp_path / "true", "a.png", "b.png")
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(MismatchError, match=message):
        pair_by_file(str(tmp_path / "pairs.txt"), made, truth)


def test_folders_without_pictures_or_with_doubles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="holds no picture"):
        _folder(tmp_path / "empty", "notes.txt")
    with pytest.raises(MismatchError, match="nowhere: there is no such folder"):
        PictureSet.of(str(tmp_path / "nowhere"))
    with pytest.raises(MismatchError, match="more than one picture of these names: a"):
        _folder(tmp_path / "double", "a.png", "a.jpg")


def test_catalogs_name_pictures_by_item(tmp_path: Path) -> None:
    """A table of true answers, and what a batch job published under `catalog/CURRENT`."""
    (tmp_path / "truths.csv").write_text("item_id,person,truth\nred,p.jpg,truth/red.png\nblue,q.jpg,\n")
    truth = PictureSet.of(str(tmp_path / "truths.csv"))
    assert truth.pictures == {"red": str(tmp_path / "truth" / "red.png")}
    assert {name: missing.status for name, missing in truth.missing.items()} == {"blue": "unnamed"}

    output = tmp_path / "out"
    (output / "catalog").mkdir(parents=True)
    (output / "pictures").mkdir()
    (output / "pictures" / "0c1d.jpg").write_bytes(b"")
    table = pa.table(
        {"item_id": ["red", "red"], "variant": [0, 1], "picture": ["pictures/0c1d.jpg", "pictures/2e.jpg"]}
    )
    pq.write_table(table, output / "catalog" / "run.parquet")
    (output / "catalog" / "run.csv").write_text("item_id,variant,picture\nred,0,pictures/0c1d.jpg\n")
    (output / "catalog" / "CURRENT").write_text('{"csv": "catalog/run.csv"}')
    made = PictureSet.of(str(output))
    assert made.pictures == {"red": str(output / "pictures" / "0c1d.jpg")}
    assert [pair.name for pair in pair_by_name(made, truth, "name")] == ["red"]
    assert list(PictureSet.of(str(output / "catalog" / "run.parquet")).pictures) == ["red", "red@1"]

    (output / "catalog" / "CURRENT").write_text("[]")
    with pytest.raises(CatalogError, match="names no published catalog"):
        PictureSet.of(str(output))
    (tmp_path / "other.csv").write_text("sku,image\n1,a.png\n")
    with pytest.raises(CatalogError, match="has the columns sku, image; must have item_id and picture or truth"):
        PictureSet.of(str(tmp_path / "other.csv"))


def test_set_digest_follows_names_and_contents_and_no_order() -> None:
    one = digest([("a", "1"), ("b", "2")])
    assert one == digest([("b", "2"), ("a", "1")])
    assert one != digest([("a", "2"), ("b", "1")]) != digest([("a", "1")])
