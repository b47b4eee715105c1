"""Heads of requests that cannot be parsed."""

from __future__ import annotations

import pytest
import structlog

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
