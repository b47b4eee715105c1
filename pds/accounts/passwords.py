"""Setting the passwords of accounts, which ends their sessions."""

from __future__ import annotations

from typing import Final

from database.connection import Database
from database.retry import write
from pds.accounts.access_cutoffs import AccessCutoffs
from pds.accounts.account_store import AccountStore
from pds.accounts.email_tokens import EmailTokenPurpose, EmailTokens
from pds.accounts.errors import InvalidPasswordLength
from pds.accounts.hashing import OPERATOR, Asker, PasswordHasher
from pds.accounts.sessions import Sessions
from repo.syntax import Did

MIN_CHOSEN_LENGTH: Final = 8
"""The shortest password that the operator may choose, in characters. Clients set their own minimum
for users."""
MAX_NEW_LENGTH: Final = 256
"""The longest password that can be set, in characters."""


class Passwords:
    """Sets the passwords of accounts. `Logins` checks them."""

    def __init__(
        self,
        db: Database,
        store: AccountStore,
        *,
        email_tokens: EmailTokens,
        sessions: Sessions,
        cutoffs: AccessCutoffs,
        hasher: PasswordHasher,
    ) -> None:
        self._db = db
        self._store = store
        self._email_tokens = email_tokens
        self._sessions = sessions
        self._cutoffs = cutoffs
        self._hasher = hasher

    async def hash_new(self, did: Did, password: str, *, asker: Asker = OPERATOR) -> str:
        """Hash the password of a new account. Raises `InvalidPasswordLength` or `TooBusy`."""
        if len(password) > MAX_NEW_LENGTH:
            raise InvalidPasswordLength(
                f"Password too long. Maximum length is {MAX_NEW_LENGTH} characters."
            )
        return await self._hash(did, password, asker)

    async def reset(self, token: str, password: str, *, asker: Asker = OPERATOR) -> Did:
        """Set the password of the account the token was sent to, and end its sessions immediately.

        Raises `InvalidPasswordLength`, `InvalidToken`, `ExpiredToken` or `TooBusy`.
        """

        def find() -> Did:
            return self._email_tokens.find_did(EmailTokenPurpose.RESET_PASSWORD, token)

        def reset() -> tuple[Did, int]:
            did = find()
            return did, self._set(did, stored)

        _check_new(password)
        # The token is checked first: hashing takes 50 ms of a core, too much for a guessed one.
        stored = await self._hash(find(), password, asker)
        did, valid_from = await write(self._db, reset)
        self._cutoffs.remember(did, valid_from)
        return did

    async def update(self, did: Did, password: str) -> None:
        """Set the password for the admin, and end the account's sessions immediately.

        Raises `InvalidPasswordLength`, `AccountNotFound`, `NoLogin` or `TooBusy`.
        """
        _check_new(password)
        stored = await self._hash(did, password, OPERATOR)
        valid_from = await write(self._db, lambda: self._set(did, stored))
        self._cutoffs.remember(did, valid_from)

    async def _hash(self, did: Did, password: str, asker: Asker) -> str:
        async with self._hasher.turn(asker, about=did) as hashing:
            return await hashing.hash(password)

    def _set(self, did: Did, stored: str) -> int:
        """Set a password, and return the new access token cutoff, to be remembered."""
        self._store.get_with_login(did)
        self._store.set_password_hash(did, stored)
        self._email_tokens.delete(did, EmailTokenPurpose.RESET_PASSWORD)
        self._sessions.end_all(did)
        return self._cutoffs.save(did)


def _check_new(password: str) -> None:
    if not 0 < len(password) <= MAX_NEW_LENGTH:
        raise InvalidPasswordLength
