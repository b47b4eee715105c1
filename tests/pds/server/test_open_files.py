"""When the limit of open files is reached: what is refused, with what words, and what goes on."""

from __future__ import annotations

import errno
import logging

import pytest

from database import open_files
from database.errors import DatabaseOutOfFiles
from pds.monitoring.health.probes import DirectoryProbe
from pds.xrpc.error_map import to_xrpc
from tests.pds.conftest import Account, Pds

MESSAGE = "The server has reached its limit of open files. Try again later."


def use_up(pds: Pds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server have as many files open as it may."""
    monkeypatch.setattr(open_files, "WAIT_S", 0.02)
    monkeypatch.setattr("database.retry.DELAYS_MS", (1, 1))
    files = pds.ctx.open_files
    monkeypatch.setattr(files, "_count", lambda: files.limit)
    files.note_opened(files.limit)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files", "/data/blobs/x"),
        OSError(errno.ENFILE, "Too many open files in system"),
        open_files.OutOfFiles(1_024),
        DatabaseOutOfFiles("/data/store.sqlite", "unable to open"),
    ],
)
def test_too_many_open_files_are_a_reason_to_try_again_later(error: Exception) -> None:
    answer = to_xrpc(error)
    assert (answer.status, answer.name, answer.message) == (503, "NotEnoughResources", MESSAGE)
    assert answer.retry_after_s is not None


async def test_what_is_open_already_is_served_and_the_rest_refused(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    blob = (await pds.upload(alice, b"\x89PNG\r\n\x1a\n" + bytes(100))).json["blob"]
    await pds.create_record(alice, "com.example.note", {"picture": blob}, validate=False)
    use_up(pds, monkeypatch)
    latest = await pds.get("com.atproto.sync.getLatestCommit", did=alice.did)
    assert latest.status == 200
    params = {"did": alice.did, "cid": blob["ref"]["$link"]}
    with caplog.at_level(logging.WARNING):
        for refused in (
            await pds.get("com.atproto.sync.getRepo", did=alice.did),
            await pds.get("com.atproto.sync.getBlob", **params),
            await pds.get("com.atproto.server.checkAccountStatus", alice.auth),
            await pds.upload(alice, b"more"),
        ):
            assert refused.error == (503, "NotEnoughResources")
            assert refused.json["message"] == MESSAGE
            assert refused.headers["Retry-After"]
    assert "LimitNOFILE" in caplog.text
    assert (await pds.get("_health")).status == 200
    monkeypatch.undo()
    assert (await pds.get("com.atproto.sync.getRepo", did=alice.did)).status == 200
    assert (await pds.get("com.atproto.sync.getBlob", **params)).status == 200


async def test_an_account_that_cannot_be_opened_for_lack_of_files_is_not_damaged(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    pds.ctx.actor_store.open_stores.discard(alice.did)
    use_up(pds, monkeypatch)
    refused = await pds.get("com.atproto.sync.getLatestCommit", did=alice.did)
    assert refused.error == (503, "NotEnoughResources")
    assert pds.ctx.unfinished.damaged == set()
    monkeypatch.undo()
    assert (await pds.get("com.atproto.sync.getLatestCommit", did=alice.did)).status == 200


async def test_health_names_the_limit_and_not_the_disk(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = DirectoryProbe("blob directory", pds.ctx.settings.data_directory, needed_bytes=1)

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    (failure,) = probe.failures()
    assert failure.reason.endswith("Too many open files")
    assert "LimitNOFILE" in failure.remedy
    assert "disk" not in failure.remedy
