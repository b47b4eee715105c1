"""A client of any PDS: plain HTTP, nothing of a server's own code."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import urllib.parse
import zlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import aiohttp

_TIMEOUT_S = 30
_ANY_ZLIB = 32 + zlib.MAX_WBITS
Headers = Mapping[str, str]


@dataclass(slots=True, frozen=True)
class Reply:
    """An answer, read to its end and unpacked. `json` is None for what is not JSON."""

    status: int
    content_type: str | None
    headers: Headers
    """Names are in lower case."""
    body: bytes
    json: Any


@dataclass(slots=True, frozen=True)
class Client:
    """Calls of one server."""

    url: str

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Headers | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """Send any request; `path` is relative to the server. No header is added."""
        parts = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT_S)
        with closing(connection):
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            return _reply(response.status, response.headers, response.read())

    def get(self, nsid: str, headers: Headers | None = None, **params: object) -> Reply:
        """Call a query."""
        query = f"?{urllib.parse.urlencode(params)}" if params else ""
        return self.request("GET", f"/xrpc/{nsid}{query}", headers=headers)

    def post(self, nsid: str, body: object = None, headers: Headers | None = None) -> Reply:
        """Call a procedure, with a JSON body unless `body` is None."""
        if body is None:
            return self.request("POST", f"/xrpc/{nsid}", headers=headers)
        return self.request(
            "POST",
            f"/xrpc/{nsid}",
            headers={**(headers or {}), "Content-Type": "application/json"},
            body=json.dumps(body).encode(),
        )

    def call(
        self, nsid: str, body: object = None, headers: Headers | None = None, **params: object
    ) -> Any:
        """Call a method that must succeed, with POST if there is a body; returns its JSON."""
        reply = (
            self.get(nsid, headers, **params) if body is None else self.post(nsid, body, headers)
        )
        assert reply.status == 200, (nsid, reply.status, reply.body)
        return reply.json

    def frames(self, cursor: int, last_seq: int, seq_of: Any) -> list[bytes]:
        """The messages of the firehose behind `cursor`, up to that of `last_seq`."""
        return asyncio.run(self._frames(cursor, last_seq, seq_of))

    async def _frames(self, cursor: int, last_seq: int, seq_of: Any) -> list[bytes]:
        url = f"{self.url}/xrpc/com.atproto.sync.subscribeRepos?cursor={cursor}"
        frames: list[bytes] = []
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, max_msg_size=0) as socket,
        ):
            while not frames or seq_of(frames[-1]) < last_seq:
                frames.append(await socket.receive_bytes(timeout=_TIMEOUT_S))
        return frames


def bearer(jwt: str) -> dict[str, str]:
    """The headers of a session."""
    return {"Authorization": f"Bearer {jwt}"}


def basic(name: str, password: str) -> dict[str, str]:
    """The headers of HTTP Basic authentication."""
    encoded = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {encoded}"}


def signing_key(plc_url: str, did: str) -> str:
    """The did:key that a PLC directory has for the repository of `did`."""
    state = json.loads(Client(plc_url).request("GET", f"/{did}/data").body)
    return str(state["verificationMethods"]["atproto"])


def _reply(status: int, headers: Any, body: bytes) -> Reply:
    named = {name.lower(): value for name, value in headers.items()}
    if named.get("content-encoding") in ("gzip", "deflate"):
        body = zlib.decompress(body, _ANY_ZLIB)
    content_type = named.get("content-type")
    is_json = content_type is not None and content_type.startswith("application/json") and body
    return Reply(status, content_type, named, body, json.loads(body) if is_json else None)
