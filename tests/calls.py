"""Which methods tests call on real servers, and how those answer: data of docs/endpoints.md.

Recorded where the variable below names a directory; each test process then leaves a file there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

VARIABLE: Final = "HOLDFAST_CALLS_DIR"


@dataclass(frozen=True, slots=True)
class Call:
    """A test called a method and got `status`, with an error's name if it was one."""

    nsid: str
    test: str
    """As pytest names it: `tests/pds/test_x.py::test_promise`."""
    status: int
    error: str


_seen: set[Call] = set()


def record_calls(app: web.Application) -> None:
    """Have the calls of a server recorded, if that is wanted."""
    if os.environ.get(VARIABLE):
        app.middlewares.append(_record)


def write_calls() -> None:
    """Leave what this process has recorded."""
    directory = os.environ.get(VARIABLE)
    if directory and _seen:
        lines = [json.dumps(astuple(call)) for call in _seen]
        Path(directory, f"{os.getpid()}.jsonl").write_text("\n".join(lines), "utf-8")


def read_calls(directory: Path) -> Iterator[Call]:
    """What all processes have left."""
    for path in directory.glob("*.jsonl"):
        for line in path.read_text("utf-8").splitlines():
            yield Call(*json.loads(line))


@web.middleware
async def _record(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    nsid = request.match_info.get("nsid", "").rstrip("/")
    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0].partition("[")[0]
    if nsid and test:
        _seen.add(Call(nsid, test, response.status, _error_of(response)))
    return response


def _error_of(response: web.StreamResponse) -> str:
    body = response.body if isinstance(response, web.Response) else None
    if response.status < 400 or not isinstance(body, bytes):
        return ""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return ""
