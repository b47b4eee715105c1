"""Logs of a process: what comes out, where it goes, and how a line looks."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import select
from pathlib import Path
from typing import Any

import pytest
import structlog

from pds.monitoring.logs import configure_logs
from pds.monitoring.logs.destination import LogDestination


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pds.log"


def lines_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def events_in(file: Path) -> list[str]:
    return [line["event"] for line in lines_in(file)]


def test_a_line_has_time_level_logger_event_and_fields(file: Path) -> None:
    configure_logs(destination=str(file))
    structlog.get_logger("pds.example").warning("something", did="did:plc:abc", count=3)
    (line,) = lines_in(file)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {
        "level": "warning",
        "logger": "pds.example",
        "event": "something",
        "did": "did:plc:abc",
        "count": 3,
    }


def test_what_is_bound_to_the_context_is_in_every_line(file: Path) -> None:
    configure_logs(destination=str(file))
    with structlog.contextvars.bound_contextvars(request_id="one"):
        structlog.get_logger("pds.example").info("by structlog")
        logging.getLogger("sequencer.example").info("by logging")
    structlog.get_logger("pds.example").info("after")
    assert [line.get("request_id") for line in lines_in(file)] == ["one", "one", None]


def test_a_traceback_is_one_line(file: Path) -> None:
    configure_logs(destination=str(file))
    try:
        raise ValueError("told")
    except ValueError as exc:
        structlog.get_logger("pds.example").error("failed", exc_info=exc)
        structlog.get_logger("pds.example").exception("failed")
        logging.getLogger("aiohttp.server").exception("failed")
    for line in lines_in(file):
        assert line["level"] == "error"
        assert line["exception"].endswith("ValueError: told")
    assert len(lines_in(file)) == 3


def test_what_is_no_json_is_shown_all_the_same(file: Path) -> None:
    configure_logs(destination=str(file))
    structlog.get_logger("pds.example").info("odd", path=Path("/a"), text="\ud800", big=2**70)
    (line,) = lines_in(file)
    assert line["path"] == "PosixPath('/a')"
    assert line["big"] == 2**70


def test_lines_of_libraries_come_out_as_warnings_only_our_own_by_level(file: Path) -> None:
    configure_logs(destination=str(file), level="debug")
    for name in ("database.checkpoints", "aiohttp.access"):
        logging.getLogger(name).info("%s tells", name)
        logging.getLogger(name).warning("%s warns", name)
    assert events_in(file) == [
        "database.checkpoints tells",
        "database.checkpoints warns",
        "aiohttp.access warns",
    ]


def test_a_line_below_the_level_is_dropped(file: Path) -> None:
    configure_logs(destination=str(file), level="warning")
    structlog.get_logger("pds.example").info("not this")
    logging.getLogger("identity.example").info("nor this")
    structlog.get_logger("pds.example").warning("this")
    assert events_in(file) == ["this"]


def test_logs_that_are_off_still_have_errors(file: Path) -> None:
    configure_logs(destination=str(file), enabled=False)
    structlog.get_logger("pds.example").warning("not this")
    structlog.get_logger("pds.example").error("this")
    assert events_in(file) == ["this"]


@pytest.mark.parametrize(
    ("systems", "shown"),
    [
        (None, {"database.retry", "pds.requests", "pds.xrpc.router", "sequencer.log"}),
        ("", {"database.retry", "pds.requests", "pds.xrpc.router", "sequencer.log"}),
        ("pds", {"pds.requests", "pds.xrpc.router"}),
        ("pds.requests sequencer", {"pds.requests", "sequencer.log"}),
        ("pds.requests,sequencer", {"pds.requests", "sequencer.log"}),
        ("pds.req", set()),
        # Names of the reference PDS.
        ("pds:db xrpc-server", {"database.retry", "pds.xrpc.router"}),
        ("pds:sequencer", {"sequencer.log"}),
        ("pds:xrpc", {"pds.xrpc.router"}),
    ],
)
def test_only_the_systems_that_are_named_are_shown(
    file: Path, systems: str | None, shown: set[str]
) -> None:
    configure_logs(destination=str(file), systems=systems)
    for name in ("database.retry", "pds.requests", "pds.xrpc.router", "sequencer.log"):
        structlog.get_logger(name).info("hello")
    assert {line["logger"] for line in lines_in(file)} == shown


def test_errors_are_shown_whatever_the_systems(file: Path) -> None:
    configure_logs(destination=str(file), systems="sequencer")
    structlog.get_logger("pds.example").error("hidden nowhere")
    logging.getLogger("aiohttp.server").error("nor this")
    structlog.get_logger("pds.example").warning("but this")
    assert events_in(file) == ["hidden nowhere", "nor this"]


def test_without_a_destination_lines_go_to_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure_logs()
    structlog.get_logger("pds.example").info("hello")
    printed = capfd.readouterr()
    assert printed.out == ""
    assert json.loads(printed.err)["event"] == "hello"


def test_lines_are_added_to_a_file_that_others_may_not_read(file: Path) -> None:
    for event in ("first", "second"):
        configure_logs(destination=str(file))
        structlog.get_logger("pds.example").info(event)
    assert events_in(file) == ["first", "second"]
    assert file.stat().st_mode & 0o007 == 0


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"pds\.log") as caught:
        configure_logs(destination=str(tmp_path / "missing" / "pds.log"))
    assert caught.value.filename == str(tmp_path / "missing" / "pds.log")


def test_lines_go_on_in_a_new_file_once_the_old_one_was_moved(tmp_path: Path, file: Path) -> None:
    destination = LogDestination(file)
    destination.write(b"first")
    file.rename(tmp_path / "pds.log.1")
    destination.write(b"second")
    destination.reopen()
    destination.write(b"third")
    assert (tmp_path / "pds.log.1").read_text() == "first\nsecond\n"
    assert file.read_text() == "third\n"


def test_a_new_file_is_as_open_as_the_one_before(file: Path) -> None:
    destination = LogDestination(file)
    file.chmod(0o640)
    file.rename(file.with_name("pds.log.1"))
    before = os.umask(0o077)
    destination.reopen()
    os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o640


def test_the_old_file_stays_in_use_if_no_new_one_can_be_made(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    destination = LogDestination(directory / "pds.log")
    directory.rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        destination.reopen()
    destination.write(b"still here")
    assert (tmp_path / "moved" / "pds.log").read_text() == "still here\n"


def test_a_full_disk_of_logs_stops_nobody() -> None:
    destination = LogDestination(Path("/dev/full"))
    with pytest.raises(OSError, match="No space left"):
        os.write(destination._descriptor, b"x")
    for _ in range(3):
        destination.write(b"lost" * 5000)
    assert not destination._waiting


async def test_lines_that_may_wait_keep_their_order_and_their_time(file: Path) -> None:
    logs = configure_logs(destination=str(file))
    quick = logs.quick("pds.requests")
    for number in range(3):
        quick.write("info", {"event": f"quick {number}"})
    assert events_in(file) == []
    structlog.get_logger("pds.example").info("at once")
    assert events_in(file) == ["quick 0", "quick 1", "quick 2", "at once"]
    times = [line["timestamp"] for line in lines_in(file)]
    assert times == sorted(times)


async def test_lines_that_may_wait_name_the_process_if_there_are_several(file: Path) -> None:
    logs = configure_logs(destination=str(file))
    logs.quick("pds.requests", worker=2).write("info", {"event": "request", "status": 200})
    logs.flush()
    assert [(line["worker"], line["status"]) for line in lines_in(file)] == [(2, 200)]


async def test_lines_that_may_wait_are_written_after_a_moment_or_when_they_are_many(
    file: Path,
) -> None:
    logs = configure_logs(destination=str(file))
    quick = logs.quick("pds.requests")
    for number in range(300):
        quick.write("info", {"event": f"quick {number}"})
    assert len(events_in(file)) == 256
    async with asyncio.timeout(20):
        while len(events_in(file)) < 300:  # noqa: ASYNC110 (nothing tells it)
            await asyncio.sleep(0)


def test_lines_stay_whole_in_a_pipe_that_other_processes_write_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[bytes] = []

    def write(_descriptor: int, data: bytes) -> int:
        written.append(data)
        return len(data)

    monkeypatch.setattr(os, "write", write)
    logs = LogDestination()
    lines = [f"{number} ".encode() * 300 for number in range(40)]
    logs._waiting.extend(lines)
    logs.flush()
    assert b"".join(written) == b"".join(line + b"\n" for line in lines)
    # The system takes so much at once.
    assert all(data.endswith(b"\n") and len(data) <= select.PIPE_BUF for data in written)
    assert len(written) < len(lines)


async def test_lines_that_wait_are_written_at_the_end(file: Path) -> None:
    logs = configure_logs(destination=str(file))
    logs.quick("pds.requests").write("info", {"event": "last"})
    logs.flush()
    assert events_in(file) == ["last"]


@pytest.mark.parametrize(
    ("settings", "levels"),
    [
        ({}, {"info"}),
        ({"level": "debug"}, {"debug", "info"}),
        ({"level": "warning"}, set()),
        ({"enabled": False}, set()),
        ({"systems": "sequencer"}, set()),
        ({"systems": "pds"}, {"info"}),
    ],
)
def test_lines_that_would_not_be_shown_need_not_be_made(
    file: Path, settings: dict[str, Any], levels: set[str]
) -> None:
    assert configure_logs(destination=str(file), **settings).quick("pds.requests").levels == levels
