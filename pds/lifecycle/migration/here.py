"""This server, as the old one of an account that moves out, or the new one of one that moves in."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from actor_store.blob_store.base import BlobFileMissing, BlobStoreError, BlobTooLarge, TempBlob
from actor_store.errors import ActorStoreError, BlobNotFound, BlobTakendown, QuotaExceeded
from actor_store.reader import ActorStoreReader
from database.errors import DatabaseError
from identity.plc import PlcError
from identity.plc_data import InvalidPlcOperation
from identity.resolver import DidResolutionError
from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import AccountError, AccountNotFound, ExpiredToken, InvalidToken
from pds.config.addresses import is_same_server
from pds.disk.spool import BodyTooLarge, SpoolError
from pds.fairness.turns import TooBusy
from pds.lifecycle.errors import DidMismatch, HoldAccount, PlcOperationRefused
from pds.lifecycle.mailed_tokens import send_token
from pds.lifecycle.migration.errors import MoveProblem, Problem
from pds.lifecycle.migration.servers import BlobNotTaken, Contents
from pds.lifecycle.plc_updates import ensure_plc, sign_operation, submit_operation
from pds.lifecycle.signup import did_credentials
from pds.lifecycle.states import activate, deactivate
from pds.mail.message import InvalidMail
from pds.mail.transport import MailNotSent
from pds.peers.locks import account_lock
from pds.pending.import_turns import ImportUnderWay, Sender
from pds.repos.blobs import UNKNOWN_TYPE, receive_blob
from pds.repos.damage import forget_damage
from pds.repos.errors import ImportRefused
from pds.repos.export import measure
from pds.repos.imports import import_repo
from pds.repos.preferences import put_preferences
from pds.repos.quotas import UploadRoom
from pds.repos.stores import destroy
from repo.cid import Cid
from repo.keys import parse_did_key
from repo.syntax import Did

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.context import AppContext

_PAGE: Final = 500


class Here:
    """What both have in common."""

    def __init__(self, ctx: AppContext, did: Did) -> None:
        self._ctx = ctx
        self._did = did

    @property
    def account(self) -> ActorAccount:
        """The account as it is now."""
        return self._ctx.accounts.get_account(self._did, include_inactive=True)


class OldHere(Here):
    """This server as the old one: see `OldServer`."""

    async def contents(self) -> Contents:
        with _ours():
            found = await self._ctx.actor_store.read_in_thread(self._did, measure)
        account = self.account
        return Contents(account.shown_handle, account.email or "", *found)

    async def rev(self) -> str:
        with _ours():
            head = await self._ctx.actor_store.read(self._did, lambda actor: actor.repo.head())
        return str(head.rev)

    @asynccontextmanager
    async def export(self) -> AsyncIterator[AsyncIterator[bytes]]:
        store = self._ctx.actor_store
        with _ours():
            async with aclosing(store.stream(self._did, lambda one: one.repo.iter_car())) as parts:
                yield parts

    @asynccontextmanager
    async def blob(self, cid: Cid) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        store = self._ctx.actor_store
        with _ours():
            try:
                stored = await store.read(self._did, lambda actor: actor.blob.get_servable(cid))
                opened = await self._ctx.blob_store.open(self._did, cid)
            except (BlobNotFound, BlobTakendown, BlobFileMissing) as exc:
                raise BlobNotTaken from exc
            async with opened:
                yield stored.mime_type, aiter(opened)

    async def preferences(self) -> list[Any]:
        today = datetime.now(UTC).date()
        with _ours():
            return await self._ctx.actor_store.read(
                self._did, lambda actor: list(actor.pref.get(full_access=True, today=today))
            )

    async def send_code(self) -> None:
        with _ours():
            await send_token(self._ctx, self.account, EmailTokenPurpose.PLC_OPERATION)

    async def rotation_keys(self) -> list[str]:
        return [self._ctx.did_rotation_key]

    async def sign(self, code: str, fields: dict[str, Any]) -> dict[str, Any]:
        with _ours():
            return (await sign_operation(self._ctx, self._did, code, fields)).to_json()

    async def deactivate(self) -> None:
        with _ours():
            if self.account.active:
                await deactivate(self._ctx, self._did)


class NewHere(Here):
    """This server as the new one: see `NewServer`."""

    def __init__(self, ctx: AppContext, did: Did, old_key: str) -> None:
        """`old_key` is the did:key that signed at the old server; empty if that is unknown."""
        super().__init__(ctx, did)
        self._old_key = old_key

    async def import_repo(self, chunks: AsyncIterable[bytes]) -> None:
        if not self._ctx.settings.service.accepting_repo_imports:
            raise MoveProblem(Problem.NO_IMPORTS)
        self._expect_copy()
        with _ours():
            # The document of a did:web may name the new key already.
            earlier = [parse_did_key(self._old_key)] if self._old_key else []
            sender = Sender(f"move {self._did}")
            await import_repo(self._ctx, self._did, chunks, sender, earlier_keys=earlier)

    async def missing(self, *, after: str | None) -> Sequence[Cid]:
        with _ours():
            found = await self._ctx.actor_store.read_in_thread(
                self._did, lambda actor: actor.blob.list_missing(limit=_PAGE, cursor=after)
            )
        return [blob.cid for blob in found]

    async def count_missing(self) -> int:
        with _ours():
            return await self._ctx.actor_store.read_in_thread(
                self._did, lambda actor: actor.blob.count_missing()
            )

    async def put_blob(self, cid: Cid, mime_type: str, chunks: AsyncIterable[bytes]) -> None:
        with _ours():
            room = await UploadRoom.find(self._ctx, self._did)
            try:
                await receive_blob(
                    self._ctx,
                    self._did,
                    room.metered(aiter(chunks)),
                    declared_type=mime_type if "/" in mime_type else UNKNOWN_TYPE,
                    max_bytes=self._ctx.settings.service.blob_upload_limit_bytes,
                    check=partial(_check_is, cid),
                )
            except (BlobTooLarge, BlobTakendown) as exc:
                raise BlobNotTaken from exc

    async def put_preferences(self, preferences: list[Any]) -> None:
        kept = [one for one in preferences if _is_preference(one)]
        self._expect_copy()
        with _ours():
            await put_preferences(self._ctx, self._did, kept, full_access=True)

    def _expect_copy(self) -> None:
        """Copy nothing over an account that has been activated by other means, and is used."""
        with _ours():
            if self.account.active:
                raise MoveProblem(Problem.TOO_LATE)

    async def did_fields(self) -> dict[str, Any]:
        return did_credentials(self._ctx, self.account)

    async def submit(self, operation: dict[str, Any]) -> None:
        with _ours():
            ensure_plc(self._did)
            await submit_operation(self._ctx, self.account, operation)

    async def is_named(self) -> bool:
        try:
            document = await self._ctx.did_resolver.resolve(self._did, force=True)
        except DidResolutionError as exc:
            raise MoveProblem(Problem.DIRECTORY, str(exc)) from exc
        return is_same_server(document.pds_endpoint, self._ctx.settings.public_url)

    async def activate(self) -> None:
        with _ours():
            if not self.account.active:
                await activate(self._ctx, self._did)

    async def discard(self) -> None:
        """Delete the account, which nobody has been told of, without telling anybody.

        Its store first: the account is what the person signs in to, to try again.
        """
        ctx, did = self._ctx, self._did
        with _ours():
            account = ctx.accounts.find_account(did, include_inactive=True)
            if account is None or account.active:
                return
            async with account_lock(ctx, did):
                await destroy(ctx, did)
                await ctx.accounts.delete_account(did)
                await forget_damage(ctx, did)


def _check_is(cid: Cid, _actor: ActorStoreReader, temp: TempBlob) -> None:
    if temp.cid != cid:
        raise BlobNotTaken


def _is_preference(value: Any) -> bool:
    kind = value.get("$type") if isinstance(value, dict) else None
    return isinstance(kind, str) and kind.startswith("app.bsky.")


@contextmanager
def _ours() -> Iterator[None]:
    """Turn errors of this server into problems of the move."""
    try:
        yield
    except _KNOWN as exc:
        kind = next(kind for each, kind in _KINDS.items() if isinstance(exc, each))
        raise MoveProblem(kind, str(exc)) from exc


_KINDS: Final[dict[type[Exception], Problem]] = {
    QuotaExceeded: Problem.QUOTA,
    BodyTooLarge: Problem.TOO_LARGE,
    ImportRefused: Problem.REPOSITORY,
    ValueError: Problem.REPOSITORY,
    InvalidToken: Problem.CODE,
    ExpiredToken: Problem.CODE,
    PlcOperationRefused: Problem.OPERATION,
    InvalidPlcOperation: Problem.OPERATION,
    PlcError: Problem.DIRECTORY,
    DidMismatch: Problem.DOCUMENT,
    AccountNotFound: Problem.UNKNOWN,
    SpoolError: Problem.BUSY,
    TooBusy: Problem.BUSY,
    ImportUnderWay: Problem.BUSY,
    BlobStoreError: Problem.BUSY,
    DatabaseError: Problem.BUSY,
    MailNotSent: Problem.BUSY,
    InvalidMail: Problem.BUSY,
    ActorStoreError: Problem.REPOSITORY,
    HoldAccount: Problem.REFUSED,
    AccountError: Problem.REFUSED,
}
"""The first that fits; formats raise `ValueError`s for a damaged CAR."""
_KNOWN: Final = tuple(_KINDS)
