"""Bodies and frames are canonical DAG-CBOR with the fields of the protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from database.opening import open_database
from repo import dagcbor
from repo.cid import Cid
from repo.commit import RecordOp
from repo.dagcbor import InvalidDagCbor
from sequencer.events import (
    AccountEvent,
    CommitEvent,
    Event,
    IdentityEvent,
    SyncEvent,
    timestamp,
)
from sequencer.frames import error_frame, frame, info_frame
from tests.reference import data as reference_data
from tests.sequencer.samples import DID, cid, commit_event, parse_frame

TIME = "2026-11-20T12:38:41.888Z"

cids = st.binary(min_size=1, max_size=8).map(Cid.of_dag_cbor)
texts = st.text(max_size=30) | st.just("é" * 150)
optional_cids = st.none() | cids
ops = st.builds(
    RecordOp,
    action=st.sampled_from(["create", "update", "delete"]),
    path=texts,
    cid=optional_cids,
    prev=optional_cids,
)
commits = st.builds(
    CommitEvent,
    did=texts,
    commit=cids,
    rev=texts,
    since=st.none() | texts,
    blocks=st.sampled_from([0, 23, 24, 255, 256, 65_535, 65_536]).map(bytes),
    ops=st.lists(ops, max_size=26),
    prev_data=optional_cids,
)
events = st.one_of(
    commits,
    st.builds(SyncEvent, did=texts, rev=texts, blocks=st.binary(max_size=400)),
    st.builds(IdentityEvent, did=texts, handle=st.none() | texts),
    st.builds(
        AccountEvent,
        did=texts,
        active=st.booleans(),
        status=st.sampled_from([None, "takendown", "deactivated", "deleted"]),
    ),
)
seqs = st.integers(min_value=1, max_value=2**53 - 1)


def fields_of(event: Event) -> dict[str, Any]:
    """The body as a map, written field by field according to the Lexicon."""
    match event:
        case CommitEvent():
            fields: dict[str, Any] = {
                "repo": event.did,
                "commit": event.commit,
                "rev": event.rev,
                "since": event.since,
                "blocks": event.blocks,
                "ops": [
                    {"action": op.action, "path": op.path, "cid": op.cid}
                    | ({} if op.prev is None else {"prev": op.prev})
                    for op in event.ops
                ],
                "rebase": False,
                "tooBig": False,
                "blobs": [],
            }
            return fields | ({} if event.prev_data is None else {"prevData": event.prev_data})
        case SyncEvent():
            return {"did": event.did, "rev": event.rev, "blocks": event.blocks}
        case IdentityEvent():
            return {"did": event.did} | ({} if event.handle is None else {"handle": event.handle})
        case AccountEvent():
            return {"did": event.did, "active": event.active} | (
                {} if event.status is None else {"status": event.status}
            )


@given(event=events)
def test_body_is_the_canonical_map_of_its_fields(event: Event) -> None:
    assert event.body() == dagcbor.encode(fields_of(event))


@given(event=events, seq=seqs)
def test_frame_is_a_header_and_the_body_with_seq_and_time(event: Event, seq: int) -> None:
    names = {"append": "#commit", "sync": "#sync", "identity": "#identity", "account": "#account"}
    header = dagcbor.encode({"op": 1, "t": names[event.event_type]})
    body = dagcbor.encode(fields_of(event) | {"seq": seq, "time": TIME})
    assert event.encode().frame(seq, TIME) == header + body


@given(event=events, seq=seqs)
def test_frame_of_a_stored_body_equals_the_live_frame(event: Event, seq: int) -> None:
    assert frame(event.event_type, event.body(), seq, TIME) == event.encode().frame(seq, TIME)


values = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**53, 2**53 - 1) | st.text() | st.binary() | cids,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(body=st.dictionaries(st.text(max_size=6), values, max_size=8))
def test_frame_keeps_fields_it_does_not_know(body: dict[str, Any]) -> None:
    body.pop("seq", None)
    body.pop("time", None)
    message = frame("sync", dagcbor.encode(body), 7, TIME)
    assert message == dagcbor.encode({"op": 1, "t": "#sync"}) + dagcbor.encode(
        body | {"seq": 7, "time": TIME}
    )


def test_first_commit_has_no_prev_data_and_a_null_since() -> None:
    event = CommitEvent(DID, cid(1), "3n2qm54vpxs2x", None, b"car", (), None)
    body = dagcbor.decode(event.body())
    assert isinstance(body, dict)
    assert "prevData" not in body
    assert body["since"] is None
    assert body["ops"] == []


def test_deletion_has_a_null_cid_and_a_prev() -> None:
    op = RecordOp("delete", "app.bsky.feed.post/1", None, cid("old"))
    event = CommitEvent(DID, cid(1), "3n2qm54vpxs2x", "3n2qm54vpxs2w", b"car", [op], cid(2))
    body = dagcbor.decode(event.body())
    assert isinstance(body, dict)
    assert body["ops"] == [
        {"action": "delete", "path": "app.bsky.feed.post/1", "cid": None, "prev": cid("old")}
    ]


def test_error_frame_has_op_minus_one_and_no_type() -> None:
    assert parse_frame(error_frame("FutureCursor", "Cursor in the future.")) == (
        {"op": -1},
        {"error": "FutureCursor", "message": "Cursor in the future."},
    )


def test_info_frame_has_no_seq() -> None:
    assert parse_frame(info_frame("OutdatedCursor", "Possibly missing events")) == (
        {"op": 1, "t": "#info"},
        {"name": "OutdatedCursor", "message": "Possibly missing events"},
    )


def test_timestamp_is_iso_8601_in_utc_with_milliseconds() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(1_795_178_321_008) == "2026-11-20T12:38:41.008Z"


@pytest.mark.parametrize(
    "body",
    [b"", b"\x80", b"\xa1", b"\xa1\x01\x01", b"\xa1\x63did", b"\xa1\x63did\x78", b"\xbf\xff"],
    ids=["empty", "array", "no-key", "number-key", "no-value", "cut-string", "indefinite"],
)
def test_frame_of_a_damaged_body_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidDagCbor):
        frame("sync", body, 1, TIME)


@given(cut=st.integers(min_value=0, max_value=60))
def test_frame_of_a_body_cut_short_never_crashes(cut: int) -> None:
    body = commit_event(block_bytes=10).body()[:cut]
    with pytest.raises(InvalidDagCbor):
        frame("append", body, 1, TIME)


def test_events_stored_by_the_reference_are_ours_byte_for_byte(tmp_path: Path) -> None:
    db = open_database(reference_data.unpack_file("sequencer.sqlite", tmp_path))
    rows = db.all("SELECT seq, did, eventType, event, sequencedAt FROM repo_seq")
    db.close()
    assert {row[2] for row in rows} == {"append", "sync", "identity", "account"}
    for seq, did, event_type, body, time in rows:
        event = event_of(event_type, body)
        assert event.did == did
        assert event.body() == body
        assert frame(event_type, body, seq, time) == event.encode().frame(seq, time)


def event_of(event_type: str, body: bytes) -> Event:
    """Read a stored body into the event that we would have written."""
    fields: Any = dagcbor.decode(body)
    match event_type:
        case "append":
            return CommitEvent(
                did=fields["repo"],
                commit=fields["commit"],
                rev=fields["rev"],
                since=fields["since"],
                blocks=fields["blocks"],
                ops=[
                    RecordOp(op["action"], op["path"], op["cid"], op.get("prev"))
                    for op in fields["ops"]
                ],
                prev_data=fields.get("prevData"),
            )
        case "sync":
            return SyncEvent(fields["did"], fields["rev"], fields["blocks"])
        case "identity":
            return IdentityEvent(fields["did"], fields.get("handle"))
        case _:
            return AccountEvent(fields["did"], fields["active"], fields.get("status"))
