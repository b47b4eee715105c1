"""What is measured, and how much better than the reference Holdfast means to be."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import urlencode

from benchmarks.seed import COLLECTION, Repo

RepoName: TypeAlias = Literal["small", "reads", "large"]
Unit: TypeAlias = Literal["requests/s", "MB/s"]

SIZES: Final[dict[RepoName, int]] = {"small": 1_000, "reads": 10_000, "large": 100_000}
"""Records in each repository."""
QUICK_SIZES: Final[dict[RepoName, int]] = {"small": 200, "reads": 1_000, "large": 4_000}

_CYCLED: Final = 5_000
"""How many different records getRecord asks for."""


@dataclass(slots=True, frozen=True)
class Scenario:
    """One kind of request under load."""

    name: str
    title: str
    repo: RepoName
    connections: int
    target: float | None
    """How many times the reference's figure is aimed at; None where there is no comparison."""
    paths: Callable[[Repo], list[str]] | None = None
    """What to GET in turn; None means createRecord."""
    unit: Unit = "requests/s"


def _xrpc(method: str, **params: str | int) -> str:
    return f"/xrpc/{method}?{urlencode(params)}"


def _records(method: str, account: str) -> Callable[[Repo], list[str]]:
    """Paths of records from all over the repository, in an order that is random but the same."""

    def paths(repo: Repo) -> list[str]:
        rkeys = random.Random(0).sample(repo.rkeys, min(_CYCLED, len(repo.rkeys)))
        return [
            _xrpc(method, **{account: repo.did}, collection=COLLECTION, rkey=rkey) for rkey in rkeys
        ]

    return paths


GET_RECORD: Final = Scenario(
    "getRecord",
    "repo.getRecord, records at random",
    "reads",
    16,
    8.0,
    _records("com.atproto.repo.getRecord", "repo"),
)
SCENARIOS: Final = (
    GET_RECORD,
    Scenario(
        "listRecords",
        "repo.listRecords, limit 50",
        "reads",
        16,
        5.0,
        lambda repo: [
            _xrpc("com.atproto.repo.listRecords", repo=repo.did, collection=COLLECTION, limit=50)
        ],
    ),
    Scenario(
        "describeRepo",
        "repo.describeRepo",
        "reads",
        16,
        8.0,
        lambda repo: [_xrpc("com.atproto.repo.describeRepo", repo=repo.did)],
    ),
    Scenario(
        "resolveHandle",
        "identity.resolveHandle",
        "reads",
        16,
        3.0,
        lambda repo: [_xrpc("com.atproto.identity.resolveHandle", handle=repo.handle)],
    ),
    Scenario(
        "getLatestCommit",
        "sync.getLatestCommit",
        "reads",
        16,
        8.0,
        lambda repo: [_xrpc("com.atproto.sync.getLatestCommit", did=repo.did)],
    ),
    Scenario(
        "sync.getRecord",
        "sync.getRecord, records at random",
        "reads",
        16,
        5.0,
        _records("com.atproto.sync.getRecord", "did"),
    ),
    Scenario(
        "getRepo",
        "sync.getRepo, one download after another",
        "reads",
        1,
        6.0,
        lambda repo: [_xrpc("com.atproto.sync.getRepo", did=repo.did)],
        unit="MB/s",
    ),
    Scenario("createRecord", "repo.createRecord, one account", "reads", 8, 8.0),
    Scenario("createRecord-small", "repo.createRecord, one account", "small", 8, 8.0),
    Scenario("createRecord-large", "repo.createRecord, one account", "large", 8, None),
)

CARS: Final = "cars"
"""What `--only` calls the work on CAR files."""
CAR_RECORDS: Final = 100_000
QUICK_CAR_RECORDS: Final = 4_000

MEMORY_TARGET: Final = 1 / 3
"""The share of the reference's resident memory, after the run, that Holdfast means to need."""
GROWTH_TARGET: Final = 1 / 1.5
"""createRecord in the large repo against the small one: the share of its speed that must remain."""
IMPORT_TARGET: Final = 10.0
"""How many times faster than the reference's importRepo a CAR is imported, or loaded read-only."""
INSPECT_TARGET_S: Final = 3.0
"""How long `pds car inspect` may take."""
READONLY_TARGET: Final = 0.95
"""getRecord read-only against the full server: as fast, but for what two loads differ anyway."""

ACCOUNTS: Final = "accounts"
WORKERS: Final = "workers"
FIREHOSE: Final = "firehose"
"""What `--only` calls the runs with many accounts."""
S3: Final = "s3"
"""What `--only` calls the sending of a blob to S3 and back."""
S3_TARGET: Final = 0.8
"""Of aiobotocore's own speed."""
OAUTH: Final = "oauth"
"""What `--only` calls the loads of OAuth."""
OAUTH_TARGET: Final = 4.0
"""How many times faster than the reference clients are answered."""
OAUTH_CREATE_TARGET: Final = 1 / 1.35
"""createRecord with an OAuth token against one with a session: the share that must remain."""
HOLD: Final = "hold"
"""What `--only` calls the loads of a hold."""
HOLD_CREW: Final = (10, 10_000)
"""Members of its crew, one load each."""
QUICK_HOLD_CREW: Final = (10, 400)
GET_BLOB_TARGET: Final = 3_000.0
"""Presigned downloads a second, each authorised."""
CREW_TARGET: Final = 0.9
"""The large crew against the small one: as fast, but for what two loads differ anyway."""
PULLS_TARGET: Final = 2_000.0
"""Counted pulls a second."""
COMMITS_TARGET: Final = 1.0
"""Commits a second that these pulls may cost at most; so for each repository, too."""
