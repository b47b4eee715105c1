"""Load from `wrk`: one thread, as many connections as asked, as fast as the server answers."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.scenarios import Scenario
from benchmarks.seed import Repo
from benchmarks.servers import Server

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_RESULT: Final = "RESULT "


class LoadFailed(Exception):
    """The load could not be made, or the server did not answer it as it should."""


@dataclass(slots=True, frozen=True)
class Result:
    """What a load has measured."""

    requests_s: float
    mb_s: float
    """Megabytes (10^6) received each second, headers included."""
    p50_ms: float
    p99_ms: float
    requests: int = 0
    """How many were answered."""


def median(results: Sequence[Result]) -> Result:
    """The one in the middle, by the bytes it has moved in a second."""
    return sorted(results, key=lambda result: result.mb_s)[len(results) // 2]


def require_wrk() -> None:
    """Raise `LoadFailed` with what to do if `wrk` is missing."""
    if shutil.which("wrk") is None:
        raise LoadFailed("wrk is not installed: apt-get install wrk (or brew install wrk)")


def run(server: Server, scenario: Scenario, repo: Repo, seconds: float) -> Result:
    """Load a server as the scenario says, after a warm-up. Raises `LoadFailed`."""
    # Servers reach full speed only after a while: caches, and Node's compiler.
    _once(server, scenario, repo, max(1.0, seconds / 4))
    return _once(server, scenario, repo, seconds)


def get(
    server: Server,
    paths: Sequence[str],
    *,
    connections: int,
    seconds: float,
    token: str | None = None,
) -> Result:
    """GET the paths in turn, over and over, all with `token`. Raises `LoadFailed`."""
    credentials = [] if token is None else [token]
    with tempfile.NamedTemporaryFile("w", suffix=".paths") as file:
        file.write("\n".join(paths) + "\n")
        file.flush()
        arguments = ["get", file.name, *credentials]
        return _run(server, arguments, connections=connections, seconds=seconds)


def create(server: Server, repo: Repo, *, connections: int, seconds: float) -> Result:
    """Create one new record after another in a repo. Raises `LoadFailed`."""
    arguments = ["create", repo.did, repo.token, secrets.token_hex(8)]
    return _run(server, arguments, connections=connections, seconds=seconds)


def replay(server: Server, file: str, *, connections: int, seconds: float) -> Result:
    """Send each request of a file once until the time is over.

    Raises `LoadFailed`, also if the file is over before: the server would be faster than shown.
    """
    with Path(file).open() as lines:
        number = sum(1 for _ in lines)
    result = _run(server, ["replay", file], connections=connections, seconds=seconds)
    if result.requests >= number - connections:
        raise LoadFailed(f"the server has answered all {number:,} requests that were prepared")
    return result


def parse_result(output: str) -> Result:
    """Read what `load.lua` prints. Raises `LoadFailed` if there were errors or no answers."""
    line = next((line for line in output.splitlines() if line.startswith(_RESULT)), None)
    if line is None:
        raise LoadFailed(f"wrk gave no result: {output.strip()[-500:]}")
    found = json.loads(line.removeprefix(_RESULT))
    if found["refused"] or found["broken"]:
        raise LoadFailed(
            f"{found['refused']} of {found['requests']} requests were refused,"
            f" {found['broken']} got no answer"
        )
    if not found["requests"]:
        raise LoadFailed("no request was answered in time")
    duration_s = found["duration_us"] / 1e6
    return Result(
        requests_s=found["requests"] / duration_s,
        mb_s=found["bytes"] / 1e6 / duration_s,
        p50_ms=found["p50_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
        requests=found["requests"],
    )


def _once(server: Server, scenario: Scenario, repo: Repo, seconds: float) -> Result:
    if scenario.paths is None:
        return create(server, repo, connections=scenario.connections, seconds=seconds)
    paths = scenario.paths(repo)
    return get(server, paths, connections=scenario.connections, seconds=seconds)


def _run(server: Server, arguments: list[str], *, connections: int, seconds: float) -> Result:
    # One thread leaves the other cores to the server, and loads both servers in the same way.
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--timeout", "60s"]
    command += ["--duration", f"{max(1, round(seconds))}s", "--script", str(_SCRIPT)]
    command += [server.url, "--", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + 90, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise LoadFailed("wrk did not end") from exc
    return parse_result(done.stdout + done.stderr)
