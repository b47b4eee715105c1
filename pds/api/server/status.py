"""com.atproto.server: an account's status, activation and deactivation."""

from __future__ import annotations

from typing import Any, Final

from actor_store.reader import ActorStoreReader
from pds.accounts.scopes import FULL, SessionScope
from pds.lifecycle import states
from pds.repos.quotas import storage_status
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import NOBODY, XrpcMethods
from pds.xrpc.oauth_demands import ANY, account, never

_EMPTY: Final = (
    "The repository of this account is empty here. If it has records elsewhere, import them with "
    "com.atproto.repo.importRepo before com.atproto.server.activateAccount tells the network that "
    "it has none."
)

_NO_REACTIVATION: Final = (
    "Account reactivation is not available with OAuth credentials. Sign in to your account "
    "management page to reactivate."
)

methods = XrpcMethods()


@methods.method("com.atproto.server.checkAccountStatus", auth=user(oauth=ANY))
async def check_account_status(call: XrpcCall) -> Answer:
    """com.atproto.server.checkAccountStatus: how far an account has moved in"""
    ctx, did = call.ctx, call.user.did
    account = ctx.accounts.get_account(did, include_inactive=True)
    # Counts every block and record, which takes long for a large repository.
    contents = await ctx.actor_store.read_in_thread(did, _contents)
    # As after a failed import, which many migration tools do not report.
    is_warned = not account.active and contents["indexedRecords"] == 0
    return {
        "activated": account.active,
        "validDid": await states.did_points_here(ctx, did),
        **contents,
        "privateStateValues": 0,
        "storage": await storage_status(ctx, did),
        **({"warnings": [_EMPTY]} if is_warned else {}),
    }


def _contents(actor: ActorStoreReader) -> dict[str, Any]:
    head = actor.repo.head()
    odd = actor.record.odd()
    return {
        "repoCommit": str(head.cid),
        "repoRev": head.rev,
        "repoBlocks": actor.repo.block_count(),
        "indexedRecords": actor.record.count(),
        "expectedBlobs": actor.blob.count_referenced(),
        "importedBlobs": actor.blob.count(),
        **({"oddRecords": odd.to_json()} if odd.count else {}),
    }


@methods.method(
    "com.atproto.server.activateAccount",
    auth=user(FULL, oauth=never(_NO_REACTIVATION)),
    elsewhere=NOBODY,
)
async def activate_account(call: XrpcCall) -> Answer:
    """com.atproto.server.activateAccount"""
    await states.activate(call.ctx, call.user.did)
    return None


@methods.method(
    "com.atproto.server.deactivateAccount",
    auth=user(FULL | {SessionScope.TAKENDOWN}, oauth=account("status", "manage")),
    elsewhere=NOBODY,
)
async def deactivate_account(call: XrpcCall) -> Answer:
    """com.atproto.server.deactivateAccount"""
    # A client may outlive the trust in it. What else acts for the account ends with it.
    await states.deactivate(
        call.ctx,
        call.user.did,
        delete_after=call.body.get("deleteAfter"),
        disconnect_apps=call.user.uses_oauth,
    )
    return None
