"""Which accounts' repositories may be read, and by whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pds.xrpc.errors import XrpcError, invalid_request

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.xrpc.call import XrpcCall


def get_readable_account(call: XrpcCall, identifier: str) -> ActorAccount:
    """The account, if this caller may read its repository.

    Taken-down and deactivated accounts are there for their owner and the administrator alone.
    Raises `XrpcError`: RepoNotFound, RepoTakendown or RepoDeactivated.
    """
    account = call.ctx.accounts.find_account(identifier, include_inactive=True)
    if account is None:
        raise invalid_request(f"Could not find repo for DID: {identifier}", "RepoNotFound")
    if account.active or call.may_see_everything_of(account.did):
        return account
    raise _unavailable(account, identifier)


def _unavailable(account: ActorAccount, identifier: str) -> XrpcError:
    if account.takedown_ref is not None:
        return invalid_request(f"Repo has been takendown: {identifier}", "RepoTakendown")
    return invalid_request(f"Repo has been deactivated: {identifier}", "RepoDeactivated")
