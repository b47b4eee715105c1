"""Importing an account from a CAR file, on the operator's authority.

For users whose previous server is gone: it can no longer vouch for them, but their commit is
signed. The account stays deactivated and no events are emitted for it until its identity points
here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from identity.resolver import DidResolutionError
from identity.signers import NotSigned, find_signer
from pds.accounts.account import AccountStatus
from pds.accounts.availability import check_email_free, check_handle_free
from pds.accounts.codes import new_password
from pds.accounts.email_rules import check_email
from pds.accounts.errors import HandleNotResolved
from pds.accounts.handle_rules import check_handle
from pds.disk.spool import Spool
from pds.lifecycle.handles import check_handle_points_to
from pds.lifecycle.signup import Signup, create_account, create_own_actor, did_credentials
from pds.peers.locks import account_lock
from pds.pending.import_turns import Sender
from pds.repos.blobs import settle_uploads
from pds.repos.errors import ImportRefused
from pds.repos.imports import load_repo, refuse_second_import
from repo.car import CarReader
from repo.keys import PublicKey, parse_did_key
from repo.syntax import Did
from repo.verify import find_commit

if TYPE_CHECKING:
    from actor_store.importing import ImportedRepo
    from identity.did_document import DidDocument
    from pds.accounts.account import ActorAccount
    from pds.context import AppContext
    from repo.car import ByteSource
    from repo.cid import Cid
    from repo.commit import Commit, Head

MAX_CAR_BYTES: Final = 64 * 1024**3
"""The largest CAR that an operator may import."""
_WAYS_OUT: Final = "name the key with --key did:key:…, or give --ignore-signature"
_OPERATOR: Final = Sender()


@dataclass(frozen=True, slots=True)
class AccountImport:
    """What the operator specifies about an account in addition to its CAR."""

    handle: str | None = None
    """Handle of a new account; defaults to the one in the DID document."""
    email: str | None = None
    """Email address of a new account, which must have one."""
    key: PublicKey | None = None
    """The key that must have signed the commit, in place of the keys that the DID has named."""
    ignores_signature: bool = False


@dataclass(frozen=True, slots=True)
class ImportedAccount:
    """The result of an account import."""

    account: ActorAccount
    repo: ImportedRepo
    password: str | None
    """Generated password of a new account, which nobody else knows."""
    missing_blobs: int
    """How many blobs its records refer to that are missing here."""
    did_credentials: dict[str, Any]
    """What the account's DID must state before the account can be activated."""

    def to_json(self) -> dict[str, Any]:
        """Return the form shown to the operator."""
        return {
            "did": self.account.did,
            "handle": self.account.shown_handle,
            "rev": self.repo.head.rev,
            "records": self.repo.records,
            "missingBlobs": self.missing_blobs,
            "password": self.password,
            "didCredentials": self.did_credentials,
            **({"oddRecords": self.repo.odd.to_json()} if self.repo.odd.count else {}),
        }


async def import_account(
    ctx: AppContext,
    chunks: AsyncIterable[bytes],
    asked: AccountImport,
    sender: Sender = _OPERATOR,
) -> ImportedAccount:
    """Create a deactivated account from a CAR, or replace the repository of a deactivated account.

    Raises `ImportRefused` with what the operator can do, `AccountError`s, `InvalidCar`,
    `InvalidRepo`, `SpoolError`s, and what `load_repo` raises. Nothing has been changed if it
    raises.
    """
    await ctx.open_files.until_room(1)
    with Spool(ctx.settings.data_directory, ctx.imports.room, sender.holder) as spool:
        await spool.fill(chunks, max_bytes=MAX_CAR_BYTES)
        root, commit = await asyncio.to_thread(_find_commit, spool)
        did = Did(commit.did)
        spool.rewind()
        await refuse_second_import(ctx, did)
        with ctx.imports.begun(did) as begun:
            begun.size_bytes = spool.size_bytes
            document, why_not = await _find_document(ctx, did)
            keys = await _keys(ctx, asked, document, why_not, root=root, commit=commit)
            async with ctx.imports.loading(begun, sender):
                password = None
                if ctx.accounts.find_account(did, include_inactive=True) is not None:
                    repo = await _replace(ctx, did, spool, keys)
                elif ctx.settings.is_hold(did):
                    repo = await _create_hold(ctx, did, spool, keys)
                else:
                    password = new_password()
                    signup = await _signup(ctx, did, asked, document, password)
                    repo = await _create(ctx, signup, spool, keys)
    await settle_uploads(ctx, did)
    account = ctx.accounts.get_account(did, include_inactive=True)
    missing = await ctx.actor_store.read_in_thread(did, lambda actor: actor.blob.count_missing())
    return ImportedAccount(account, repo, password, missing, did_credentials(ctx, account))


def _find_commit(source: ByteSource) -> tuple[Cid, Commit]:
    return find_commit(CarReader(source, verify=False))


async def _find_document(ctx: AppContext, did: Did) -> tuple[DidDocument | None, str]:
    """Return the DID document, or None and the reason why it could not be resolved."""
    try:
        return await ctx.did_resolver.resolve(did, force=True), ""
    except DidResolutionError as exc:
        return None, str(exc)


async def _keys(
    ctx: AppContext,
    asked: AccountImport,
    document: DidDocument | None,
    why_not: str,
    *,
    root: Cid,
    commit: Commit,
) -> list[PublicKey] | None:
    """Return the key that must have signed the commit; None if the signature is ignored."""
    if asked.ignores_signature:
        return None
    if asked.key is not None:
        return [asked.key]
    did = Did(commit.did)
    named = document.signing_key() if document is not None else None
    if named is None:
        raise ImportRefused(
            f"{why_not or f'the DID document of {did} has no signing key'}. So nobody can tell "
            f"who signed: {_WAYS_OUT}"
        )
    # A repository exported from this server was signed with the key that is stored here.
    own = [ctx.actor_store.key(did).public] if ctx.actor_store.exists(did) else []
    try:
        return [await find_signer(root, commit, [parse_did_key(named), *own], ctx.plc)]
    except NotSigned as exc:
        raise ImportRefused(f"{exc}. If it is theirs nevertheless, {_WAYS_OUT}") from exc


async def _signup(
    ctx: AppContext, did: Did, asked: AccountImport, document: DidDocument | None, password: str
) -> Signup:
    """Return the checked details of the new account, before anything is created."""
    handle = asked.handle or (document.handle if document is not None else None)
    if handle is None:
        raise ImportRefused(f"No DID document names a handle of {did}: give --handle")
    if asked.email is None:
        raise ImportRefused(f"{did} has no account here yet, and a new one needs an --email")
    email = check_email(asked.email)
    domains = ctx.settings.service_handle_domains
    # A DID document may claim any handle; only the operator can grant a reserved one.
    reserved = asked.handle is not None
    checked = check_handle(handle, domains, did_known=True, allow_reserved=reserved)
    check_handle_free(ctx.accounts.store, checked.handle)
    check_email_free(ctx.accounts.store, email)
    if checked.is_external:
        try:
            await check_handle_points_to(ctx, checked.handle, did)
        except HandleNotResolved as exc:
            raise ImportRefused(
                f"The handle {checked.handle} does not lead to {did}: give the account another "
                f"with --handle, for example one that ends with {domains[0]}"
            ) from exc
    return Signup(checked, email, password, did=did)


async def _create(
    ctx: AppContext, signup: Signup, source: ByteSource, keys: list[PublicKey] | None
) -> ImportedRepo:
    """Create the account together with its repository, or neither."""
    imported: list[ImportedRepo] = []

    async def fill(did: Did) -> Head:
        imported.append(await load_repo(ctx, did, source, keys, ignores_quota=True))
        return imported[0].head

    await create_account(ctx, replace(signup, fill=fill))
    return imported[0]


async def _create_hold(
    ctx: AppContext, did: Did, source: ByteSource, keys: list[PublicKey] | None
) -> ImportedRepo:
    """Create the account of this server's hold, which cannot log in, with its repository.

    The start of the hold activates it.
    """
    imported: list[ImportedRepo] = []

    async def fill(did: Did) -> Head:
        imported.append(await load_repo(ctx, did, source, keys, ignores_quota=True))
        return imported[0].head

    await create_own_actor(ctx, did, ctx.settings.hold_handle, fill=fill)
    return imported[0]


async def _replace(
    ctx: AppContext, did: Did, source: ByteSource, keys: list[PublicKey] | None
) -> ImportedRepo:
    """Replace the repository of a deactivated account."""
    # The lock keeps the account from being activated or deleted meanwhile.
    async with account_lock(ctx, did):
        account = ctx.accounts.get_account(did, include_inactive=True)
        if account.status is AccountStatus.ACTIVE and ctx.settings.is_hold(did):
            raise ImportRefused(
                f"The hold {did} has been made here already. To give it another repository, stop "
                "the server, set PDS_HOLD_ENABLED=false and PDS_HOLD_ONLY=false, run `pds account "
                f"deactivate {did}`, set them as before, and import again"
            )
        if account.status is not AccountStatus.DEACTIVATED:
            raise ImportRefused(
                f"{account.shown_handle} ({did}) has an account here that is {account.status}. "
                "Only a deactivated account gets another repository: see `pds account deactivate`"
            )
        return await load_repo(ctx, did, source, keys, ignores_quota=True)
