"""Confirming and changing the email addresses of accounts."""

from __future__ import annotations

import time
from collections.abc import Callable

from database.connection import Database
from database.retry import write
from database.timestamps import Clock, iso_of
from pds.accounts.account import ActorAccount
from pds.accounts.account_store import AccountStore
from pds.accounts.availability import check_email_free_for
from pds.accounts.email_tokens import EmailTokenPurpose, EmailTokens
from pds.accounts.errors import (
    AccountNotFound,
    InvalidEmail,
    NoEmailAddress,
    TokenRequired,
)
from repo.syntax import Did


class Emails:
    """Confirms and changes the address that an account logs in with and receives mail at."""

    def __init__(
        self, db: Database, store: AccountStore, tokens: EmailTokens, *, clock: Clock = time.time
    ) -> None:
        self._db = db
        self._store = store
        self._tokens = tokens
        self._clock = clock

    async def confirm(self, did: Did, email: str, token: str) -> None:
        """Mark the account's address as confirmed.

        Raises `AccountNotFound`, `InvalidEmail`, `InvalidToken` or `ExpiredToken`.
        """

        def confirm() -> None:
            account = self._store.find(did, include_deactivated=True)
            if account is None:
                raise AccountNotFound("user not found")
            if account.email != email.lower():
                raise InvalidEmail
            self._tokens.take(did, EmailTokenPurpose.CONFIRM_EMAIL, token)
            self._store.set_email_confirmed(did, iso_of(self._clock()))

        await write(self._db, confirm)

    async def change(
        self, did: Did, email: str, *, token: str | None, also: Callable[[], None] | None = None
    ) -> None:
        """Change the address on behalf of the user, which voids all tokens.

        Replacing a confirmed address requires a token. `also` is done in the same transaction, if
        the address may be changed, and before it is.

        Raises `AccountNotFound`, `NoEmailAddress`, `TokenRequired`, `InvalidToken`,
        `ExpiredToken` or `EmailTaken`.
        """

        def change() -> None:
            account = self._store.find(did, include_deactivated=True)
            if account is None:
                raise AccountNotFound("account not found")
            if account.email is None:
                raise NoEmailAddress
            if account.email_confirmed_at is not None and not token:
                raise TokenRequired
            if token:
                self._tokens.check(did, EmailTokenPurpose.UPDATE_EMAIL, token)
            if also is not None:
                also()
            self._set(account, email)

        await write(self._db, change)

    async def update(self, did: Did, email: str) -> None:
        """Change the address for the admin. Raises `AccountNotFound`, `NoLogin` or `EmailTaken`."""
        await write(self._db, lambda: self._set(self._store.get_with_login(did), email))

    def _set(self, account: ActorAccount, email: str) -> None:
        """Set an unconfirmed address, and void the tokens sent to the old one."""
        check_email_free_for(self._store, account.did, email)
        self._store.set_email(account.did, email.lower())
        self._tokens.delete_all(account.did)
