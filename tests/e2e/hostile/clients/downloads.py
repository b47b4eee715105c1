"""Asks for the same answer on many connections, and takes next to nothing of it.

    downloads.py URL COUNT (stall | drip | trickle | hang-up) [ADDRESSES]

The connections come from so many ADDRESSES in 127.0.0.0/8, by default one for each, as those of a
botnet would. Those that trickle take what every client must, and are made anew when they are lost.
"""

from __future__ import annotations

import select
import selectors
import socket
import sys
import time
from typing import Final
from urllib.parse import urlsplit

from tests.e2e.hostile.attack import ATTACKING

_LASTS_S: Final = 120.0
_PAUSE_S: Final = 0.05
_WAITS_S: Final = 30.0
_QUEUE_S: Final = 3.0
_TAKEN_BYTES: Final = {"drip": 1, "trickle": 512}
"""At a time, of each answer that there is something of."""


def main(url: str, count: int, mode: str, addresses: int) -> None:
    """Attack, and tell when all connections have begun to get an answer, or have hung up.

    Those that trickle do not wait for long: some may be in a queue.
    """
    clients = {_ask(url, number % addresses): number % addresses for number in range(count)}
    begun_by = time.monotonic() + (_QUEUE_S if mode == "trickle" else _WAITS_S)
    for client in clients:
        # The beginning of an answer, which a refusal has as well.
        if select.select([client], [], [], max(0, begun_by - time.monotonic()))[0]:
            client.recv(1)
        if mode == "hang-up":
            client.close()
    print(ATTACKING, flush=True)  # noqa: T201 (to the test)
    ends = time.monotonic() + _LASTS_S
    while time.monotonic() < ends:
        time.sleep(_PAUSE_S)
        if mode not in _TAKEN_BYTES:
            continue
        for client in _take(clients, _TAKEN_BYTES[mode]):
            address = clients.pop(client)
            client.close()
            if mode == "trickle":
                clients[_ask(url, address)] = address


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


def _take(clients: dict[socket.socket, int], size: int) -> list[socket.socket]:
    """Take so much of each answer that there is something of. Return those that are over."""
    over = []
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        for key, _ in selector.select(0):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            try:
                alive = sock.recv(size)
            except OSError:
                alive = b""
            if not alive:
                over.append(sock)
    return over


if __name__ == "__main__":
    url, count, mode, *more = sys.argv[1:]
    main(url, int(count), mode, int(more[0]) if more else int(count))
