"""Asks for the same answer on many connections, and takes next to nothing of it.

    downloads.py URL COUNT (stall | drip | hang-up)

Every connection comes from an address of its own in 127.0.0.0/8, as those of a botnet would.
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
_DRIP_S: Final = 0.05
_WAITS_S: Final = 10.0


def main(url: str, count: int, mode: str) -> None:
    """Attack, and tell when all connections have begun to get an answer, or have hung up."""
    clients = [_ask(url, number) for number in range(count)]
    for client in clients:
        # The beginning of an answer, which a refusal has as well.
        client.recv(1)
        if mode == "hang-up":
            client.close()
    print(ATTACKING, flush=True)  # noqa: T201 (to the test)
    ends = time.monotonic() + _LASTS_S
    while time.monotonic() < ends:
        time.sleep(_DRIP_S)
        if mode == "drip":
            _drip(clients)


def _ask(url: str, number: int) -> socket.socket:
    parts = urlsplit(url)
    client = socket.socket()
    # So that what nobody takes waits with the server, and not here.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.bind((f"127.0.{1 + number // 250}.{1 + number % 250}", 0))
    client.settimeout(_WAITS_S)
    client.connect((parts.hostname, parts.port or 80))
    head = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n"
    client.sendall(head.encode())
    return client


def _drip(clients: list[socket.socket]) -> None:
    """Take a byte of each answer that there is something of."""
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        for key, _ in selector.select(0):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            try:
                alive = sock.recv(1)
            except OSError:
                alive = b""
            if not alive:
                clients.remove(sock)
                sock.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
