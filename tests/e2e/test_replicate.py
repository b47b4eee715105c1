"""`pds serve --replicate` in real processes: what starts, ends and is started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

import pyrage

from tests.e2e.replicating_server import ReplicatingServer, is_running, wait_until
from tests.processes import clean_environment, free_port, run_pds
from tests.warm_python import start_python


def test_an_orderly_stop_sends_the_last_writes(
    replicated: ReplicatingServer, tmp_path: Path
) -> None:
    session = replicated.sign_up("alice")
    replicated.until_sent()
    for number in range(20):
        replicated.post(session, f"note-{number}")
    replicated.stop()
    status = replicated.status()
    assert status is not None
    assert (status.state, status.actors.dirty) == ("stopped", 0)
    assert not is_running(status.pid)
    replicated.run(
        "restore", "--from", replicated.url, "--to", str(tmp_path / "copy"), "--no-recovery"
    )
    (store,) = (tmp_path / "copy").glob("actors/*/*/store.sqlite")
    with closing(sqlite3.connect(store)) as db:
        assert db.execute("SELECT count(*) FROM record").fetchone() == (20,)
    done = run_pds("doctor", "--offline", "--json", env=replicated.environ | {"PDS_PORT": "0"})
    assert done.returncode == 0, done.stdout


def test_a_replicator_that_dies_is_started_again_and_one_without_its_server_ends(
    replicated: ReplicatingServer,
) -> None:
    session = replicated.sign_up("alice")
    first = replicated.until_sent().pid
    os.kill(first, signal.SIGKILL)
    replicated.post(session, "meanwhile")
    second = replicated.until_sent().pid
    assert second != first
    assert "replication has ended and is started again" in replicated.log()
    assert replicated.server is not None
    replicated.server.kill()
    wait_until(lambda: not is_running(second), replicated.log)
    # The next one takes the replica over at once, on the same directory.
    replicated.start()
    replicated.post(session, "later")
    assert replicated.until_sent().pid not in (first, second)


def test_a_server_serves_although_it_cannot_be_replicated(replicated: ReplicatingServer) -> None:
    session = replicated.sign_up("alice")
    replicated.until_sent()
    replicated.stop()
    replicated.more["PDS_REPLICATION_KEY_PASSPHRASE"] = "of another server"
    replicated.more["PDS_METRICS_PORT"] = str(free_port())
    replicated.start()
    replicated.post(session, "although")
    wait_until(lambda: "nothing is replicated" in replicated.log(), replicated.log)
    assert replicated.notes(session["did"]) == {"although"}
    assert replicated.server is not None
    with urllib.request.urlopen(f"{replicated.server.url}/xrpc/_health") as response:  # noqa: S310
        assert response.status == 200
    done = run_pds("replicate", "status", env=replicated.environ)
    assert (done.returncode, "is not the passphrase of this replica" in done.stdout) == (1, True)
    metrics = f"http://127.0.0.1:{replicated.more['PDS_METRICS_PORT']}/metrics"
    with urllib.request.urlopen(metrics) as response:
        assert b"\nholdfast_replication_up 0.0\n" in response.read()
    # The right one again: what was written meanwhile is sent.
    replicated.stop()
    del replicated.more["PDS_REPLICATION_KEY_PASSPHRASE"]
    replicated.start()
    replicated.until_sent()
    assert replicated.run("replicate", "verify", "--all")["sound"]


def test_server_and_replication_start_and_stop_in_any_order(replicated: ReplicatingServer) -> None:
    session = replicated.sign_up("alice")
    replicated.stop()
    replicated.more["PDS_REPLICATION_WITH_SERVER"] = "false"
    replicated.more["PDS_REPLICATION_URL"] = replicated.url
    alone = start_python(
        [sys.executable, "-m", "pds", "replicate", "--to", replicated.url],
        env=clean_environment(
            {**replicated.environ, "LOG_DESTINATION": str(replicated.directory / "log")}
        ),
    )
    try:
        replicated.until_sent()
        # It has the databases open, and is no other server.
        replicated.start(replicates=False)
        replicated.post(session, "one")
        assert replicated.until_sent().pid == alone.pid
        done = run_pds("doctor", "--offline", "--json", env=replicated.environ)
        findings = {one["check"]: one for one in json.loads(done.stdout)["findings"]}
        assert findings["server"]["status"] == "ok", findings["server"]
        assert findings["replication"]["status"] == "ok", findings["replication"]
        refused = run_pds("replicate", "--to", replicated.url, env=replicated.environ)
        assert refused.returncode == 1
        assert f"is being replicated already (pid {alone.pid})" in refused.stderr
        replicated.stop()
        assert alone.poll() is None
    finally:
        alone.send_signal(signal.SIGTERM)
        assert alone.wait(60) == 0
    status = replicated.status()
    assert status is not None
    assert status.state == "stopped"


def test_keys_that_are_sealed_for_the_operator_need_the_identity(
    replicated: ReplicatingServer, tmp_path: Path
) -> None:
    replicated.stop()
    shutil.rmtree(replicated.data)
    shutil.rmtree(tmp_path / "replica")
    (tmp_path / "replica").mkdir()
    identity = pyrage.x25519.Identity.generate()
    file = tmp_path / "identity.txt"
    file.write_text(f"# of the operator\n{identity}\n")
    recipient = str(identity.to_public())
    sealed = {"PDS_REPLICATION_KEY_PASSPHRASE": "", "PDS_REPLICATION_KEY_RECIPIENT": recipient}
    replicated.more.update(sealed)
    replicated.start()
    replicated.sign_up("alice")
    replicated.until_sent()
    words = ("restore", "--from", replicated.url, "--no-recovery", "--to")
    refused = run_pds(*words, str(tmp_path / "copy"), env=replicated.environ)
    assert (refused.returncode, "--identity" in refused.stderr) == (1, True), refused.stderr
    assert not (tmp_path / "copy").exists()
    report = replicated.run(*words, str(tmp_path / "copy"), "--identity", str(file))
    assert report["totals"]["keys"] == 1
    told = replicated.run("replicate", "verify", "--all")
    assert (told["sound"], told["keysChecked"]) == (True, False)
    told = replicated.run("replicate", "verify", "--all", "--identity", str(file))
    assert (told["sound"], told["keysChecked"]) == (True, True)
