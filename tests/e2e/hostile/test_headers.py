"""Bytes that no client sends, in every header and path: an answer, and never a 500."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.hostile.scale import scaled
from tests.processes import DevServer, ServerProcess, clean_environment, free_port

AT_ONCE = 16
READ_S = 10.0
NOT_TEXT = b"\xff\xfe"
FORMS = (
    b"%b",
    b"Bearer %b",
    b"%b, gzip",
    *scaled((), (b"Basic %b", b"bytes=%b", b"text/plain; charset=%b", b"did:web:%b#x", b"%b.test")),
)
HEADERS = (
    b"Accept Accept-Encoding Accept-Language Access-Control-Request-Headers "
    b"Atproto-Accept-Labelers Atproto-Proxy Authorization Connection Content-Encoding "
    b"Content-Length Content-Type Cookie Expect Host If-Modified-Since If-None-Match Origin Range "
    b"Referer Sec-WebSocket-Extensions Sec-WebSocket-Key Sec-WebSocket-Protocol "
    b"Sec-WebSocket-Version Transfer-Encoding Upgrade User-Agent X-Atproto-Any X-Bsky-Topics "
    b"X-Forwarded-For X-Forwarded-Host X-Ratelimit-Bypass X-Request-Id"
)
READING = (
    "GET / GET /.well-known/atproto-did GET /nothing GET /tls-check?domain=a.test "
    "GET /xrpc/_health "
    "GET /xrpc/com.atproto.server.describeServer GET /xrpc/com.atproto.sync.getHead?did=did:web:a "
    "GET /xrpc/com.atproto.sync.subscribeRepos OPTIONS /xrpc/a.b.c"
)
LINES = (
    f"{READING} GET /_holdfast/usage GET /dev/mails.json GET /xrpc/app.bsky.feed.getTimeline "
    "GET /xrpc/com.atproto.admin.getAccountInfo?did=did:web:a "
    "GET /xrpc/com.atproto.server.getSession "
    "POST /xrpc/app.bsky.other.method POST /xrpc/com.atproto.repo.createRecord "
    "POST /xrpc/com.atproto.repo.uploadBlob POST /xrpc/com.atproto.server.createAccount "
    "POST /xrpc/com.atproto.server.createInviteCode POST /xrpc/com.atproto.server.createSession"
)
ARCHIVE_LINES = f"{READING} GET /?after=x GET /repo/did:web:a POST /xrpc/a.b.c"
PATHS = (
    b"/%b /xrpc/%b /xrpc/%b.b.c /repo/%b/%b/%b /dev/mails/%b.html /_holdfast/usage/%b "
    b"/?after=%b /tls-check?domain=%b.test /xrpc/com.atproto.sync.getHead?did=%b "
    b"/xrpc/com.atproto.sync.listRepos?cursor=%b /xrpc/com.atproto.sync.subscribeRepos?cursor=%b "
    b"/xrpc/com.atproto.repo.getRecord?repo=%b&collection=a.b.c&rkey=%b "
    b"/xrpc/com.atproto.identity.resolveHandle?handle=%b.test /xrpc/app.bsky.other.method?a=%b "
    b"/xrpc/com.atproto.server.getServiceAuth?aud=%b&lxm=%b http://%b/ http://[%b / //%b *%b"
)
SPELLINGS = (NOT_TEXT, b"%ff%fe", b"%ed%a0%80", b"%00")
"""Bytes as they are, and in disguise: no UTF-8, half of a surrogate pair, nothing."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """A server of this module's own: what is no HTTP leaves its mark in the log."""
    server = DevServer.start(tmp_path_factory.mktemp("server"))
    yield server
    assert server.stop() == 0
    assert "request failed" not in server.log()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A read-only server of an empty directory."""
    root: Path = tmp_path_factory.mktemp("archive")
    (root / "cars").mkdir()
    port = free_port()
    options = ["--car", str(root / "cars"), "--port", str(port), "--verify", "offline"]
    server = ServerProcess.launch(
        [sys.executable, "-m", "pds", "readonly", *options],
        url=f"http://localhost:{port}",
        log_file=root / "log",
        env=clean_environment(),
    )
    yield server
    server.kill()
    assert "request failed" not in server.log()


def requests_with_bad_headers(lines: Iterable[bytes], token: str) -> Iterator[bytes]:
    """One request for each line, header and form."""
    for line, name, form in itertools.product(lines, HEADERS.split(b" "), FORMS):
        body = b"{}" if line.startswith(b"POST") else b""
        headers = {
            b"Host": b"localhost",
            b"Connection": b"close",
            b"Authorization": b"Bearer " + token.encode(),
        }
        if body:
            headers |= {b"Content-Type": b"application/json", b"Content-Length": b"2"}
        if line.endswith(b"subscribeRepos"):
            headers |= {
                b"Connection": b"Upgrade",
                b"Upgrade": b"websocket",
                b"Sec-WebSocket-Version": b"13",
                b"Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ==",
            }
        headers[name] = form % NOT_TEXT
        yield request(line, headers, body)


def requests_with_bad_paths() -> Iterator[bytes]:
    """One request for each path, spelling, verb and version of HTTP."""
    for path, spelling in itertools.product(PATHS.split(b" "), SPELLINGS):
        whole = path.replace(b"%b", spelling)
        for verb in (b"GET", b"POST", b"OPTIONS", *scaled((), (b"HEAD", b"PUT"))):
            yield request(b"%b %b" % (verb, whole), {b"Connection": b"close"})
            yield b"%b %b HTTP/1.0\r\n\r\n" % (verb, whole)


def request(line: bytes, headers: dict[bytes, bytes], body: bytes = b"") -> bytes:
    head = b"".join(b"%b: %b\r\n" % header for header in headers.items())
    return b"%b HTTP/1.1\r\n%b\r\n%b" % (line, head, body)


def lines_of(text: str) -> list[bytes]:
    words = text.split(" ")
    return [f"{verb} {path}".encode() for verb, path in zip(words[::2], words[1::2], strict=True)]


async def failed(url: str, requests: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """Those of `requests` that were not answered, or by a failure of the server's own."""
    host, port = url.removeprefix("http://").split(":")
    free = asyncio.Semaphore(AT_ONCE)

    async def send(sent: bytes) -> tuple[bytes, bytes]:
        async with free, asyncio.timeout(READ_S):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(sent)
            # No more than the status: a subscription would go on.
            status = await reader.readline()
            writer.close()
            return sent, status

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(send(sent)) for sent in requests]
    answers = [task.result() for task in tasks]
    assert len(answers) > 100
    return [(sent, status) for sent, status in answers if not is_an_answer(status)]


def is_an_answer(status: bytes) -> bool:
    code = status.split(b" ")[1] if status.startswith(b"HTTP/1.") else b""
    # The read-only server lacks a method; the service that a request goes on to is not there.
    return code.isdigit() and (code < b"500" or code in (b"501", b"502"))


async def test_no_bytes_of_a_header_make_the_server_fail(server: DevServer) -> None:
    account = {"handle": "alice.test", "email": "alice@example.com", "password": "alice-pass"}
    url = f"{server.url}/xrpc/com.atproto.server.createAccount"
    async with aiohttp.ClientSession() as http, http.post(url, json=account) as reply:
        token = (await reply.json())["accessJwt"]
    assert await failed(server.url, requests_with_bad_headers(lines_of(LINES), token)) == []


async def test_no_bytes_of_a_path_make_the_server_fail(server: DevServer) -> None:
    assert await failed(server.url, requests_with_bad_paths()) == []


async def test_no_bytes_make_the_read_only_server_fail(archive: ServerProcess) -> None:
    headers = requests_with_bad_headers(lines_of(ARCHIVE_LINES), "x")
    assert await failed(archive.url, itertools.chain(headers, requests_with_bad_paths())) == []
