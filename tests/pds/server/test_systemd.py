"""What systemd learns of a server that it has started, as its socket receives it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from pds.context import AppContext
from pds.server import run as server
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
