"""The bodies of stats records: read in either vocabulary, written in both.

The published Lexicon says `ownerDid` and `updatedAt`, an older description `did` and `createdAt`.
Unknown fields are kept, and so are the counts that others wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pds.hold.records import STATS
from repo.datamodel import iter_blob_refs

MAX_COUNT: Final = 2**53 - 1
"""The largest integer that every reader of JSON understands; counts stay there."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Pulls and pushes of one repository of images.

    Times are ISO 8601 in UTC with milliseconds, so that text order is time order; None for never.
    """

    pulls: int = 0
    pushes: int = 0
    last_pull: str | None = None
    last_push: str | None = None

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            min(self.pulls + other.pulls, MAX_COUNT),
            min(self.pushes + other.pushes, MAX_COUNT),
            newest(self.last_pull, other.last_pull),
            newest(self.last_push, other.last_push),
        )

    def to_json(self) -> dict[str, int | str]:
        """Return the fields of a record; a time of None is left out."""
        times = {"lastPull": self.last_pull, "lastPush": self.last_push}
        return {
            "pullCount": self.pulls,
            "pushCount": self.pushes,
            **{name: time for name, time in times.items() if time is not None},
        }


NOTHING: Final = Totals()


@dataclass(frozen=True, slots=True)
class StatsRecord:
    """What a stats record says about a repository of images."""

    did: str
    """The owner of the images."""
    repository: str
    totals: Totals

    def to_json(self) -> dict[str, int | str]:
        """Return what `io.atcr.hold.listStats` says of the repository."""
        return {"did": self.did, "repository": self.repository, **self.totals.to_json()}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> StatsRecord | None:
        """Read a stored record; None if it does not say whose stats it has."""
        dids = (value.get("ownerDid"), value.get("did"))
        did = next((each for each in dids if isinstance(each, str)), None)
        repository = value.get("repository")
        if did is None or not isinstance(repository, str):
            return None
        return cls(did, repository, totals_of(value))


def totals_of(value: Mapping[str, Any]) -> Totals:
    """Read the counts of a record; what is not a count is 0, what is not a time is never."""
    return Totals(
        _count(value.get("pullCount")),
        _count(value.get("pushCount")),
        _time(value.get("lastPull")),
        _time(value.get("lastPush")),
    )


def stats_value(
    previous: Mapping[str, Any], *, did: str, repository: str, totals: Totals, now: str
) -> dict[str, Any]:
    """Return the record that replaces `previous`, which is empty for a new one.

    Unknown fields are kept, except for references to blobs: stats have none, and one whose blob is
    missing would prevent the commit.
    """
    kept = {name: field for name, field in previous.items() if not _has_blob(field)}
    first = kept.get("createdAt")
    for name in ("lastPull", "lastPush"):
        kept.pop(name, None)
    return {
        **kept,
        "$type": STATS,
        "ownerDid": did,
        "did": did,
        "repository": repository,
        **totals.to_json(),
        "createdAt": first if isinstance(first, str) else now,
        "updatedAt": now,
    }


def newest(one: str | None, other: str | None) -> str | None:
    """Return the later of two times, of which either may be None."""
    return max(one or "", other or "") or None


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return min(max(value, 0), MAX_COUNT)


def _time(value: object) -> str | None:
    """Return a time in the form of `Totals`; None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value[:64])
        # Without an offset it would be taken for the time of this machine's zone.
        if time.tzinfo is None:
            return None
        text = time.astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError):
        return None
    return text.removesuffix("+00:00") + "Z"


def _has_blob(field: object) -> bool:
    return next(iter_blob_refs({"field": field}), None) is not None  # type: ignore[dict-item]
