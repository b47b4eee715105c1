"""What the event log of a test's server says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from repo import dagcbor
from tests.pds.conftest import Pds


@dataclass(slots=True, frozen=True)
class LoggedEvent:
    """One event: its DID, its type on disk (a commit is an `append`), and its decoded body."""

    did: str
    kind: str
    body: dict[str, Any]


def read_events(pds: Pds, *, after: int = 0) -> list[LoggedEvent]:
    """The events behind the position `after`, in order."""
    return [
        LoggedEvent(event.did, event.event_type, _decode(event.body))
        for event in pds.ctx.sequencer.log.read_after(after, 1_000)
    ]


def kinds_of(events: list[LoggedEvent]) -> list[str]:
    """The types of some events."""
    return [event.kind for event in events]


def _decode(body: bytes) -> dict[str, Any]:
    decoded: Any = dagcbor.decode(body)
    assert isinstance(decoded, dict)
    return decoded
