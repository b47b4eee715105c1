"""Events of the firehose and their bodies, the canonical DAG-CBOR maps in `repo_seq.event`.

Spec: com.atproto.sync.subscribeRepos
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias

from database.timestamps import iso_of
from repo.cid import Cid
from repo.commit import RecordOp
from sequencer import fragments
from sequencer.fragments import byte_string, link, link_or_null, text
from sequencer.frames import EncodedEvent

EventType: TypeAlias = Literal["append", "sync", "identity", "account"]
"""Values of `repo_seq.eventType`."""
AccountStatus: TypeAlias = Literal["takendown", "deactivated", "deleted"]
"""Why an account is inactive."""

_DID: Final = text("did")
_REV: Final = text("rev")
_BLOCKS: Final = text("blocks")


@dataclass(frozen=True, slots=True)
class CommitEvent:
    """A `#commit`: `blocks` is a CAR whose root is `commit`.

    `since` is the previous rev, `prev_data` the MST root of that rev; both are None for a repo's
    first commit.
    """

    event_type: ClassVar[EventType] = "append"

    did: str
    commit: Cid
    rev: str
    since: str | None
    blocks: bytes
    ops: Sequence[RecordOp]
    prev_data: Cid | None

    def encode(self) -> EncodedEvent:
        """Encode the entries. Key order: ops rev (seq) repo (time) blobs since blocks …"""
        rest = [
            _COMMIT_BLOBS_SINCE,
            fragments.NULL if self.since is None else text(self.since),
            _BLOCKS,
            byte_string(self.blocks),
            _COMMIT,
            link(self.commit),
            _REBASE_TOO_BIG,
        ]
        if self.prev_data is not None:
            rest += (_PREV_DATA, link(self.prev_data))
        return EncodedEvent(
            did=self.did,
            event_type=self.event_type,
            entries=9 if self.prev_data is None else 10,
            before_seq=b"".join((_OPS, _encode_ops(self.ops), _REV, text(self.rev))),
            before_time=_REPO + text(self.did),
            rest=b"".join(rest),
        )

    def body(self) -> bytes:
        """The DAG-CBOR without `seq` and `time`."""
        return self.encode().body()


@dataclass(frozen=True, slots=True)
class SyncEvent:
    """A `#sync`: the current state of a repo; `blocks` is a CAR with only the commit block."""

    event_type: ClassVar[EventType] = "sync"

    did: str
    rev: str
    blocks: bytes

    def encode(self) -> EncodedEvent:
        """Encode the entries. Key order: did rev (seq) (time) blocks."""
        return EncodedEvent(
            did=self.did,
            event_type=self.event_type,
            entries=3,
            before_seq=b"".join((_DID, text(self.did), _REV, text(self.rev))),
            before_time=b"",
            rest=_BLOCKS + byte_string(self.blocks),
        )

    def body(self) -> bytes:
        """The DAG-CBOR without `seq` and `time`."""
        return self.encode().body()


@dataclass(frozen=True, slots=True)
class IdentityEvent:
    """An `#identity`: consumers should resolve the DID again; `handle` is a hint."""

    event_type: ClassVar[EventType] = "identity"

    did: str
    handle: str | None = None

    def encode(self) -> EncodedEvent:
        """Encode the entries. Key order: did (seq) (time) handle."""
        handle = self.handle
        return EncodedEvent(
            did=self.did,
            event_type=self.event_type,
            entries=1 if handle is None else 2,
            before_seq=_DID + text(self.did),
            before_time=b"",
            rest=b"" if handle is None else _HANDLE + text(handle),
        )

    def body(self) -> bytes:
        """The DAG-CBOR without `seq` and `time`."""
        return self.encode().body()


@dataclass(frozen=True, slots=True)
class AccountEvent:
    """An `#account`: whether the repo is served here and, if not, why."""

    event_type: ClassVar[EventType] = "account"

    did: str
    active: bool
    status: AccountStatus | None = None

    def encode(self) -> EncodedEvent:
        """Encode the entries. Key order: did (seq) (time) active status."""
        rest = _ACTIVE + (fragments.TRUE if self.active else fragments.FALSE)
        if self.status is not None:
            rest += _STATUS + text(self.status)
        return EncodedEvent(
            did=self.did,
            event_type=self.event_type,
            entries=2 if self.status is None else 3,
            before_seq=_DID + text(self.did),
            before_time=b"",
            rest=rest,
        )

    def body(self) -> bytes:
        """The DAG-CBOR without `seq` and `time`."""
        return self.encode().body()


Event: TypeAlias = CommitEvent | SyncEvent | IdentityEvent | AccountEvent

_OPS: Final = text("ops")
_REPO: Final = text("repo")
_COMMIT_BLOBS_SINCE: Final = text("blobs") + fragments.EMPTY_ARRAY + text("since")
_COMMIT: Final = text("commit")
_REBASE_TOO_BIG: Final = text("rebase") + fragments.FALSE + text("tooBig") + fragments.FALSE
_PREV_DATA: Final = text("prevData")
_HANDLE: Final = text("handle")
_ACTIVE: Final = text("active")
_STATUS: Final = text("status")
_CID: Final = text("cid")
_PATH: Final = text("path")
_PREV: Final = text("prev")
_ACTIONS: Final = {
    action: text("action") + text(action) for action in ("create", "update", "delete")
}


def timestamp(ms: int) -> str:
    """Return milliseconds since the Unix epoch in the form of `time` and `sequencedAt`."""
    return iso_of(ms / 1000)


def _encode_ops(ops: Sequence[RecordOp]) -> bytes:
    """Encode operations. Key order: cid path prev action."""
    parts = [fragments.array_head(len(ops))]
    for op in ops:
        parts += (
            fragments.map_head(3 if op.prev is None else 4),
            _CID,
            link_or_null(op.cid),
            _PATH,
            text(op.path),
        )
        if op.prev is not None:
            parts += (_PREV, link(op.prev))
        parts.append(_ACTIONS[op.action])
    return b"".join(parts)
