"""The storage calls, the same on local disk and on a real S3 server."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atelier import storage
from atelier.errors import NotFound, PreconditionFailed, StorageError, TooLarge
from atelier.storage import local
from atelier.storage.tokens import Listing


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.getfixturevalue("s3") if request.param == "s3" else str(tmp_path / "store")


def race(writers: int, write) -> list[object]:
    """What each of many threads got that set off together: its result or its error."""
    barrier = threading.Barrier(writers)

    def one(number: int) -> object:
        barrier.wait()
        try:
            return write(number)
        except StorageError as error:
            return error

    with ThreadPoolExecutor(writers) as threads:
        return list(threads.map(one, range(writers)))


class TestStore:
    def test_gives_back_what_was_put(self, folder: str) -> None:
        for name in ("plain.png", "sub/ü ß/a b+c&d=é%20.png"):
            address = storage.join(folder, name)
            assert not storage.exists(address)
            put = storage.put(address, b"picture", content_type="image/png")
            assert put.created
            assert storage.get(address) == b"picture"
            assert storage.head(address) == storage.Entry(address=address, size=7, token=put.token)
            assert storage.exists(address)

    def test_overwrites_and_changes_the_token(self, folder: str) -> None:
        address = storage.join(folder, "a")
        first = storage.put(address, b"one")
        assert storage.put(address, b"three").token != first.token
        assert storage.get(address) == b"three"

    def test_reads_content_and_token_of_one_version(self, folder: str) -> None:
        address = storage.join(folder, "a")
        tokens = {1: storage.put(address, b"x").token}

        def write() -> None:
            for size in range(2, 40):
                tokens[size] = storage.put(address, b"x" * size).token

        with ThreadPoolExecutor(1) as writer:
            written = writer.submit(write)
            seen = [storage.get_with_token(address)]
            while not written.done():
                seen.append(storage.get_with_token(address))
            written.result()
        assert len({token for _, token in seen}) > 2, "the reader saw none of the changes"
        assert all(tokens[len(content)] == token for content, token in seen)
        with pytest.raises(TooLarge, match="39 bytes; must be at most 38"):
            storage.get_with_token(address, max_bytes=38)

    def test_holds_an_empty_object(self, folder: str) -> None:
        storage.put(storage.join(folder, "empty"), b"")
        assert storage.get(storage.join(folder, "empty")) == b""

    def test_names_what_is_missing(self, folder: str) -> None:
        address = storage.join(folder, "nothing/here")
        for call in (storage.get, storage.head):
            with pytest.raises(NotFound, match="nothing/here") as caught:
                call(address)
            assert pickle.loads(pickle.dumps(caught.value)).address == address  # noqa: S301
        storage.delete(address)
        assert list(storage.list(folder)) == []

    def test_delete_removes(self, folder: str) -> None:
        address = storage.join(folder, "a")
        storage.put(address, b"1")
        storage.delete(address)
        assert not storage.exists(address)

    def test_refuses_what_is_too_long_before_reading_it(self, folder: str) -> None:
        address = storage.join(folder, "a")
        storage.put(address, b"12345")
        assert storage.get(address, max_bytes=5) == b"12345"
        with pytest.raises(TooLarge, match="5 bytes; must be at most 4"):
            storage.get(address, max_bytes=4)

    def test_lists_below_a_folder_and_nothing_else(self, folder: str) -> None:
        for name in ("in/a", "in/b c/ü", "inside", "other/x"):
            storage.put(storage.join(folder, name), name.encode())
        listed = {entry.address: entry for entry in storage.list(storage.join(folder, "in"))}
        assert sorted(listed) == [storage.join(folder, "in/a"), storage.join(folder, "in/b c/ü")]
        assert all(storage.head(address) == entry for address, entry in listed.items())
        flat = [entry.address for entry in storage.list(storage.join(folder, "in") + "/", recursive=False)]
        assert [storage.name(address) for address in flat] == ["a"]

    def test_if_absent_keeps_the_first(self, folder: str) -> None:
        address = storage.join(folder, "a")
        first = storage.put(address, b"mine", if_absent=True)
        assert first.created
        assert storage.put(address, b"mine", if_absent=True) == storage.Put(created=False, token=first.token)
        with pytest.raises(PreconditionFailed, match="other content"):
            storage.put(address, b"your", if_absent=True)
        assert storage.get(address) == b"mine"

    def test_if_match_swaps_only_the_expected_version(self, folder: str) -> None:
        address = storage.join(folder, "pointer")
        with pytest.raises(PreconditionFailed):
            storage.put(address, b"v0", if_match="0123")
        first = storage.put(address, b"v1")
        second = storage.put(address, b"v2", if_match=first.token)
        assert second.created
        assert second.token != first.token
        with pytest.raises(PreconditionFailed):
            storage.put(address, b"v3", if_match=first.token)
        with pytest.raises(PreconditionFailed):
            storage.put(address, b"v2", if_match=first.token)
        assert storage.get(address) == b"v2"

    def test_one_of_twelve_racing_creators_wins(self, folder: str) -> None:
        address = storage.join(folder, "race")
        results = race(12, lambda number: storage.put(address, b"writer %02d" % number, if_absent=True))
        winners = [number for number, result in enumerate(results) if isinstance(result, storage.Put)]
        assert len(winners) == 1
        assert sum(isinstance(result, PreconditionFailed) for result in results) == 11
        assert storage.get(address) == b"writer %02d" % winners[0]

    def test_racing_creators_of_the_same_bytes_all_succeed(self, folder: str) -> None:
        results = race(6, lambda _: storage.put(storage.join(folder, "same"), b"same", if_absent=True))
        assert sorted(result.created for result in results if isinstance(result, storage.Put)) == [False] * 5 + [True]

    def test_one_of_twelve_racing_swappers_wins(self, folder: str) -> None:
        address = storage.join(folder, "pointer")
        token = storage.put(address, b"writer --").token
        results = race(12, lambda number: storage.put(address, b"writer %02d" % number, if_match=token))
        winners = [number for number, result in enumerate(results) if isinstance(result, storage.Put)]
        assert len(winners) == 1
        assert storage.get(address) == b"writer %02d" % winners[0]

    def test_swaps_in_a_row_lose_nothing(self, folder: str) -> None:
        """Equal sizes within one tick of a file clock: the token must still change each time."""
        address = storage.join(folder, "counter")
        token = storage.put(address, b"000").token
        seen = {token}
        for number in range(1, 21):
            token = storage.put(address, b"%03d" % number, if_match=token).token
            seen.add(token)
        assert len(seen) == 21

    def test_arrow_reads_and_writes_tables(self, folder: str) -> None:
        filesystem, path = storage.arrow_filesystem(folder)
        table = pa.table({"item_id": ["a", "ü"], "variant": pa.array([0, 1], pa.int32())})
        filesystem.create_dir(path)
        pq.write_table(table, f"{path}/t.parquet", filesystem=filesystem)
        assert pq.read_table(f"{path}/t.parquet", filesystem=filesystem).equals(table)
        assert storage.exists(storage.join(folder, "t.parquet"))
        again = pickle.loads(pickle.dumps(filesystem))  # noqa: S301  Ray sends file systems to its readers
        assert again.get_file_info(f"{path}/t.parquet").size > 0

    def test_index_answers_for_few_and_missing(self, folder: str) -> None:
        address = storage.join(folder, "dir/a")
        token = storage.put(address, b"1").token
        asked = [address, storage.join(folder, "dir/none"), address, storage.join(folder, "gone/a")]
        assert storage.TokenIndex().tokens(asked) == [token, None, token, None]
        assert storage.TokenIndex(expected=1_000_000).tokens(asked) == [token, None, token, None]


class TestLocalDisk:
    @pytest.mark.parametrize("swaps", [False, True])
    def test_the_token_is_of_what_was_put_whoever_comes_next(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, swaps: bool
    ) -> None:
        address = str(tmp_path / "a")
        first = storage.put(address, b"mine")

        def another(_folder: Path) -> None:
            monkeypatch.undo()
            storage.put(address, b"another's", if_match=storage.head(address).token)

        monkeypatch.setattr(local, "_sync_folder", another)  # once the new one lies there, before `put` returns
        token = storage.put(address, b"mine!", if_match=first.token if swaps else None).token
        assert storage.get(address) == b"another's" and token != storage.head(address).token
        with pytest.raises(PreconditionFailed):
            storage.put(address, b"mine again", if_match=token)

    def test_leaves_no_temporary_file(self, tmp_path: Path) -> None:
        for name in ("a", "a", "b"):
            storage.put(str(tmp_path / name), b"1")
        with pytest.raises(PreconditionFailed):
            storage.put(str(tmp_path / "a"), b"2", if_absent=True)
        assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b"]

    def test_leftovers_of_a_killed_writer_are_not_listed(self, tmp_path: Path) -> None:
        token = storage.put(str(tmp_path / "a"), b"1").token
        storage.put(str(tmp_path / "a"), b"2", if_match=token)
        (tmp_path / f".atelier-{uuid4().hex}").write_bytes(b"half")
        assert [entry.address for entry in storage.list(str(tmp_path))] == [str(tmp_path / "a")]

    def test_readers_never_see_a_part(self, tmp_path: Path) -> None:
        address = str(tmp_path / "a")
        contents = [bytes([value]) * 200_000 for value in range(8)]
        storage.put(address, contents[0])
        done = threading.Event()

        def read() -> set[bytes]:
            seen = set()
            while not done.is_set():
                seen.add(storage.get(address))
            return seen

        with ThreadPoolExecutor(1) as reader:
            reading = reader.submit(read)
            for content in contents * 3:
                storage.put(address, content)
            done.set()
            assert reading.result() <= set(contents)

    def test_a_folder_is_no_object(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="no file"):
            storage.head(str(tmp_path))
        with pytest.raises(StorageError):
            storage.get(str(tmp_path))

    def test_a_file_where_a_folder_must_be(self, tmp_path: Path) -> None:
        storage.put(str(tmp_path / "a"), b"1")
        with pytest.raises(StorageError):
            storage.put(str(tmp_path / "a" / "b"), b"1")

    def test_a_listing_survives_symlinks(self, tmp_path: Path) -> None:
        storage.put(str(tmp_path / "real" / "a"), b"1")
        (tmp_path / "real" / "loop").symlink_to(tmp_path / "real")
        (tmp_path / "real" / "broken").symlink_to(tmp_path / "nowhere")
        (tmp_path / "link").symlink_to(tmp_path / "real")
        assert [entry.address for entry in storage.list(str(tmp_path / "link"))] == [str(tmp_path / "link" / "a")]


def test_memory_of_an_index_stays_bounded() -> None:
    """A listed object costs its two packed fields, not Python strings."""

    def pages():
        for page in range(50):
            yield tuple(
                storage.Entry(
                    address=f"s3://b/f/{page:03d}-{number:04d}.jpg", size=1, token=f"{page * 1000 + number:032x}"
                )
                for number in range(1000)
            )

    listing = Listing(pages())
    listing.read_to(10)
    assert not listing.whole
    assert listing.tokens(["009-0999.jpg", "010-0000.jpg"]) == [f"{9_999:032x}", None]
    listing.read_to(100)
    assert listing.whole
    assert listing.tokens(["049-0007.jpg", "none"]) == [f"{49_007:032x}", None]
    assert listing.nbytes <= 50_000 * 80
