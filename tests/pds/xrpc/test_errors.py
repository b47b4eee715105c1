"""Errors: that each has an answer on purpose, and that no answer tells what it should not."""

from __future__ import annotations

import errno
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

from actor_store import errors as actor_errors
from actor_store.blob_store import base as blob_errors
from actor_store.blob_store.base import BlobStoreError
from actor_store.errors import ActorStoreError
from database import errors as database_errors
from database.errors import DatabaseError
from identity.did_document import InvalidDidDocument
from identity.plc import PlcError
from pds.accounts.errors import AccountError, InvalidToken, UnknownAccount
from pds.accounts.invite_codes import InvalidInviteCursor
from pds.administration.second_factor import TooManyWrongCodes as TooManyAdminCodes
from pds.config import ConfigError
from pds.config.mail_address import InvalidMailAddress
from pds.config.mail_url import InvalidMailUrl
from pds.crawlers import CrawlNotRequested
from pds.disk.data_directory import DataDirectoryHeld, DirectoryIsStandby
from pds.disk.other_server import DirectoryInUse
from pds.disk.sizes import MeasuringStopped
from pds.fairness.presence import ClientLeft
from pds.hold.errors import HOLD_ERRORS
from pds.jose.jwk import InvalidJwk
from pds.jose.jwks import InvalidJwks
from pds.jose.jwt import InvalidJwt
from pds.lifecycle.errors import DidMismatch
from pds.lifecycle.migration.errors import OtherServerRefused
from pds.lifecycle.migration.servers import BlobNotTaken
from pds.oauth.clients.signed import UnknownKey
from pds.oauth.clients.uris import InvalidUri
from pds.oauth.errors import OAuthError
from pds.oauth.permission_sets.document import InvalidLexiconDocument
from pds.oauth.permission_sets.errors import LexiconUnavailable
from pds.oauth.permission_sets.proof import NotProven
from pds.oauth.replay.errors import ReplayStoreFailed
from pds.peers.channel import ChannelClosed
from pds.peers.link import PeerGone
from pds.pending.import_turns import ImportUnderWay
from pds.readonly.handles_file import InvalidHandlesFile
from pds.repos.errors import ImportRefused
from pds.repos.zipped import WrongSize
from pds.service_auth.jwt import BadJwt, ServiceJwtError
from pds.web.pages.fields import InvalidForm
from pds.xrpc.error_map import XRPC_ERRORS, to_xrpc
from pds.xrpc.errors import DEFAULT_ERRORS, XrpcError
from repo.car import NotACar
from repo.commit import InvalidCommit
from repo.dagcbor import InvalidDagCbor
from repo.keys import InvalidKey
from repo.lexicon.errors import Mismatch
from repo.mst import KeyExists, KeyMissing, MissingBlock
from repo.record import InvalidRecord
from repo.tid import InvalidTid
from tests.pds.conftest import Account, Pds

PACKAGES = ("repo", "database", "actor_store", "sequencer", "identity", "pds")
TREES = (ActorStoreError, AccountError, DatabaseError, BlobStoreError, ServiceJwtError)
ABOVE_XRPC = frozenset(
    (
        *("xrpc", "proxy", "read_after_write", "api", "entryway", "web", "metrics"),
        *("replication", "server", "readonly", "car", "doctor", "dev", "cli", "__main__"),
    )
)
"""Rooms of `pds` that may raise an `XrpcError`, or answer no requests."""
INTERNAL: dict[type[Exception], str] = {
    OtherServerRefused: "a problem of a move, on its pages only",
    BlobNotTaken: "becomes a file that is missing after a move",
    WrongSize: "the store sends other bytes than it has said: a download is broken off",
    ChannelClosed: "becomes `PeerGone`",
    TooManyAdminCodes: "only on the administrator's pages, which tell what to do",
    blob_errors.BlobFileMissing: "getBlob and commits answer for it; else the disk lost a file",
    blob_errors.BlobObjectChanged: "only for writers with a condition, which no request is",
    blob_errors.BlobObjectMissing: "a bucket's; the store makes a BlobFileMissing of it",
    blob_errors.InvalidBlobName: "DIDs and keys come from our own rows",
    database_errors.DatabaseClosed: "the server is stopping",
    database_errors.DatabaseMissing: "the disk is gone",
    database_errors.DatabaseForbidden: "the disk is not ours",
    database_errors.DatabaseDamaged: "the file must be restored",
    database_errors.DatabaseIoFailed: "the disk fails",
    database_errors.DatabaseUnsynced: "the disk fails",
    database_errors.ConstraintViolated: "a statement did not look before it wrote: a bug",
    database_errors.StatementFailed: "a bug",
    database_errors.SchemaTooNew: "refused at start",
    database_errors.SchemaGap: "refused at start",
    InvalidCommit: "a stored commit is damaged",
    InvalidDagCbor: "a stored block is damaged; records of clients are checked before",
    InvalidKey: "a key file is damaged; keys in DID documents are answered for",
    InvalidRecord: "becomes an InvalidRepo",
    InvalidForm: "becomes an InvalidRequest, or a page that says so",
    InvalidJwt: "becomes an InvalidToken or a BadJwt",
    InvalidJwk: "becomes an InvalidDpopProof; in a set, it is left out",
    InvalidJwks: "becomes an InvalidClientMetadata",
    InvalidUri: "becomes an error of the client's id, its metadata or its request",
    UnknownKey: "becomes an InvalidClient or an InvalidRequest",
    LexiconUnavailable: "the last known one is used, or it becomes an InvalidScope",
    InvalidLexiconDocument: "becomes a LexiconUnavailable or an InvalidScope",
    NotProven: "becomes a LexiconUnavailable",
    ReplayStoreFailed: "the store in memory, which is behind all others, does not",
    InvalidHandlesFile: "raised by `pds readonly` only",
    InvalidTid: "TIDs of clients are checked by the Lexicon",
    InvalidDidDocument: "becomes a DidResolutionError",
    KeyExists: "the actor store looks first",
    KeyMissing: "the actor store looks first",
    MissingBlock: "a stored tree is damaged",
    Mismatch: "becomes an InvalidLexicon",
    ConfigError: "refused at start",
    InvalidMailUrl: "refused at start",
    DataDirectoryHeld: "refused at start",
    DirectoryInUse: "refused at start",
    DirectoryIsStandby: "refused at start",
    MeasuringStopped: "the server is stopping",
    CrawlNotRequested: "becomes a line of the log",
    ClientLeft: "there is nobody to answer",
    InvalidMailAddress: "refused at start; the address of an account becomes an InvalidMail",
}
"""Classes that are a 500 on purpose, with the reason."""


def _modules(name: str) -> Iterator[ModuleType]:
    package = importlib.import_module(name)
    yield package
    for found in pkgutil.walk_packages(package.__path__, f"{name}."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def _is_below_xrpc(kind: type[Exception]) -> bool:
    package, _, inner = kind.__module__.partition(".")
    return package == "pds" and inner.partition(".")[0] not in ABOVE_XRPC


def _leaves() -> set[type[Exception]]:
    """Every public class of an error of ours that has no subclass.

    Of the rooms of `pds` below XRPC these are all; elsewhere those of our trees, and `ValueError`s.
    """
    ours = {
        kind
        for name in PACKAGES
        for module in _modules(name)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception)
        and kind.__module__.partition(".")[0] in PACKAGES
        and (issubclass(kind, (*TREES, ValueError)) or _is_below_xrpc(kind))
        and not kind.__name__.startswith("_")
    }
    return {kind for kind in ours if not any(issubclass(o, kind) for o in ours - {kind})}


def _is_mapped(kind: type[Exception]) -> bool:
    # `pds.web.oauth` answers for refusals, and `pds.xrpc.oauth_access` for those of tokens.
    if issubclass(kind, ServiceJwtError | OAuthError | XrpcError):
        return True
    return any(base in XRPC_ERRORS or base in HOLD_ERRORS for base in kind.__mro__)


# --- The table


def test_every_error_is_mapped_or_internal_on_purpose() -> None:
    leaves = _leaves()
    assert leaves >= {
        *(actor_errors.RepoNotFound, BadJwt, NotACar),
        *(DidMismatch, ImportRefused, ImportUnderWay, UnknownAccount),
    }, "the search finds too little"
    undecided = {kind for kind in leaves if not _is_mapped(kind)} - set(INTERNAL)
    assert undecided == set()


def test_what_is_internal_is_not_mapped() -> None:
    assert {kind for kind in INTERNAL if _is_mapped(kind)} == set()
    assert set(INTERNAL) <= _leaves(), "a reason has outlived its class"


def test_every_status_in_the_table_has_a_name() -> None:
    assert {status for status, _ in XRPC_ERRORS.values()} <= set(DEFAULT_ERRORS)


def test_an_error_is_mapped_by_its_nearest_ancestor() -> None:
    class Closer(InvalidToken):
        pass

    error = to_xrpc(Closer("no"))
    assert (error.status, error.name, error.message) == (400, "InvalidToken", "no")


@pytest.mark.parametrize(
    ("status", "expected"), [(400, 400), (404, 400), (429, 400), (500, 502), (503, 502)]
)
def test_errors_of_the_plc_directory_are_told_apart(status: int, expected: int) -> None:
    error = to_xrpc(PlcError(status, "the directory says so"))
    assert error.status == expected
    assert error.name == ("UpstreamFailure" if expected == 502 else "InvalidRequest")
    assert error.message == "the directory says so"


def test_an_error_that_nobody_foresaw_has_no_detail() -> None:
    error = to_xrpc(RuntimeError("the password was hunter2"))
    assert (error.status, error.name, error.message) == (
        500,
        "InternalServerError",
        "Internal Server Error",
    )


@pytest.mark.parametrize("status", sorted(DEFAULT_ERRORS))
def test_each_status_has_a_name_and_a_message(status: int) -> None:
    error = XrpcError(status)
    response = error.response()
    assert response.status == status
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert (error.name, error.message) == DEFAULT_ERRORS[status]


@pytest.mark.parametrize("kind", [database_errors.DatabaseBusy, database_errors.DatabaseFull])
def test_paths_of_the_server_are_not_told(kind: type[DatabaseError]) -> None:
    error = to_xrpc(kind("/data/account.sqlite", "the reason"))
    assert error.status == 503
    assert "/data" not in error.message
    assert "reason" not in error.message


def test_what_another_process_may_have_done_is_not_to_be_repeated() -> None:
    nothing_done, unclear = (to_xrpc(PeerGone(was_called=called)) for called in (False, True))
    assert (nothing_done.status, nothing_done.retry_after_s) == (503, 1)
    assert (unclear.status, unclear.retry_after_s) == (500, None)
    assert "not known" in unclear.message


def test_a_cursor_of_invite_codes_that_is_none_is_the_client_s_mistake() -> None:
    assert to_xrpc(InvalidInviteCursor("Malformed cursor")).status == 400


# --- Over HTTP


async def test_a_failure_is_named_by_an_id_and_nothing_else(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"secret of {alice.did}")

    monkeypatch.setattr(pds.ctx.accounts.app_passwords, "list", fail)
    messages = []
    for _ in range(2):
        reply = await pds.get("com.atproto.server.listAppPasswords", alice.auth)
        assert reply.error == (500, "InternalServerError")
        assert set(reply.json) == {"error", "message"}
        assert b"secret" not in reply.body
        assert b"Traceback" not in reply.body
        messages.append(reply.json["message"])
    assert all(message.startswith("Internal Server Error (request ") for message in messages)
    assert len(set(messages)) == 2


async def test_a_busy_database_is_a_reason_to_try_again(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise database_errors.DatabaseBusy("/data/account.sqlite", "locked")

    monkeypatch.setattr(pds.ctx.accounts.app_passwords, "list", fail)
    reply = await pds.get("com.atproto.server.listAppPasswords", alice.auth)
    assert reply.error == (503, "NotEnoughResources")
    assert reply.json["message"] == "The server is busy. Try again."


async def test_a_damaged_actor_fails_alone(pds: Pds, alice: Account, bob: Account) -> None:
    store = pds.ctx.actor_store
    path = store.layout.store(alice.did)
    store.open_stores.discard(alice.did)
    path.write_bytes(b"not a database" * 1_000)
    for name in ("-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    damaged = await pds.get("com.atproto.sync.getLatestCommit", did=alice.did)
    assert damaged.error == (503, "RepoUnavailable")
    assert str(path).encode() not in damaged.body
    assert (await pds.get("com.atproto.sync.getLatestCommit", did=bob.did)).status == 200


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_file_that_finds_no_room_is_told_of_as_a_full_disk(number: int) -> None:
    """Whatever was written: a key, a blob, a file that is made for a moment."""
    error = to_xrpc(OSError(number, "no room"))
    assert (error.status, error.name) == (503, "NotEnoughResources")
    assert error.message == "The server is out of disk space."
