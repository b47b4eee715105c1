"""Accounts and repositories to measure with, made over HTTP alike on every server."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

import orjson

from benchmarks.servers import Server

COLLECTION: Final = "app.bsky.feed.post"
_BATCH: Final = 200
"""The most writes applyWrites takes."""
_FIRST_TID_US: Final = 1_700_000_000_000_000
_ALPHABET: Final = "234567abcdefghijklmnopqrstuvwxyz"


class RequestFailed(Exception):
    """A server refused a request of the preparation."""


@dataclass(slots=True, frozen=True)
class Repo:
    """An account and the records in its repository."""

    did: str
    handle: str
    token: str
    """An access token, good for two hours."""
    rkeys: tuple[str, ...]
    seconds: float
    """How long it took to write the records."""


def create_repo(server: Server, name: str, records: int) -> Repo:
    """Create an account and write `records` posts, 200 a commit. Raises `RequestFailed`."""
    domain = call(server, "com.atproto.server.describeServer")["availableUserDomains"][0]
    account = call(
        server,
        "com.atproto.server.createAccount",
        {
            "handle": name + domain,
            "email": f"{name}@example.com",
            "password": "correct-horse-battery",
        },
    )
    did, token = account["did"], account["accessJwt"]
    rkeys = rkeys_of(records)
    start = time.monotonic()
    for first in range(0, records, _BATCH):
        writes = [_create(number, rkeys[number]) for number in _batch(first, records)]
        call(server, "com.atproto.repo.applyWrites", {"repo": did, "writes": writes}, token)
    return Repo(did, account["handle"], token, rkeys, time.monotonic() - start)


def call(
    server: Server, method: str, body: dict[str, object] | None = None, token: str | None = None
) -> Any:
    """Call an XRPC method, with POST if there is a body, for its JSON. Raises `RequestFailed`."""
    headers = {"content-type": "application/json"} if body is not None else {}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    data = orjson.dumps(body) if body is not None else None
    request = urllib.request.Request(f"{server.url}/xrpc/{method}", data=data, headers=headers)
    return orjson.loads(send(request))


def send(request: urllib.request.Request, *, timeout_s: float = 120) -> bytes:
    """Send any request for the body of its answer. Raises `RequestFailed`."""
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            return bytes(response.read())
    except urllib.error.HTTPError as exc:
        detail = exc.read(500).decode(errors="replace")
        raise RequestFailed(f"{request.full_url} answered {exc.code}: {detail}") from exc
    except OSError as exc:
        raise RequestFailed(f"{request.full_url}: {exc}") from exc


def _batch(first: int, records: int) -> range:
    return range(first, min(first + _BATCH, records))


def _create(number: int, rkey: str) -> dict[str, object]:
    return {
        "$type": "com.atproto.repo.applyWrites#create",
        "collection": COLLECTION,
        "rkey": rkey,
        "value": post(number),
    }


def post(number: int) -> dict[str, Any]:
    """One of the records."""
    return {
        "$type": COLLECTION,
        "text": f"Post number {number}, about as long as posts are: two short sentences.",
        "langs": ["en"],
        "createdAt": "2026-01-01T00:00:00.000Z",
    }


def rkeys_of(records: int) -> tuple[str, ...]:
    """Their record keys, ascending."""
    return tuple(_rkey(number) for number in range(records))


def _rkey(number: int) -> str:
    """A TID a minute after the one before: the same keys, so the same trees, on every server."""
    value = (_FIRST_TID_US + number * 60_000_000) << 10
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(60, -1, -5))
