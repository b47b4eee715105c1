"""One process and two, on 1,000 accounts: `python -m benchmarks --only workers`.

The same data directory is served by Holdfast with one worker and with two, and a copy of it by the
reference, in turn. `wrk` sends the loads with one thread, from the same two cores: what it takes is
missing where two workers would use both.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlencode

import orjson

from benchmarks import load
from benchmarks.many_accounts import did_of, make_accounts
from benchmarks.memory import processes_of
from benchmarks.seed import COLLECTION, post, rkeys_of
from benchmarks.servers import SECRET, WORK, Launch, Server, on_directory, running
from benchmarks.supervised import cpu_s_of
from pds.accounts.scopes import SessionScope
from pds.accounts.session_tokens import SessionTokens
from repo.syntax import Did

MARKER: Final = "<!-- workers: written by `make bench` -->"
"""Where their table is in docs/scaling.md."""
ACCOUNTS: Final = 1_000
_POSTS: Final = 50
_CONNECTIONS: Final = 32
_MOST_PER_S: Final = 4_000
"""Writes that are prepared for each second of a load: more than any server answers."""
_SERVICE_DID: Final = "did:web:pds.test"

CREATE: Final = "repo.createRecord"
GET: Final = "repo.getRecord"
LIST: Final = "repo.listRecords, 50"
REPO: Final = "sync.getRepo of 50"
LOADS: Final = (CREATE, GET, LIST, REPO)
ONE: Final = "one worker"
TWO: Final = "two workers"
REFERENCE: Final = "reference"

Paths: TypeAlias = Callable[[int], str]


@dataclass(slots=True, frozen=True)
class Loaded:
    """What one load has shown."""

    requests_s: float
    cpu_us: float
    """CPU of all processes of the server for a request."""


@dataclass(slots=True)
class WorkerFigures:
    """What the servers have shown, by name and load."""

    loads: dict[str, dict[str, Loaded]] = field(default_factory=dict)


def measure_workers(
    seconds: float, rounds: int, reference: Launch | None, *, accounts: int = ACCOUNTS
) -> WorkerFigures:
    """Load the servers in turn, each load for `seconds` in each of the rounds."""
    work = WORK / "workers"
    shutil.rmtree(work, ignore_errors=True)
    make_accounts(work / "data", accounts, posts=_POSTS)
    launches = {name: _with_workers(work / "data", n) for name, n in ((ONE, 1), (TWO, 2))}
    if reference is not None:
        shutil.copytree(work / "data", reference.data, dirs_exist_ok=True)
        launches[REFERENCE] = reference
    figures, tags = WorkerFigures(), count()
    for name, launch in launches.items():
        with running(launch) as server:
            for title in LOADS:
                results = [_load(server, title, accounts, seconds, tags) for _ in range(rounds)]
                best = sorted(results, key=lambda one: one.requests_s)[len(results) // 2]
                figures.loads.setdefault(title, {})[name] = best
    shutil.rmtree(work, ignore_errors=True)
    return figures


def rows(figures: WorkerFigures) -> Iterator[tuple[str, ...]]:
    """Yield a table: requests a second and CPU for each, and how they compare."""
    yield ("load", ONE, TWO, "two to one", "target", REFERENCE, "two to the reference", "target")
    for title, by_name in figures.loads.items():
        one, two, theirs = (by_name.get(name) for name in (ONE, TWO, REFERENCE))
        yield (
            title,
            _shown(one),
            _shown(two),
            _ratio(two, one),
            "≥ 1.6×",
            _shown(theirs),
            _ratio(two, theirs),
            "≥ 12×" if title == CREATE else "–",
        )


def _with_workers(data: Path, workers: int) -> Launch:
    launch = on_directory(data)
    return replace(launch, environment={**launch.environment, "PDS_WORKERS": str(workers)})


def _load(server: Server, title: str, accounts: int, seconds: float, tags: Iterator[int]) -> Loaded:
    before_s = _cpu_s(server.pid)
    if title == CREATE:
        result = _create(server, accounts, seconds, next(tags))
    else:
        paths = list(map(_PATHS[title], range(accounts)))
        result = load.get(server, paths, connections=_CONNECTIONS, seconds=seconds)
    spent_s = _cpu_s(server.pid) - before_s
    return Loaded(result.requests_s, spent_s / (result.requests_s * seconds) * 1e6)


def _create(server: Server, accounts: int, seconds: float, tag: int) -> load.Result:
    tokens = SessionTokens(jwt_secret=SECRET, service_did=_SERVICE_DID)
    headers = [
        f"Bearer {tokens.create_access(did, SessionScope.ACCESS)}" for did in _dids(accounts)
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".requests") as file:
        for number in range(int(seconds * _MOST_PER_S)):
            account = number * 7919 % accounts
            record = post(number) | {"tags": [f"{tag}-{number}"]}
            body = {"repo": did_of(account), "collection": COLLECTION, "record": record}
            columns = ("POST", "/xrpc/com.atproto.repo.createRecord", "application/json")
            file.write("\t".join((*columns, headers[account], "", orjson.dumps(body).decode())))
            file.write("\n")
        file.flush()
        return load.replay(server, file.name, connections=_CONNECTIONS, seconds=seconds)


def _dids(accounts: int) -> Sequence[Did]:
    return [did_of(number) for number in range(accounts)]


def _xrpc(nsid: str, **parameters: str) -> str:
    return f"/xrpc/{nsid}?{urlencode(parameters)}"


_RKEYS: Final = rkeys_of(_POSTS)
_PATHS: Final[Mapping[str, Paths]] = {
    GET: lambda n: _xrpc(
        "com.atproto.repo.getRecord",
        repo=did_of(n),
        collection=COLLECTION,
        rkey=_RKEYS[n % _POSTS],
    ),
    LIST: lambda n: _xrpc(
        "com.atproto.repo.listRecords", repo=did_of(n), collection=COLLECTION, limit="50"
    ),
    REPO: lambda n: _xrpc("com.atproto.sync.getRepo", did=did_of(n)),
}


def _cpu_s(pid: int) -> float:
    return sum(cpu_s_of(each)[0] for each in processes_of(pid))


def _shown(one: Loaded | None) -> str:
    return "–" if one is None else f"{one.requests_s:,.0f}/s, {one.cpu_us:,.0f} µs"


def _ratio(one: Loaded | None, other: Loaded | None) -> str:
    return "–" if one is None or other is None else f"{one.requests_s / other.requests_s:.2f}×"
