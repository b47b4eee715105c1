"""The processes of a server with workers, as the system sees them."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.replicating_server import is_running


def workers_of(first: int) -> list[int]:
    """The workers that run, of a server by the pid of its first process."""
    return [pid for forker in forkers_of(first) for pid in children(forker)]


def forkers_of(first: int) -> list[int]:
    """The process that its workers are forked from; none while that is replaced."""
    return [pid for pid in children(first) if b"replicate" not in _command(pid)]


def children(pid: int) -> list[int]:
    """The processes that one has started, and that run."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [child for child in map(int, text.split()) if is_running(child)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
