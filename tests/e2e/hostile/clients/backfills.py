"""Reads the whole firehose from its beginning, over and over, on many connections at once.

    backfills.py URL COUNT ADDRESSES BYTES

After so many BYTES of a backfill the next one begins.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from typing import Final
from urllib.parse import urlsplit

from tests.e2e.hostile.attack import ATTACKING

_LASTS_S: Final = 120.0
_PATH: Final = "/xrpc/com.atproto.sync.subscribeRepos?cursor=0"
_AT_ONCE_BYTES: Final = 1 << 20


def main(url: str, count: int, addresses: int, enough_bytes: int) -> None:
    """Attack, and tell when every connection has got the beginning of a backfill."""
    buffer = bytearray(_AT_ONCE_BYTES)
    ends = time.monotonic() + _LASTS_S
    with selectors.DefaultSelector() as selector:
        for number in range(count):
            _subscribe(selector, url, number % addresses)
        begun: set[int] = set()
        while time.monotonic() < ends:
            for key, _ in selector.select(1.0):
                client = key.fileobj
                assert isinstance(client, socket.socket)
                number, taken = key.data
                try:
                    got = client.recv_into(buffer)
                except OSError:
                    got = 0
                if len(begun) < count:
                    begun.add(client.fileno())
                    if len(begun) == count:
                        print(ATTACKING, flush=True)  # noqa: T201 (to the test)
                if got and taken + got < enough_bytes:
                    selector.modify(client, selectors.EVENT_READ, (number, taken + got))
                    continue
                selector.unregister(client)
                client.close()
                _subscribe(selector, url, number)


def _subscribe(selector: selectors.BaseSelector, url: str, number: int) -> None:
    parts = urlsplit(url)
    client = socket.socket()
    client.bind((f"127.0.1.{1 + number}", 0))
    client.connect((parts.hostname, parts.port or 80))
    head = (
        f"GET {_PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    client.sendall(head.encode())
    selector.register(client, selectors.EVENT_READ, (number, 0))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
