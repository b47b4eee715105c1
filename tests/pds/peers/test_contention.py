"""Several processes that write to the same files at once: each write is made, and none waits long.

The test of three processes takes some seconds, because it starts them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from database.opening import open_database
from identity.did_cache import DidCache
from pds.accounts.schema import open_account_database
from tests.pds.peers import contender
from tests.processes import clean_environment
from tests.warm_python import start_python

PROCESSES = 3
ROUNDS = 400
LONGEST_S = 2.5
"""Half the time after which a write gives up."""


def test_three_processes_write_to_the_service_database_and_the_did_cache(tmp_path: Path) -> None:
    open_account_database(tmp_path / "account.sqlite").close()
    DidCache.open(tmp_path / "did_cache.sqlite").close()
    running = [
        start_python(
            [sys.executable, "-m", contender.__name__, str(tmp_path), f"p{n}", str(ROUNDS)],
            env=clean_environment({"PYTHONPATH": str(Path.cwd())}),
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(PROCESSES)
    ]
    outputs = []
    for process in running:
        with process:
            outputs.append(process.communicate(timeout=60)[0])
    assert [process.returncode for process in running] == [0] * PROCESSES
    assert max(map(float, outputs)) < LONGEST_S
    for file, table in (("account.sqlite", "email_token"), ("did_cache.sqlite", "did_doc")):
        db = open_database(tmp_path / file)
        assert db.value(f"SELECT count(*) FROM {table}") == PROCESSES * ROUNDS
        db.close()
