"""com.atproto.repo.importRepo: importing a whole repository."""

from __future__ import annotations

from pds.accounts.scopes import FULL
from pds.fairness.presence import while_present
from pds.pending.import_turns import Sender
from pds.repos.imports import import_repo as import_car_of
from pds.xrpc.auth import user
from pds.xrpc.body import check_length, iter_body
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import XrpcMethods
from pds.xrpc.oauth_demands import account

methods = XrpcMethods()


@methods.method(
    "com.atproto.repo.importRepo",
    auth=user(FULL, refuse_takendown=True, oauth=account("repo", "manage")),
)
async def import_repo(call: XrpcCall) -> Answer:
    """com.atproto.repo.importRepo: the repository of an account that moves in"""
    settings = call.ctx.settings
    if not settings.service.accepting_repo_imports:
        raise invalid_request("Service is not accepting repo imports")
    check_length(call.request, settings.max_repo_import_bytes)
    request = call.request
    sender = Sender(call.ctx.client_addresses.of(request).group, lambda: while_present(request))
    await import_car_of(call.ctx, call.user.did, iter_body(request), sender)
    return None
