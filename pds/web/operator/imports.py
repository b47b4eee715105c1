"""`/_holdfast/import` and `/_holdfast/blobs/…`: an account from a CAR, and the blobs it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pds.lifecycle.account_import import AccountImport, import_account
from pds.peers.calls import by_all
from pds.pending.import_turns import Sender
from pds.repos.blobs import import_blob, list_missing_blobs
from pds.xrpc.errors import invalid_request
from repo.cid import Cid
from repo.keys import InvalidKey, parse_did_key

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.web.operator.call import OperatorCall
    from repo.keys import PublicKey

_MAX_LIMIT: Final = 1_000
_MAX_TICKET_LENGTH: Final = 100


async def import_car(call: OperatorCall) -> dict[str, Any]:
    """POST: the CAR is the body; `handle`, `email`, `key`, `ignoreSignature` are parameters.

    `ticket` is the name of the import in `list_imports`.
    """
    query = call.query
    asked = AccountImport(
        handle=query.get("handle"),
        email=query.get("email"),
        key=_parse_key(query.get("key")),
        ignores_signature=query.get("ignoreSignature") == "true",
    )
    ticket = query.get("ticket", "")[:_MAX_TICKET_LENGTH] or None
    sender = Sender(present=call.present, ticket=ticket)
    return (await import_account(call.ctx, call.chunks(), asked, sender)).to_json()


async def list_imports(call: OperatorCall) -> dict[str, Any]:
    """GET: the imports under way, and those waiting for their turn."""
    return {"imports": [each for part in await _imports_here(call.ctx) for each in part]}


@by_all
async def _imports_here(ctx: AppContext) -> list[dict[str, Any]]:
    return ctx.imports.to_json()


async def missing_blobs(call: OperatorCall) -> dict[str, Any]:
    """GET: a page of CIDs, after `cursor`."""
    did = call.get_account().did
    limit = call.get_limit(default=_MAX_LIMIT, most=_MAX_LIMIT)
    missing = await list_missing_blobs(call.ctx, did, limit=limit, after=call.query.get("cursor"))
    return {"missing": [str(cid) for cid in missing]}


async def put_blob(call: OperatorCall) -> dict[str, Any]:
    """PUT: the body is a blob that some record refers to."""
    did, cid = call.get_account().did, Cid.parse(call.names["cid"])
    blob = await import_blob(call.ctx, did, cid, call.chunks())
    return {"cid": str(blob.cid), "mimeType": blob.mime_type, "size": blob.size}


def _parse_key(text: str | None) -> PublicKey | None:
    try:
        return None if text is None else parse_did_key(text)
    except InvalidKey as exc:
        raise invalid_request(f"key must be a did:key of K-256 or P-256: {exc}") from exc
