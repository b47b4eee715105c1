"""Account handles: resolving and changing them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import structlog

from identity.handles import HandleUnresolvable
from identity.http import FetchError
from identity.plc import PlcKeyRefused
from identity.resolver import DidResolutionError
from pds.accounts.availability import check_handle_free_for
from pds.accounts.errors import HandleNotResolved, UnknownAccount
from pds.accounts.handle_rules import check_handle, service_domain_of
from pds.disk.remedies import mend_rotation_key
from pds.lifecycle.acting import get_acting_account
from pds.lifecycle.changes import journaled
from pds.lifecycle.errors import DidMismatch
from pds.pending.journal import Entry
from repo.syntax import Did, Handle, is_did
from sequencer.events import IdentityEvent

if TYPE_CHECKING:
    from pds.context import AppContext

_log = structlog.get_logger(__name__)


async def resolve_handle(
    ctx: AppContext,
    handle: Handle,
    *,
    while_waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Did | None:
    """Resolve a handle to a DID: of a local account, or else of one hosted elsewhere.

    The AppView, if configured, is asked before the network, because it knows most handles. Returns
    None for an unused handle under our own domains. Behind an entryway, these are the entryway's
    domains and are resolved over the network. `while_waiting` makes a context manager that is
    entered around requests to others. Raises `HandleUnresolvable`, and what `while_waiting` raises.
    """
    if ctx.entryway is None:
        account = ctx.accounts.find_account(handle)
        if account is not None:
            return account.did
        if service_domain_of(handle, ctx.settings.service_handle_domains) is not None:
            return None
    with while_waiting():
        return await _ask_appview(ctx, handle) or await ctx.handle_resolver.resolve(handle)


async def _ask_appview(ctx: AppContext, handle: Handle) -> Did | None:
    appview = ctx.settings.appview
    if appview is None:
        return None
    url = f"{appview.url}/xrpc/com.atproto.identity.resolveHandle?handle={handle}"
    try:
        async with ctx.proxy_share.turn(appview.url):
            json = await ctx.proxy_http.get_json(url, trusted=True)
    except FetchError:
        return None
    did = json.get("did") if isinstance(json, dict) else None
    return Did(did) if isinstance(did, str) and is_did(did) else None


async def check_handle_points_to(ctx: AppContext, handle: Handle, did: Did) -> None:
    """Raise `HandleNotResolved` unless a handle outside our domains resolves to `did`."""
    try:
        found = await ctx.handle_resolver.resolve(handle, fresh=True)
    except HandleUnresolvable as exc:
        raise HandleNotResolved from exc
    if found != did:
        raise HandleNotResolved


async def update_handle(
    ctx: AppContext, did: Did, handle: str, *, allow_reserved: bool = False
) -> None:
    """Change an account's handle in its DID and its row, and emit the event.

    Raises what `check_new_handle` raises, `PlcError`, and `DidMismatch` for a DID that its owner
    must change first because this server cannot.
    """
    checked = await check_new_handle(ctx, did, handle, allow_reserved=allow_reserved)
    # A failure or crash after the DID was changed is undone: see `pds.lifecycle.changes`.
    async with journaled(ctx, Entry("handle", did, checked)):
        await _point_did_at(ctx, did, checked)
        await ctx.accounts.update_handle(did, checked)
    await ctx.sequencer.append(IdentityEvent(did, checked))


async def check_new_handle(
    ctx: AppContext, did: Did, handle: str, *, allow_reserved: bool
) -> Handle:
    """Return the handle in lower case, if the account may have it.

    Raises `UnknownAccount`, what `check_handle` raises, `HandleNotResolved` and
    `HandleNotAvailable`.
    """
    get_acting_account(ctx, did, hide_takendown=True, absent=UnknownAccount("Account not found"))
    checked = check_handle(
        handle,
        ctx.settings.service_handle_domains,
        did_known=True,
        allow_reserved=allow_reserved,
    )
    if checked.is_external:
        await check_handle_points_to(ctx, checked.handle, did)
    check_handle_free_for(ctx.accounts.store, did, checked.handle)
    return checked.handle


async def _point_did_at(ctx: AppContext, did: Did, handle: Handle) -> None:
    if did.startswith("did:plc:"):
        try:
            await ctx.plc.update_handle(did, handle, key=ctx.rotation_key)
        except PlcKeyRefused as exc:
            remedy = mend_rotation_key()
            _log.error("a DID cannot be changed", did=did, reason=exc.message, remedy=remedy)
            raise
        await ctx.did_resolver.refresh(did)
        return
    try:
        document = await ctx.did_resolver.resolve(did, force=True)
    except DidResolutionError as exc:
        raise DidMismatch("DID is not properly configured for handle") from exc
    if document.handle != handle:
        raise DidMismatch("DID is not properly configured for handle")
