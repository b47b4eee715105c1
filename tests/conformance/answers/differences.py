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


DIFFERENCES: tuple[Difference, ...] = (
    Difference("protocol", "health", "200", "200"),
    Difference("protocol", "a path that is no NSID", "401 AuthMissing", "400 InvalidRequest"),
    Difference("protocol", "a subscription over HTTP", "401 AuthMissing", "426 UpgradeRequired"),
    Difference(
        "protocol",
        "a subscription over HTTP, by a user",
        "502 UpstreamFailure",
        "426 UpgradeRequired",
    ),
    Difference("protocol", "a subscription by HEAD", "401", "426"),
    Difference("protocol", "a subscription by POST", "502 UpstreamFailure", "400 InvalidRequest"),
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
    Difference(
        "writes",
        "an integer beyond 2^53 - 1",
        "500 InternalServerError",
        "400 InvalidRequest",
    ),
    Difference("writes", "upper case in an authority", "200", "400 InvalidRequest"),
    Difference("writes", "an empty batch", "200", "200"),
    Difference("writes", "an update that changes nothing", "200", "200"),
    Difference("moderation", "take a stranger down", "200", "400 AccountNotFound"),
    Difference("moderation", "take a record down again", "200", "200"),
    Difference("moderation", "take a blob down again", "200", "200"),
    Difference("moderation", "take down again", "200", "200"),
    Difference("moderation", "why a record is taken down", "200", "200"),
    Difference(
        "proxying", "a DID that is out of reach", "500 InternalServerError", "400 InvalidRequest"
    ),
    Difference("proxying", "new preferences elsewhere", "500 InternalServerError", "200"),
    Difference("proxying", "a record at a service, for nobody", "200", "401 AuthMissing"),
    Difference("proxying", 'getTimeline, accepting "br, *;q=0"', "200", "406 NotAcceptable"),
    Difference("proxying", 'getTimeline, accepting "gzip; q=0.5"', "400 InvalidRequest", "200"),
    Difference("proxying", 'getTimeline, accepting "gzip,"', "400 InvalidRequest", "200"),
    Difference("proxying", 'getTimeline, accepting ","', "400 InvalidRequest", "200"),
    Difference("proxying", 'getTimeline, accepting "gzip;q=0.5x"', "200", "400 InvalidRequest"),
    Difference("admin", "delete nothing", "200", "400 AccountNotFound"),
)

OTHER_WORDS: frozenset[tuple[str, str]] = frozenset(
    {
        ("protocol", "a body that is not JSON"),
        ("protocol", "a body of 40000 levels"),
        ("blobs", "another size"),
        ("blobs", "another type"),
    }
)
"""Cases in which only the message differs, which clients show but do not read."""
