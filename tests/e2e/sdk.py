"""Clients of the third-party SDK, logged in, and what the network says of their accounts."""

from __future__ import annotations

import itertools
import json
import struct
import zlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.request import urlopen

from atproto import Client, Session, models

from tests.e2e.checked_repo import SigningKey
from tests.processes import DevServer

_names = itertools.count(1)


@dataclass(slots=True)
class Person:
    """An account, used through the SDK."""

    did: str
    handle: str
    email: str
    password: str
    client: Client = field(repr=False)

    def post(self, text: str, **more: Any) -> Any:
        """Write a post."""
        return self.client.send_post(text, **more)


@dataclass(slots=True)
class Network:
    """A server and its PLC directory, as clients of the SDK see them."""

    server: DevServer
    clients: ExitStack = field(default_factory=ExitStack)

    def client(self) -> Client:
        """A client without a session."""
        client = Client(self.server.url)
        self.clients.callback(client.request.close)
        return client

    def log_in(self, identifier: str, password: str) -> Client:
        """A client with a session of its own."""
        client = self.client()
        client.login(identifier, password, fetch_bsky_profile=False)
        session = client.com.atproto.server.get_session()
        return _known(client, session.did, session.handle)

    def join(self) -> Person:
        """Create an account under a fresh name, and go on with the session that opens."""
        name = f"person{next(_names)}"
        handle, email, password = f"{name}.test", f"{name}@example.com", f"{name} password"
        client = self.client()
        made = client.com.atproto.server.create_account(
            models.ComAtprotoServerCreateAccount.Data(handle=handle, email=email, password=password)
        )
        session = Session(handle, made.did, made.access_jwt, made.refresh_jwt, self.server.url)
        client.login(session_string=session.encode(), fetch_bsky_profile=False)
        return Person(made.did, handle, email, password, _known(client, made.did, handle))

    def document(self, did: str) -> dict[str, Any]:
        """The DID document that the PLC directory answers with."""
        with urlopen(f"http://localhost:{self.server.plc_port}/{did}", timeout=10) as response:
            document: dict[str, Any] = json.load(response)
        return document

    def key(self, did: str) -> SigningKey:
        """The key that the DID document says an account signs with."""
        return SigningKey.of_document(self.document(did))

    def export(self, did: str) -> bytes:
        """The repository as a CAR file, as anyone may fetch it."""
        car: bytes = self.client().com.atproto.sync.get_repo({"did": did})
        return car


def _known(client: Client, did: str, handle: str) -> Client:
    # The SDK asks an AppView who it is, and there is none.
    client.me = models.AppBskyActorDefs.ProfileViewDetailed(did=did, handle=handle)
    return client


def png(seed: int, *, side: int = 8) -> bytes:
    """A picture that differs with `seed`."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + bytes([seed, row * 7 % 256, 99]) * side for row in range(side))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
