"""From files to databases, with what can be in the way."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.replication.errors import ReplicationError
from pds.replication.ltx import header, merging
from pds.replication.ltx.applying import apply_changes, restore_database
from pds.replication.ltx.errors import DamagedLtx
from pds.replication.ltx.header import lock_page
from pds.replication.ltx.merging import Merged, merge
from pds.replication.ltx.reading import LtxSource, verify
from tests.pds.replication.ltx.made import make_ltx, read_pages, whole

PAGE = 512


def page(content: int) -> bytes:
    """A page, such that the first one looks like that of a database of 512 bytes a page."""
    return bytes([content]) * 16 + (512).to_bytes(2, "big") + bytes([content]) * 494


def history(steps: Sequence[tuple[int, dict[int, int]]]) -> tuple[list[LtxSource], list[bytes]]:
    """Files of transactions, and the database after each: new lengths and changed pages."""
    files, states = [], []
    state = b""
    for txid, (length, changes) in enumerate(steps, start=1):
        before = len(state) // PAGE
        pages = {n: page(0) for n in range(before + 1, length + 1)}
        pages |= {n: page(content) for n, content in changes.items() if n <= length}
        if txid == 1:
            pages |= {n: page(txid) for n in range(1, length + 1)}
        parts = whole(state) | pages
        state = b"".join(parts[n] for n in range(1, length + 1))
        files.append(make_ltx(txid, txid, pages, length=length, timestamp_ms=txid))
        states.append(state)
    return files, states


histories = st.lists(
    st.tuples(
        st.integers(1, 8), st.dictionaries(st.integers(1, 8), st.integers(0, 255), max_size=4)
    ),
    min_size=1,
    max_size=10,
).map(history)


@given(histories, st.data())
def test_merged_files_give_what_the_files_give(
    made: tuple[list[LtxSource], list[bytes]], data: st.DataObject
) -> None:
    files, states = made
    first = data.draw(st.integers(0, len(files) - 1))
    last = data.draw(st.integers(first, len(files) - 1))
    memory = io.BytesIO()
    merged_header, size = merge(files[first : last + 1], memory)
    assert size == len(memory.getvalue())
    assert (merged_header.first, merged_header.last) == (first + 1, last + 1)
    assert merged_header.timestamp_ms == last + 1
    merged = LtxSource("merged", memory.getvalue())
    pages = read_pages(merged)
    assert all(number <= merged_header.pages for number in pages)
    before = whole(states[first - 1]) if first else {}
    after = before | pages
    assert b"".join(after[n] for n in range(1, merged_header.pages + 1)) == states[last]


@given(histories, st.data())
def test_a_database_is_restored_and_brought_further(
    tmp_path_factory: pytest.TempPathFactory,
    made: tuple[list[LtxSource], list[bytes]],
    data: st.DataObject,
) -> None:
    files, states = made
    path = tmp_path_factory.mktemp("restored") / "a.sqlite"
    stop = data.draw(st.integers(1, len(files)))
    applied = restore_database(files[:stop], path, durable=False)
    assert path.read_bytes() == states[stop - 1]
    assert (applied.last, applied.timestamp_ms, applied.size) == (stop, stop, path.stat().st_size)
    if stop < len(files):
        # Once more what it has already: after a crash nobody knows.
        start = data.draw(st.integers(0, stop))
        applied = apply_changes(files[start:], path, after=stop)
        assert applied.last == len(files)
        assert path.read_bytes() == states[-1]


def test_hundreds_of_files_are_applied_in_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pds.replication.ltx.applying.MAX_SOURCES", 4)
    monkeypatch.setattr(merging, "MAX_SOURCES", 4)
    files, states = history([(3 + n % 5, {1: n, 1 + n % 7: n}) for n in range(30)])
    restore_database(files, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == states[-1]
    restore_database(files[:1], tmp_path / "b")
    apply_changes(files[1:], tmp_path / "b", after=1)
    assert (tmp_path / "b").read_bytes() == states[-1]
    memory = io.BytesIO()
    merge(files, memory, scratch=tmp_path)
    restore_database([LtxSource("merged", memory.getvalue())], tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == states[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "c"}


def test_a_damaged_file_leaves_no_database(tmp_path: Path) -> None:
    files, _ = history([(4, {}), (4, {2: 7})])
    data = files[1].data
    assert isinstance(data, bytes)
    damaged = LtxSource("bad.ltx", data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DamagedLtx) as caught:
        restore_database([files[0], damaged], tmp_path / "a")
    assert caught.value.path == "bad.ltx"
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_changes_no_database(tmp_path: Path) -> None:
    files, states = history([(4, {}), (4, {2: 7}), (4, {3: 7})])
    restore_database(files[:1], tmp_path / "a")
    data = files[2].data
    assert isinstance(data, bytes)
    damaged = LtxSource("bad.ltx", data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DamagedLtx):
        apply_changes([files[1], damaged], tmp_path / "a", after=1)
    assert (tmp_path / "a").read_bytes() == states[0]


def test_files_that_do_not_follow_each_other_are_refused(tmp_path: Path) -> None:
    files, _ = history([(4, {}), (4, {2: 7}), (4, {3: 7})])
    for wrong in ([files[0], files[2]], [files[1], files[0]], [files[0], files[0]]):
        with pytest.raises(DamagedLtx, match="does not follow"):
            restore_database(wrong, tmp_path / "a")
    restore_database(files[:1], tmp_path / "a")
    with pytest.raises(DamagedLtx, match="does not follow"):
        apply_changes(files[2:], tmp_path / "a", after=1)
    other = make_ltx(2, 2, {}, length=1, page_bytes=1024)
    with pytest.raises(DamagedLtx, match="pages of 1024"):
        apply_changes([other], tmp_path / "a", after=1)
    with pytest.raises(DamagedLtx, match="pages of 1024"), Merged([files[0], other]):
        pass


def test_missing_pages_are_noticed(tmp_path: Path) -> None:
    with pytest.raises(DamagedLtx, match="page 1"):
        restore_database([make_ltx(2, 2, {2: page(1)}, length=2)], tmp_path / "a")
    files, states = history([(4, {})])
    grows = make_ltx(2, 2, {6: page(1)}, length=6)
    with pytest.raises(DamagedLtx, match="page 5"):
        restore_database([*files, grows], tmp_path / "a")
    restore_database(files, tmp_path / "a")
    with pytest.raises(DamagedLtx, match="grows"):
        apply_changes([grows], tmp_path / "a", after=1)
    assert (tmp_path / "a").read_bytes()[: 4 * PAGE] == states[0]
    longer = make_ltx(2, 2, {}, length=1 << 30)
    with pytest.raises(DamagedLtx, match="grows"):
        apply_changes([longer], tmp_path / "a", after=1)
    with pytest.raises(DamagedLtx, match="snapshot with 4 pages"):
        merge([*files, longer], io.BytesIO())


def test_a_restore_replaces_nothing_and_leaves_no_old_wal(tmp_path: Path) -> None:
    files, states = history([(4, {})])
    path = tmp_path / "a.sqlite"
    for suffix in ("-wal", "-shm", "-journal", ".restoring"):
        (tmp_path / f"a.sqlite{suffix}").write_bytes(b"of another time")
    restore_database(files, path, mode=0o600)
    assert [path] == list(tmp_path.iterdir())
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (states[0], 0o600)
    with pytest.raises(FileExistsError):
        restore_database(files, path)


def test_a_database_that_was_written_to_is_not_brought_further(tmp_path: Path) -> None:
    files, states = history([(4, {}), (4, {2: 3})])
    restore_database(files[:1], tmp_path / "a")
    (tmp_path / "a-wal").write_bytes(b"x")
    with pytest.raises(ReplicationError, match="written to"):
        apply_changes(files[1:], tmp_path / "a", after=1)
    assert (tmp_path / "a").read_bytes() == states[0]


def test_the_page_of_the_locks_is_in_no_file(tmp_path: Path) -> None:
    """A database of more than a gigabyte; all but its end is a hole."""
    page_bytes = 65536
    lock = lock_page(page_bytes)
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.write(bytes(16) + (1).to_bytes(2, "big"))
        file.truncate((lock - 2) * page_bytes)
    pages = {n: bytes([n % 251]) * page_bytes for n in range(lock - 1, lock + 4) if n != lock}
    grows = make_ltx(8, 8, pages, length=lock + 3, page_bytes=page_bytes)
    assert verify(grows).lock_page == lock
    apply_changes([grows], path, after=7)
    with path.open("rb") as file:
        file.seek((lock - 2) * page_bytes)
        assert file.read() == b"".join(
            pages.get(n, bytes(page_bytes)) for n in range(lock - 1, lock + 4)
        )
    ends_there = make_ltx(9, 9, {}, length=lock, page_bytes=page_bytes)
    apply_changes([ends_there], path, after=8)
    assert path.stat().st_size == lock * page_bytes
    shorter = make_ltx(10, 10, {}, length=lock - 1, page_bytes=page_bytes)
    apply_changes([shorter], path, after=9)
    apply_changes([make_ltx(11, 11, {}, length=lock, page_bytes=page_bytes)], path, after=10)
    assert path.stat().st_size == lock * page_bytes


@pytest.mark.parametrize("length", [3, 4, 5, 8])
def test_a_snapshot_leaves_the_page_of_the_locks_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """As if it were the fourth one, and not at a gigabyte."""
    monkeypatch.setattr(header, "_PENDING_BYTE", 3 * PAGE)
    state = b"".join(page(n) if n != 4 else bytes(PAGE) for n in range(1, length + 1))
    snapshot = make_ltx(1, 1, whole(state), length=length)
    assert 4 not in read_pages(snapshot)
    restore_database([snapshot], tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == state
    with pytest.raises(ValueError, match="page 4"):
        make_ltx(2, 2, {4: page(4)}, length=length)
