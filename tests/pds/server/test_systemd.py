"""What systemd learns of a server that it has started, as its socket receives it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pds.context import AppContext
from pds.server import run as server
from pds.server import systemd
from pds.server.listening import ListenError
from pds.server.run import serve
from pds.server.systemd import READY, notify
from tests.pds.served import settings_on


@pytest.mark.parametrize("is_abstract", [False, True])
async def test_systemd_is_told_when_requests_are_answered_and_when_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_abstract: bool
) -> None:
    monkeypatch.setattr(server, "tune_garbage_collector", lambda: None)
    name = f"@holdfast-{tmp_path.name}-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0"))
        listening.setblocking(False)
        ready: asyncio.Future[AppContext] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(settings_on(tmp_path), on_ready=ready.set_result))
        await ready
        async with asyncio.timeout(30):
            assert await asyncio.get_running_loop().sock_recv(listening, 100) == b"READY=1"
            os.kill(os.getpid(), signal.SIGTERM)
            assert await asyncio.get_running_loop().sock_recv(listening, 100) == b"STOPPING=1"
        await serving


@pytest.mark.parametrize("name", ["", "vsock:2:1", "/nowhere/notify"])
def test_a_socket_that_cannot_be_told_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    notify(READY)
    assert ("cannot notify systemd" in capsys.readouterr().out) == name.startswith("/")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Gives this process open files, with names, as systemd gives them to a service."""
    first, files = 200, []

    def give(*sockets: socket.socket, names: str = "", pid: int = 0) -> None:
        for number, each in enumerate(sockets, first):
            files.append(os.dup2(each.fileno(), number))
        monkeypatch.setenv("LISTEN_PID", str(pid or os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", str(len(sockets)))
        monkeypatch.setenv("LISTEN_FDNAMES", names)

    monkeypatch.setattr(systemd, "_FIRST_FD", first)
    yield give
    for file in files:
        with suppress(OSError):
            os.close(file)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def test_sockets_are_taken_once_and_by_their_names(
    opened: Callable[..., None], listening: socket.socket
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        opened(listening, other, names="holdfast.socket:metrics")
        taken = systemd.take_sockets()
        addresses = {kind: [one.getsockname() for one in of] for kind, of in taken.items()}
        assert addresses == {
            systemd.HTTP: [listening.getsockname()],
            systemd.METRICS: [other.getsockname()],
        }
        assert not any(one.get_inheritable() for of in taken.values() for one in of)
        # Neither again, nor by a process that this one starts.
        assert systemd.take_sockets() == {}
        for sockets in taken.values():
            for each in sockets:
                each.close()


def test_sockets_of_another_process_are_left_alone(
    opened: Callable[..., None], listening: socket.socket
) -> None:
    opened(listening, pid=1)
    assert systemd.take_sockets() == {}


def test_a_socket_that_cannot_be_served_is_refused(opened: Callable[..., None]) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        opened(other)
        with pytest.raises(ListenError, match="does not listen on TCP"):
            systemd.take_sockets()


async def test_connections_to_a_socket_of_systemd_wait_until_the_server_answers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opened: Callable[..., None],
    listening: socket.socket,
) -> None:
    monkeypatch.setattr(server, "tune_garbage_collector", lambda: None)
    opened(listening)
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    writer.write(b"GET /xrpc/_health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    ready: asyncio.Future[AppContext] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings_on(tmp_path), on_ready=ready.set_result))
    await ready
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    os.kill(os.getpid(), signal.SIGTERM)
    await serving
    # systemd has it open still, for the next start.
    _, again = await asyncio.open_connection(*listening.getsockname())
    for each in (writer, again):
        each.close()
