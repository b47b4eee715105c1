"""Frames of the firehose: whole WebSocket messages, each a header and a body.

The body of an event's frame is its stored map with `seq` and `time` added.

Spec: https://atproto.com/specs/event-stream
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from repo import dagcbor
from sequencer import fragments
from sequencer.fragments import text

_HEADERS: Final = {
    event_type: dagcbor.encode({"op": 1, "t": name})
    for event_type, name in {
        "append": "#commit",
        "sync": "#sync",
        "identity": "#identity",
        "account": "#account",
    }.items()
}
EVENT_TYPES: Final = frozenset(_HEADERS)
"""Values of `repo_seq.eventType` that have a frame; old logs may hold others."""

_INFO_HEADER: Final = dagcbor.encode({"op": 1, "t": "#info"})
_ERROR_HEADER: Final = dagcbor.encode({"op": -1})
_SEQ: Final = text("seq")
_TIME: Final = text("time")


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """The entries of one event in canonical order, split where `seq` and `time` belong."""

    did: str
    event_type: str
    entries: int
    """The number of entries in the body."""
    before_seq: bytes
    before_time: bytes
    rest: bytes

    def body(self) -> bytes:
        """Return the DAG-CBOR for `repo_seq.event`."""
        head = fragments.map_head(self.entries)
        return b"".join((head, self.before_seq, self.before_time, self.rest))

    def frame(self, seq: int, time: str) -> bytes:
        """Return this event's WebSocket message as row `seq`, sequenced at `time` (ISO 8601)."""
        return b"".join(
            (
                _HEADERS[self.event_type],
                fragments.map_head(self.entries + 2),
                self.before_seq,
                _SEQ,
                fragments.integer(seq),
                self.before_time,
                _TIME,
                text(time),
                self.rest,
            )
        )


def frame(event_type: str, body: bytes, seq: int, time: str) -> bytes:
    """Return the WebSocket message of a stored event: the same bytes as when it was live.

    `time` is the row's `sequencedAt`. Raises `InvalidDagCbor` if `body` is damaged.
    """
    return _split(event_type, body).frame(seq, time)


def error_frame(error: str, message: str) -> bytes:
    """Return the error frame that is sent before a stream is closed."""
    return _ERROR_HEADER + dagcbor.encode({"error": error, "message": message})


def info_frame(name: str, message: str) -> bytes:
    """Return an `#info` frame, which has no `seq`."""
    return _INFO_HEADER + dagcbor.encode({"name": name, "message": message})


def _split(event_type: str, body: bytes) -> EncodedEvent:
    """Split a stored body where `seq` and `time` belong, without decoding its values."""
    entries, start = fragments.read_map_head(body)
    position = seq_at = time_at = start
    for _ in range(entries):
        key, value_at = fragments.read_text(body, position)
        # Canonical key order: shorter keys first, then by bytes.
        if (len(key), key) > (4, b"time"):
            break
        position = time_at = fragments.skip(body, value_at)
        if (len(key), key) < (3, b"seq"):
            seq_at = position
    return EncodedEvent(
        did="",
        event_type=event_type,
        entries=entries,
        before_seq=body[start:seq_at],
        before_time=body[seq_at:time_at],
        rest=body[time_at:],
    )
