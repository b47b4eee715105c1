"""How Holdfast does with more and more accounts: `python -m benchmarks --only accounts`.

The same is done with each number of accounts: start, ask, list, examine, copy, crash. What a
request costs must not depend on the number; what is about all accounts may grow as it does.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

import orjson

from benchmarks.many_accounts import PASSWORD, did_of, handle_of, make_accounts, measure_footprint
from benchmarks.memory import OpenStores, measure_open_stores
from benchmarks.retention import RetentionFigures, measure_retention
from benchmarks.seed import COLLECTION, RequestFailed, rkeys_of
from benchmarks.servers import (
    PDS,
    SECRET,
    WORK,
    Launch,
    Server,
    on_directory,
    running,
    started,
    wait_until_ready,
)
from benchmarks.supervised import cpu_s_of, supervised

NUMBERS: Final = (1_000, 10_000, 100_000)
QUICK_NUMBERS: Final = (100, 1_000)
_STARTS: Final = 3
_ASKED: Final = 400
"""Requests of each kind."""
_LOGINS: Final = 20
_PAGES: Final = 200
_IDLE_S: Final = 0.5
_LOGIN: Final = "/xrpc/com.atproto.server.createSession"


@dataclass(slots=True, frozen=True)
class Took:
    """How long something has taken."""

    seconds: float
    cpu_s: float
    """CPU of the process that did it, which other work on the machine affects less."""


@dataclass(slots=True, frozen=True)
class Answers:
    """Requests of one kind, one after another."""

    p50_ms: float
    p99_ms: float
    cpu_us: float
    """CPU of the server for each."""


@dataclass(slots=True)
class AccountFigures:
    """What was measured with one number of accounts."""

    accounts: int
    made_s: float = 0.0
    files: int = 0
    inodes: int = 0
    size_bytes: int = 0
    work: dict[str, Took] = field(default_factory=dict)
    """What is done once, by its title."""
    asked: dict[str, Answers] = field(default_factory=dict)
    """Requests, by their title."""
    stores: OpenStores | None = None
    """What many open stores take."""
    retention: RetentionFigures | None = None
    """The deletion of all events."""


START: Final = "start to first answer"
COLD: Final = "repo.getRecord, first of its account"
WARM: Final = "repo.getRecord, again"


def measure_accounts(
    numbers: Sequence[int], work: Path = WORK / "accounts"
) -> list[AccountFigures]:
    """Make data directories with so many accounts, one after the other, and measure each."""
    return [_measure(number, work) for number in numbers]


def _measure(accounts: int, work: Path) -> AccountFigures:
    shutil.rmtree(work, ignore_errors=True)
    figures, data = AccountFigures(accounts), work / "data"
    started_s = time.monotonic()
    make_accounts(data, accounts)
    figures.made_s = time.monotonic() - started_s
    found = measure_footprint(data)
    figures.files, figures.inodes, figures.size_bytes = found.files, found.inodes, found.size_bytes
    measure_directory(figures, data)
    shutil.rmtree(work, ignore_errors=True)
    return figures


def measure_directory(figures: AccountFigures, data: Path) -> None:
    """Measure a data directory of such accounts."""
    launch, note = on_directory(data), figures.work
    # The first start makes tables, and what the machine keeps of files in memory.
    with running(launch):
        pass
    note[START] = min((_start(launch) for _ in range(_STARTS)), key=lambda took: took.seconds)
    with running(launch) as server:
        for title, answers in _ask(server, figures.accounts):
            figures.asked[title] = answers
    with running(launch) as server:
        figures.stores = _read_many(server, figures.accounts)
    note["pds account list"] = _command(launch, "account", "list")
    note["pds doctor --offline"] = _command(launch, "doctor", "--offline")
    note["start after kill -9"] = _start_after_crash(launch)
    figures.retention = measure_retention(data / "sequencer.sqlite", data.parent)
    note["first copy, pds replicate"] = _first_copy(data, figures.accounts)


def _start(launch: Launch) -> Took:
    started_s = time.monotonic()
    with started(launch) as process:
        wait_until_ready(process, launch)
        return Took(time.monotonic() - started_s, cpu_s_of(process.pid)[0])


def _start_after_crash(launch: Launch) -> Took:
    with started(launch) as process:
        wait_until_ready(process, launch)
        process.kill()
        process.wait()
    return _start(launch)


def _command(launch: Launch, *words: str) -> Took:
    before, started_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [*PDS, *words, "--env-file", os.devnull],
        env=launch.environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.monotonic() - started_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(seconds, cpu_s)


def _first_copy(data: Path, accounts: int) -> Took:
    replica = data.parent / "replica"
    shutil.rmtree(replica, ignore_errors=True)
    replica.mkdir()
    started_s = time.monotonic()
    log = data.parent / "replication.log"
    with supervised(data, f"file://{replica}", log=log, hot_set=500) as made:
        made.until(
            lambda status: (
                status.totals.sweeps > 0
                and status.actors.known == accounts
                and not status.actors.dirty
            )
        )
        took = Took(time.monotonic() - started_s, sum(made.cpu_s()))
    shutil.rmtree(replica)
    return took


def _ask(server: Server, accounts: int) -> Iterator[tuple[str, Answers]]:
    """Send requests of each kind about accounts at random."""
    some = random.Random(accounts).sample(range(accounts), min(_ASKED, accounts // 2))
    records = [_record_of(n) for n in some]
    with closing(_Client(server)) as client:
        yield COLD, client.ask(records)
        yield WARM, client.ask(records)
        pages = list(islice(cycle(_pages_of_repos(client)), _PAGES))
        yield "sync.listRepos, a page of 500", client.ask(pages)
        handles = [_xrpc("com.atproto.identity.resolveHandle", handle=handle_of(n)) for n in some]
        yield "identity.resolveHandle", client.ask(handles)
        logins = [{"identifier": handle_of(n), "password": PASSWORD} for n in some[:_LOGINS]]
        yield "server.createSession", client.ask([_LOGIN] * len(logins), logins)
        client.sign_in()
        # The overview has all files measured, in the background and once in a while.
        client.request("/admin")
        client.wait_until_idle()
        for kind, words in (
            ("handle", [handle_of(n)[:9] for n in some]),
            ("address", [f"user{n}@" for n in some]),
            ("DID", [did_of(n)[:12] for n in some]),
        ):
            paths = [f"/admin/accounts?{urlencode({'q': word})}" for word in words]
            yield f"/admin/accounts, by {kind}", client.ask(paths)
        yield "/admin", client.ask(["/admin"] * len(some))


def _read_many(server: Server, accounts: int) -> OpenStores:
    """Read accounts at random, most of them, if there are not too many."""
    numbers = random.Random(1).sample(range(accounts), accounts)
    with closing(_Client(server)) as client:
        client.request(_record_of(numbers.pop()))  # Loads what any first request loads.
        return measure_open_stores(server.pid, [*map(_record_of, numbers)], client.request)


def _record_of(number: int) -> str:
    return _xrpc(
        "com.atproto.repo.getRecord",
        repo=did_of(number),
        collection=COLLECTION,
        rkey=rkeys_of(1)[0],
    )


def _pages_of_repos(client: _Client) -> Iterator[str]:
    """Yield the paths of all pages of listRepos that are full."""
    path = _xrpc("com.atproto.sync.listRepos", limit=500)
    while "cursor" in (page := orjson.loads(client.request(path))):
        yield path
        path = _xrpc("com.atproto.sync.listRepos", limit=500, cursor=page["cursor"])


def _xrpc(method: str, **params: str | int) -> str:
    return f"/xrpc/{method}?{urlencode(params)}"


class _Client:
    """One connection to a server, on which one request follows another."""

    def __init__(self, server: Server) -> None:
        self._pid = server.pid
        self._connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        self._cookies: dict[str, str] = {}

    def close(self) -> None:
        self._connection.close()

    def ask(self, paths: Sequence[str], bodies: Sequence[object] | None = None) -> Answers:
        """Send requests one after another, with a JSON body each if there are any."""
        times_s = []
        before_s = cpu_s_of(self._pid)[0]
        for number, path in enumerate(paths):
            body = None if bodies is None else orjson.dumps(bodies[number])
            started_s = time.perf_counter()
            self.request(path, body, "application/json")
            times_s.append(time.perf_counter() - started_s)
        cpu_s = cpu_s_of(self._pid)[0] - before_s
        times_s.sort()
        return Answers(
            1000 * times_s[len(times_s) // 2],
            1000 * times_s[len(times_s) * 99 // 100],
            1e6 * cpu_s / len(paths),
        )

    def request(self, path: str, body: bytes | None = None, content_type: str = "") -> bytes:
        """Return the body of an answer. Raises `RequestFailed`."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if body is not None:
            headers |= {"Content-Type": content_type, "Sec-Fetch-Site": "same-origin"}
        self._connection.request("GET" if body is None else "POST", path, body, headers)
        response = self._connection.getresponse()
        answer = response.read()
        for cookie in response.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        if response.status not in (200, 303):
            raise RequestFailed(f"{path} answered {response.status}: {answer[:200]!r}")
        return answer

    def wait_until_idle(self) -> None:
        """Wait until the server does nothing on its own."""
        before_s, now_s = -1.0, cpu_s_of(self._pid)[0]
        while now_s - before_s > _IDLE_S / 10:
            time.sleep(_IDLE_S)
            before_s, now_s = now_s, cpu_s_of(self._pid)[0]

    def sign_in(self) -> None:
        """Sign in as the administrator. Raises `RequestFailed`."""
        page = "/admin/sign-in"
        found = re.search(rb'name="csrf" value="([0-9a-f]+)"', self.request(page))
        if found is None:
            raise RequestFailed(f"{page} has no form")
        form = urlencode({"csrf": found[1].decode(), "password": SECRET}).encode()
        self.request(page, form, "application/x-www-form-urlencoded")
