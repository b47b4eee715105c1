"""What becomes of a daemon's lines."""

from __future__ import annotations

import asyncio
import json

from structlog.testing import capture_logs

from pds.replication.litestream.logs import DaemonLog


def line(message: str, level: str = "INFO", **fields: object) -> bytes:
    """A line as Litestream prints it."""
    return json.dumps(
        {"time": "2026-01-01T00:00:00Z", "level": level, "msg": message, **fields}
    ).encode()


def test_a_line_keeps_its_level_and_what_an_operator_wants_to_know() -> None:
    log = DaemonLog("actors")
    with capture_logs() as logged:
        log.take(
            line("monitor error", "ERROR", db="store.sqlite", error="403", system="store"), now_s=0
        )
        log.take(line("sync recovered", "INFO", previous_errors=3), now_s=0)
    assert logged == [
        {
            "event": "litestream: monitor error",
            "log_level": "error",
            "daemon": "actors",
            "db": "store.sqlite",
            "error": "403",
        },
        {
            "event": "litestream: sync recovered",
            "log_level": "info",
            "daemon": "actors",
            "previous_errors": 3,
        },
    ]
    assert log.last_error == "monitor error: 403"


def test_that_no_database_is_in_the_file_is_no_error_of_ours() -> None:
    log = DaemonLog("actors")
    with capture_logs() as logged:
        log.take(line("no databases specified in configuration", "ERROR"), now_s=0)
    assert (logged, log.last_error) == ([], None)


def test_text_that_is_no_line_of_a_log_is_an_error() -> None:
    log = DaemonLog("actors")
    with capture_logs() as logged:
        log.take(b"panic: runtime error", now_s=0)
        log.take(b"SDK 2026/01/01 WARN falling back to IMDSv1", now_s=0)
        log.take(b"[1, 2]", now_s=0)
        log.take(b"", now_s=0)
    assert [one["log_level"] for one in logged] == ["error", "warning", "error"]


def test_a_flood_becomes_a_line_a_second_that_counts_the_others() -> None:
    log = DaemonLog("actors")
    with capture_logs() as logged:
        for number in range(1000):
            log.take(line("monitor error", "ERROR", error=str(number)), now_s=100)
        assert len(logged) == 30
        log.take(line("monitor error", "ERROR"), now_s=101)
    assert logged[-1]["suppressed"] == 970
    assert log.last_error == "monitor error"


async def test_a_line_without_end_is_cut_and_the_next_is_read() -> None:
    log = DaemonLog("actors")
    stream = asyncio.StreamReader()
    stream.feed_data(b"x" * 1_000_000 + b"\n" + line("after"))
    stream.feed_eof()
    with capture_logs() as logged:
        await log.follow(stream)
    assert [one["event"][-5:] for one in logged] == ["xxxx…", "after"]
