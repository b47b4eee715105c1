"""Finding the account whose repository a caller wants to read, and checking that it may."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pds.repos.errors import RepoDeactivated, RepoTakendown, UnknownRepo

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.read_context import ReadContext


def get_readable_account(
    ctx: ReadContext, identifier: str, may_see_everything_of: Callable[[str], bool]
) -> ActorAccount:
    """Return the account with a DID or handle, if the caller may read its repository.

    A caller that `may_see_everything_of` an account (its owner, the administrator) may read it in
    any state. Raises `UnknownRepo`, `RepoTakendown` or `RepoDeactivated`.
    """
    account = ctx.accounts.find_account(identifier, include_inactive=True)
    if account is None:
        raise UnknownRepo(identifier)
    if account.active or may_see_everything_of(account.did):
        return account
    if account.takedown_ref is not None:
        raise RepoTakendown(identifier)
    raise RepoDeactivated(identifier)
