"""Who calls a hold, and whether they may: service tokens and the roster.

A method declares `CALLER` or `OPTIONAL_CALLER`, and its handler calls `require` before it looks
whether anything exists, so that a private hold tells strangers nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, overload

from aiohttp import hdrs, web

from pds.fairness.presence import while_present
from pds.hold.auth.denials import Refusal
from pds.hold.errors import answering, to_xrpc
from pds.hold.hold import HOLD, hold_of
from pds.hold.permissions import AccessDenied, Permission
from pds.xrpc.auth import method_of
from pds.xrpc.credentials import (
    Anonymous,
    Authenticator,
    Credentials,
    ServiceCredentials,
    demands,
)
from pds.xrpc.errors import XrpcError, auth_required

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.xrpc.call import XrpcCall
    from repo.syntax import Did


@dataclass(slots=True, frozen=True)
class HoldCredentials(ServiceCredentials):
    """A DID, authenticated by a service token for the hold."""


MISSING: Final = "AuthMissing"
"""Also the error for DPoP: only the user's PDS can check such a token."""
_ANONYMOUS: Final = Anonymous()


def caller(*, missing: str = MISSING) -> Authenticator:
    """Accept a service token for the hold; `missing` is the error if there is none."""

    @demands("service token for the hold")
    async def authenticate(_ctx: AppContext, request: web.Request) -> HoldCredentials:
        return await verify_caller(request, bearer_token(request, missing))

    return authenticate


CALLER: Final = caller()
"""A service token is required."""


@demands("none on a public hold; otherwise a service token for the hold")
async def _optional_caller(ctx: AppContext, request: web.Request) -> Credentials:
    header = request.headers.get(hdrs.AUTHORIZATION)
    if header is None:
        return _ANONYMOUS
    hold = request.app[HOLD]
    scheme, _, token = header.partition(" ")
    known = hold.tokens.recall(token, nsid=method_of(request))
    if known is not None and scheme.lower() == "bearer":
        # Registries use one token for many calls: the roster is read once, by `require`.
        return HoldCredentials(known)
    if (await hold.roster.captain()).public:
        # Nothing depends on the token, and its issuer may take long to resolve.
        return _ANONYMOUS
    return await verify_caller(request, bearer_token(request))


OPTIONAL_CALLER: Final = _optional_caller
"""For reads: nobody or a service token. A public hold does not look at tokens."""


def bearer_token(request: web.Request, missing: str = MISSING) -> str:
    """Return the token of a request. Raises a 401 with the name `missing` if it has none."""
    header = request.headers.get(hdrs.AUTHORIZATION)
    if header is None:
        raise auth_required("missing Authorization header", missing)
    scheme, _, token = header.partition(" ")
    if scheme.lower() == "dpop":
        raise auth_required("DPoP is not supported here; send a service token", MISSING)
    if scheme.lower() != "bearer":
        raise auth_required("the Authorization header must be: Bearer <service token>", missing)
    if not token or " " in token:
        raise auth_required("missing token in the Authorization header", missing)
    return token


async def verify_caller(request: web.Request, token: str) -> HoldCredentials:
    """Verify a service token for the hold. Raises `XrpcError` 401."""
    hold = request.app[HOLD]
    address = hold.ctx.client_addresses.of(request).group
    # Anyone can write a token whose DID is resolved before its signature is checked.
    with while_present(request), answering():
        issuer = await hold.tokens.verify(token, nsid=method_of(request), address=address)
    return HoldCredentials(issuer)


@overload
async def require(call: XrpcCall, wanted: Literal[Permission.READ]) -> Did | None: ...
@overload
async def require(call: XrpcCall, wanted: Literal[Permission.WRITE, Permission.ADMIN]) -> Did: ...
async def require(call: XrpcCall, wanted: Permission) -> Did | None:
    """Return the caller, if the roster allows it now; None for an anonymous reader.

    Call it again after anything long: membership may have ended. Raises `XrpcError` 401 for an
    anonymous caller who may not, and 403 for others, with a Retry-After if that happens often.
    """
    hold, did = hold_of(call), _caller_of(call)
    try:
        await hold.roster.check(did, wanted)
    except AccessDenied as exc:
        if did is None:
            raise auth_required("missing Authorization header", MISSING) from exc
        error = to_xrpc(exc)
        pause = hold.refused.note((did, wanted), Refusal.of(error))
        error.retry_after_s = None if pause is None else pause.retry_after_s
        raise error from exc
    if did is not None:
        hold.refused.forget((did, wanted))
    return did


def _caller_of(call: XrpcCall) -> Did | None:
    match call.credentials:
        case ServiceCredentials(issuer=did):
            return did
        case Anonymous():
            return None
        case _:
            raise XrpcError(403, message="only a service token gives access to the hold")
