"""Finding accounts by the beginning of a handle, an e-mail address or a DID, page by page.

Every statement goes along an index and stops after a page, however many accounts there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from database.connection import Database
from pds.accounts.account import ActorAccount
from pds.accounts.account_store import COLUMNS, account_of

AccountFilter: TypeAlias = Literal["all", "active", "takendown", "deactivated"]

LONGEST: Final = 300
"""Characters of what is looked for."""
EXAMINED: Final = 2_000
"""Accounts that one page looks at, for those in a certain state."""
_LAST: Final = "\U0010ffff"
_FROM_ACTOR: Final = "FROM actor LEFT JOIN account ON account.did = actor.did"
_BY_HANDLE: Final = (
    f"{COLUMNS}, lower(actor.handle) {_FROM_ACTOR}"
    " WHERE lower(actor.handle) >= ?1 AND lower(actor.handle) < ?2"
    " ORDER BY lower(actor.handle) LIMIT ?3"
)
# A cross join, so that SQLite starts from the index on the address.
_BY_EMAIL: Final = (
    f"{COLUMNS}, lower(account.email) FROM account CROSS JOIN actor ON actor.did = account.did"
    " WHERE lower(account.email) >= ?1 AND lower(account.email) < ?2"
    " ORDER BY lower(account.email) LIMIT ?3"
)
_BY_DID: Final = (
    f"{COLUMNS}, actor.did {_FROM_ACTOR}"
    " WHERE actor.did >= ?1 AND actor.did < ?2 ORDER BY actor.did LIMIT ?3"
)
_NEWEST: Final = (
    f"{COLUMNS} {_FROM_ACTOR} WHERE (actor.createdAt, actor.did) < (?1, ?2)"
    " ORDER BY actor.createdAt DESC, actor.did DESC LIMIT ?3"
)


@dataclass(slots=True, frozen=True)
class AccountPage:
    """Some accounts, and where the next page begins."""

    accounts: tuple[ActorAccount, ...]
    next: str | None
    """The key after which the next page begins; None at the end."""
    is_partial: bool = False
    """Whether the page ends because it has looked at many accounts, not because it is full."""


def search_accounts(db: Database, text: str, *, after: str = "", limit: int) -> AccountPage:
    """Return accounts, in any state, with a DID, e-mail address or handle that begins with `text`.

    Text that begins with `did:` is looked for in DIDs, other text with an @ in addresses.
    """
    text = text.strip()[:LONGEST]
    statement = _BY_HANDLE
    if text.startswith("did:"):
        statement = _BY_DID
    elif "@" in text[1:]:
        statement = _BY_EMAIL
    else:
        text = text.removeprefix("@")
    text = _lower(text)
    # One bound from below, since SQLite seeks by one, and skips row by row to a second.
    first = f"{after[:LONGEST]}\0" if after else text
    rows = db.all(statement, (max(first, text), text + _LAST, limit + 1))
    more = rows[limit - 1][-1] if len(rows) > limit else None
    return AccountPage(tuple(account_of(row[:-1]) for row in rows[:limit]), more)


def list_accounts(
    db: Database, state: AccountFilter = "all", *, after: str = "", limit: int
) -> AccountPage:
    """Return accounts in a state, newest first. It looks at `EXAMINED` accounts at most."""
    created_at, _, did = after.partition(" ")
    # States have no index, so the rows are limited before they are chosen from.
    examined = limit if state == "all" else EXAMINED
    found: list[ActorAccount] = []
    last = after
    for number, row in enumerate(db.iter(_NEWEST, (created_at or _LAST, did, examined + 1))):
        if number == examined:
            return AccountPage(tuple(found), last, is_partial=len(found) < limit)
        account = account_of(row)
        last = _key_of(account)
        if state in ("all", account.status.value):
            if len(found) == limit:
                return AccountPage(tuple(found), _key_of(found[-1]))
            found.append(account)
    return AccountPage(tuple(found), None)


def _lower(text: str) -> str:
    """Return the text as lower() of SQLite does, which knows ASCII only."""
    return "".join(c.lower() if c.isascii() else c for c in text)


def _key_of(account: ActorAccount) -> str:
    return f"{account.created_at} {account.did}"
