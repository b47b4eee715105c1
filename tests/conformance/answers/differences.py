"""Where Holdfast answers otherwise than the reference. The reasons are in docs/conformance.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Difference:
    """The status and error name that each server answers to a case."""

    topic: str
    case: str
    reference: str
    holdfast: str


_NO_PROXY = ("502 UpstreamFailure", "400 InvalidRequest")

DIFFERENCES: tuple[Difference, ...] = (
    Difference("protocol", "health", "200", "200"),
    Difference("protocol", "an unknown method", "401 AuthMissing", "501 MethodNotImplemented"),
    Difference("protocol", "a path that is no NSID", "401 AuthMissing", "400 InvalidRequest"),
    Difference(
        "protocol", "a subscription over HTTP", "401 AuthMissing", "501 MethodNotImplemented"
    ),
    Difference("writes", "a link that is none", "200", "400 InvalidRequest"),
    Difference("writes", "bytes that are none", "200", "400 InvalidRequest"),
    Difference(
        "writes", "a record that exists", "500 InternalServerError", "400 RecordAlreadyExists"
    ),
    Difference(
        "writes",
        "delete in a batch what is not there",
        "500 InternalServerError",
        "400 RecordNotFound",
    ),
    Difference("reads", "a record of a stranger", *_NO_PROXY),
    Difference("moderation", "deactivated: com.atproto.repo.getRecord", *_NO_PROXY),
    Difference("moderation", "taken down: com.atproto.repo.getRecord", *_NO_PROXY),
    Difference("moderation", "take a stranger down", "200", "400 AccountNotFound"),
)

OTHER_WORDS: frozenset[tuple[str, str]] = frozenset(
    {
        ("protocol", "a body that is not JSON"),
        ("blobs", "another size"),
        ("blobs", "another type"),
    }
)
"""Cases in which only the message differs, which clients show but do not read."""
