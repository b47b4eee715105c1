"""The table `holdfast_kept_address`: where codes go until a new e-mail address is confirmed.

A mistyped address would lock its owner out, and let a stranger read the codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from database.connection import Database

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from repo.syntax import Did


class KeptAddresses:
    """One former address for each account that has a new one."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def of(self, account: ActorAccount) -> str | None:
        """Return where codes of an account are mailed to; None if it has no address.

        What was kept counts only while the address that it was kept for is that of the account, and
        unconfirmed: one that the operator sets later, or the reference PDS, gets the codes.
        """
        if account.email is None or account.email_confirmed_at is not None:
            return account.email
        kept: str | None = self._db.value(
            "SELECT address FROM holdfast_kept_address WHERE did = ? AND insteadOf = ?",
            (account.did, account.email),
        )
        return kept or account.email

    def keep(self, account: ActorAccount, *, instead_of: str) -> None:
        """Go on with the present address of an account when it gets the address `instead_of`.

        Call it inside a transaction, before the change.
        """
        self._db.run(
            "INSERT OR REPLACE INTO holdfast_kept_address (did, address, insteadOf)"
            " VALUES (?, ?, ?)",
            (account.did, self.of(account), instead_of.lower()),
        )

    def remove(self, did: Did) -> None:
        """Forget the former address of an account, inside a transaction. May be repeated."""
        self._db.run("DELETE FROM holdfast_kept_address WHERE did = ?", (did,))
