"""`full` beside `normal` durability: `python -m benchmarks.durability`.

createRecord over 64 accounts on 64 connections, on this disk with both settings, and with `full` on
a disk whose syncs take five milliseconds more; there also reads, alone and beside writes. The
servers take turns, and the median of the rounds counts.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from statistics import median
from threading import Thread
from typing import Final
from urllib.parse import urlencode

import orjson

from benchmarks import load
from benchmarks.seed import COLLECTION, Repo, create_repo, post
from benchmarks.servers import Launch, Server, holdfast, running

ACCOUNTS: Final = 64
_CONNECTIONS: Final = 64
_SLOW_MS: Final = 5
_ROUNDS: Final = 5
_SECONDS: Final = 5.0
_MOST_PER_S: Final = 3_000


def launch(durability: str, *, slow_ms: int = 0) -> Launch:
    """Holdfast with a durability, perhaps on a slow disk, in a directory of its own."""
    made = holdfast()
    data = made.data.with_name(f"{durability}-{slow_ms}")
    data.mkdir(exist_ok=True)
    own = [word.replace(str(made.data), str(data)) for word in made.command]
    if slow_ms:
        module = [sys.executable, "-m", "benchmarks.slow_disk", str(slow_ms)]
        own = module + own[own.index("dev") :]
    environment = {
        name: value.replace(str(made.data), str(data)) for name, value in made.environment.items()
    }
    return replace(
        made,
        command=tuple(own),
        environment=environment | {"PDS_DURABILITY": durability},
        data=data,
    )


@contextmanager
def writes(repos: Sequence[Repo], seconds: float) -> Iterator[str]:
    """A file of createRecord for each account in turn, more than can be answered in the time."""
    tag = secrets.token_hex(4)
    with tempfile.NamedTemporaryFile("wb", suffix=".requests") as file:
        for number in range(int(seconds * _MOST_PER_S)):
            repo = repos[number % len(repos)]
            record = post(number) | {"text": f"Post {tag} number {number}."}
            body = {"repo": repo.did, "collection": COLLECTION, "record": record}
            words = (
                b"POST",
                b"/xrpc/com.atproto.repo.createRecord",
                b"application/json",
                b"Bearer " + repo.token.encode(),
                b"",
                orjson.dumps(body),
            )
            file.write(b"\t".join(words) + b"\n")
        file.flush()
        yield file.name


def measure_writes(server: Server, repos: Sequence[Repo]) -> float:
    """Records a second."""
    with writes(repos, _SECONDS) as file:
        return load.replay(server, file, connections=_CONNECTIONS, seconds=_SECONDS).requests_s


def measure_reads(server: Server, repos: Sequence[Repo]) -> load.Result:
    """One read after another, as a person makes them."""
    query = urlencode({"repo": repos[0].did, "collection": COLLECTION, "rkey": repos[0].rkeys[0]})
    path = f"/xrpc/com.atproto.repo.getRecord?{query}"
    return load.get(server, [path], connections=1, seconds=_SECONDS)


def main() -> None:
    """Measure, and print a line for each figure."""
    load.require_wrk()
    launches = {
        "normal": launch("normal"),
        "full": launch("full"),
        "slow": launch("full", slow_ms=_SLOW_MS),
    }
    with ExitStack() as stack:
        servers = {name: stack.enter_context(running(one)) for name, one in launches.items()}
        repos = {
            name: [create_repo(server, f"bench{number}", 20) for number in range(ACCOUNTS)]
            for name, server in servers.items()
        }
        found: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(_ROUNDS):
            for name, server in servers.items():
                found[name].append(measure_writes(server, repos[name]))
        rates = {name: median(results) for name, results in found.items()}
        alone = measure_reads(servers["slow"], repos["slow"])
        writing = Thread(target=measure_writes, args=(servers["slow"], repos["slow"]))
        writing.start()
        beside = measure_reads(servers["slow"], repos["slow"])
        writing.join()
    print(f"createRecord/s with normal: {rates['normal']:,.0f}")
    print(f"createRecord/s with full: {rates['full']:,.0f}; {rates['full'] / rates['normal']:.2f}×")
    print(f"createRecord/s with full, syncs of {_SLOW_MS} ms: {rates['slow']:,.0f}")
    print(f"getRecord there, alone: p50 {alone.p50_ms:.2f} ms, p99 {alone.p99_ms:.2f} ms")
    print(f"getRecord there, beside writes: p50 {beside.p50_ms:.2f} ms, p99 {beside.p99_ms:.2f} ms")


if __name__ == "__main__":
    main()
