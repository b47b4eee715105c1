"""Accounts, codes and times as the pages show them: texts of strangers on one line and short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pds.web.admin.desk import ROOT
from pds.web.pages.strangers_texts import on_one_line

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount

LONGEST: Final = 200


@dataclass(slots=True, frozen=True)
class AccountView:
    """An account in a list, or on its own page."""

    did: str
    handle: str
    email: str
    """Empty without a login."""
    is_confirmed: bool
    status: str
    """`active`, `takendown` or `deactivated`."""
    created_at: str
    path: str
    """Of its page."""

    @classmethod
    def of(cls, account: ActorAccount) -> AccountView:
        """Make the view of an account."""
        return cls(
            account.did,
            on_one_line(account.shown_handle, LONGEST),
            on_one_line(account.email or "", LONGEST),
            account.email_confirmed_at is not None,
            account.status.value,
            account.created_at,
            path_of(account.did),
        )


def path_of(did: str) -> str:
    """Return the path of an account's page."""
    return f"{ROOT}/accounts/{quote(did, safe=':')}"
