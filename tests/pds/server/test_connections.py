"""Heads of requests that cannot be parsed."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from pds.server.connections import MALFORMED_LINES
from tests.pds.conftest import Pds
from tests.pds.raw_http import exchange

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (f"Authorization: Bearer {SECRET}{'x' * 20_000}", "LineTooLong"),
        (f"Authorization: Basic {SECRET}\x00", "BadHttpMessage"),
        (f"Bearer {SECRET}", "BadHttpMessage"),
    ],
)
async def test_nothing_of_a_head_that_is_malformed_gets_into_the_log(
    pds: Pds, caplog: pytest.LogCaptureFixture, head: str, reason: str
) -> None:
    caplog.set_level("DEBUG")
    with structlog.testing.capture_logs() as lines:
        status, _ = await exchange(pds, f"GET / HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
    assert status == 400
    assert lines == [
        {
            "event": "malformed request",
            "log_level": "info",
            "peer": "127.0.0.1",
            "reason": reason,
        }
    ]
    assert SECRET not in caplog.text


async def test_malformed_heads_by_the_thousand_do_not_fill_the_log(pds: Pds) -> None:
    with structlog.testing.capture_logs() as lines:
        for _ in range(MALFORMED_LINES + 5):
            status, _ = await exchange(pds, b"GET / HTTP/1.1\r\n: x\r\n\r\n")
            assert status == 400
    assert len(lines) == MALFORMED_LINES


# What is wrong with a request may show in its body: before its handler, while it runs or later.
@pytest.mark.parametrize(
    "target",
    [
        "GET /",
        "GET /xrpc/_health",
        "GET /nowhere",
        "OPTIONS /xrpc/com.atproto.server.createSession",
        "POST /xrpc/com.atproto.server.createSession",
        "POST /xrpc/com.atproto.repo.uploadBlob",
        "POST /_holdfast/import",
    ],
)
@pytest.mark.parametrize(
    "body", [b"zz\r\n", b"2\r\n{}XX\r\n", b"f" * 40, b"2\r\n{}\r\n0\r\nX\0\r\n\r\n"]
)
async def test_no_malformed_body_is_an_error_in_the_log(
    pds: Pds, caplog: pytest.LogCaptureFixture, target: str, body: bytes
) -> None:
    head = (
        f"{target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    host, port = pds.url.removeprefix("http://").split(":")
    caplog.set_level("INFO")
    with structlog.testing.capture_logs() as lines:
        for pause in (False, True):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(head.encode())
                if pause:
                    # The head has been taken, and perhaps answered.
                    await exchange(pds, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                writer.write(body)
                async with asyncio.timeout(30):
                    await reader.read(1)
            finally:
                writer.close()
                await writer.wait_closed()
    assert {line["log_level"] for line in lines} <= {"info", "debug"}
    assert caplog.records == []
