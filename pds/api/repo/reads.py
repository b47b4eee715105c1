"""com.atproto.repo: reading the records of one repository."""

from __future__ import annotations

from typing import Final

import orjson

from actor_store.reader import ActorStoreReader
from actor_store.records import RecordRef
from identity.resolver import DidResolutionError
from pds.accounts.account import ActorAccount
from pds.api.repo.record_answers import RecordPage, complete, read_page, view_of
from pds.proxy.forwarding import pass_on
from pds.proxy.target import NamedService, choose_service, locate
from pds.repos.readable import get_readable_account
from pds.xrpc.accept_encoding import RELAYED, check_acceptable
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, JsonBytes, ReadCall, XrpcCall
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import ReadMethods, XrpcMethods
from pds.xrpc.oauth_demands import ANY
from repo.record import InvalidRecord

methods = XrpcMethods()
read_methods = ReadMethods()

GET_RECORD: Final = "com.atproto.repo.getRecord"
_FEW_COLLECTIONS: Final = 1000
"""As many collections as can be listed in a few milliseconds."""

_authenticate: Final = user(oauth=ANY)


@methods.method(GET_RECORD)
async def get_record(call: XrpcCall) -> Answer:
    """com.atproto.repo.getRecord: an odd record as far as JSON can show it"""
    account = call.ctx.accounts.find_account(call.params["repo"])
    if account is None:
        return await _read_elsewhere(call)
    return await read_record(call, account)


async def read_record(call: ReadCall, account: ActorAccount) -> Answer:
    """Return the local account's record that the parameters of getRecord name."""
    ctx, params = call.ctx, call.params
    did, collection, rkey = account.did, params["collection"], params["rkey"]
    wanted: str | None = params.get("cid")

    def find(actor: ActorStoreReader) -> RecordRef | None:
        ref = actor.record.find_ref(collection, rkey)
        return None if ref is None or (wanted is not None and str(ref.cid) != wanted) else ref

    def read(actor: ActorStoreReader) -> RecordPage | None:
        ref = find(actor)
        return None if ref is None else read_page(ctx.record_json, actor, (ref,))

    # Most records are in the cache, and then nothing else is read.
    ref = await ctx.actor_store.read_one(did, find)
    json = None if ref is None else ctx.record_json.find(ref.cid)
    if ref is not None and json is not None:
        return JsonBytes(view_of(ref, json))
    page = None if ref is None else await ctx.actor_store.read(did, read)
    if page is None:
        uri = f"at://{did}/{collection}/{rkey}"
        raise invalid_request(f"Could not locate record: {uri}", "RecordNotFound")
    if page.waiting:
        await complete(call, page)
    (view,) = page.views
    if isinstance(view, InvalidRecord):
        raise invalid_request(
            f"This record cannot be shown as JSON: {view}. com.atproto.sync.getRecord has it."
        ) from view
    return JsonBytes(view)


async def _read_elsewhere(call: XrpcCall) -> Answer:
    """Get a record of a repository that is not on this server; the AppView may have it.

    Another service is asked only on behalf of callers that have an account.
    """
    ctx = call.ctx
    if ctx.settings.appview is None:
        raise invalid_request("Could not locate record")
    service = choose_service(ctx.settings, GET_RECORD, call.request)
    if isinstance(service, NamedService):
        # Otherwise anyone could make this server send requests to anywhere.
        await _authenticate(ctx, call.request)
    target = await locate(ctx.did_resolver, service)
    check_acceptable(call.request, RELAYED)
    return await pass_on(ctx, call.request, target, token=None)


@read_methods.method("com.atproto.repo.listRecords")
async def list_records(call: ReadCall) -> Answer:
    """com.atproto.repo.listRecords: newest record keys first, unless `reverse`

    Without those that JSON cannot show, and no more than a page holds: fewer than `limit` are no
    sign of the end.
    """
    ctx, params = call.ctx, call.params
    account = ctx.accounts.find_account(params["repo"])
    if account is None:
        raise invalid_request(f"Could not find repo: {params['repo']}")
    did, collection = account.did, params["collection"]

    def read(actor: ActorStoreReader) -> RecordPage:
        refs = actor.record.list_refs(
            collection,
            limit=params["limit"],
            cursor=params.get("cursor"),
            reverse=params.get("reverse", False),
        )
        return read_page(ctx.record_json, actor, refs)

    page = await ctx.actor_store.read(did, read)
    if page.waiting:
        await complete(call, page)
    rest = b"" if page.last is None else b',"cursor":' + orjson.dumps(page.last.rkey)
    shown = b",".join([view for view in page.views if type(view) is bytes])
    return JsonBytes(b'{"records":[%b]%b}' % (shown, rest))


@methods.method("com.atproto.repo.describeRepo")
async def describe_repo(call: XrpcCall) -> Answer:
    """com.atproto.repo.describeRepo"""
    ctx = call.ctx
    account = get_readable_account(call.ctx, call.params["repo"], call.may_see_everything_of)
    try:
        document = await ctx.did_resolver.resolve(account.did)
    except DidResolutionError as exc:
        raise invalid_request(f"Could not resolve DID: {exc}") from exc
    collections = await collections_of(call, account.did)
    handle = account.shown_handle
    return {
        "handle": handle,
        "did": account.did,
        "didDoc": document.raw,
        "collections": collections,
        "handleIsCorrect": document.handle == handle,
    }


async def collections_of(call: ReadCall, did: str) -> list[str]:
    """Return the collections of a repository; there may be as many as it has records.

    Raises `TooBusy`, and what `ActorStore.read_in_thread` raises.
    """
    ctx = call.ctx
    store = ctx.actor_store
    few = await store.read_one(did, lambda actor: actor.record.collections(limit=_FEW_COLLECTIONS))
    if len(few) < _FEW_COLLECTIONS:
        return few
    async with ctx.large_work.wait(*ctx.askers()):
        return await store.read_in_thread(did, lambda actor: actor.record.collections())
