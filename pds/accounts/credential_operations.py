"""Email addresses, passwords and the tokens that confirm changes: the account manager's part."""

from __future__ import annotations

from database.retry import write
from pds.accounts.account import ActorAccount
from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import (
    AccountNotFound,
    EmailTaken,
    InvalidEmail,
    InvalidPasswordLength,
    NoEmailAddress,
    TokenRequired,
)
from pds.accounts.passwords import MAX_NEW_LENGTH, OPERATOR, Asker
from pds.accounts.stores import AccountStores
from repo.syntax import Did


class CredentialOperations(AccountStores):
    """Changes of what an account logs in with."""

    async def create_email_token(self, did: Did, purpose: EmailTokenPurpose) -> str:
        """A token to be sent to the account's address, valid for 15 minutes."""
        return await write(
            self.db, lambda: self.email_tokens.create(did, purpose, now_s=self._clock())
        )

    def check_email_token(self, did: Did, purpose: EmailTokenPurpose, token: str) -> None:
        """Check a token and leave it. Raises `InvalidToken` or `ExpiredToken`."""
        self.email_tokens.check(did, purpose, token, now_s=self._clock())

    async def use_email_token(self, did: Did, purpose: EmailTokenPurpose, token: str) -> None:
        """Check a token and forget it. Raises `InvalidToken` or `ExpiredToken`."""

        def use() -> None:
            self.email_tokens.check(did, purpose, token, now_s=self._clock())
            self.email_tokens.delete(did, purpose)

        await write(self.db, use)

    async def confirm_email(self, did: Did, email: str, token: str) -> None:
        """Note that the account's address is right.

        Raises `AccountNotFound`, `InvalidEmail`, `InvalidToken` or `ExpiredToken`.
        """

        def confirm() -> None:
            account = self.store.find(did, include_deactivated=True)
            if account is None:
                raise AccountNotFound("user not found")
            if account.email != email.lower():
                raise InvalidEmail
            purpose = EmailTokenPurpose.CONFIRM_EMAIL
            self.email_tokens.check(did, purpose, token, now_s=self._clock())
            self.email_tokens.delete(did, purpose)
            self.store.set_email_confirmed(did, self._now_iso())

        await write(self.db, confirm)

    async def change_email(self, did: Did, email: str, *, token: str | None) -> None:
        """Change the address as its user; a confirmed one needs a token. All tokens are void then.

        Raises `AccountNotFound`, `NoEmailAddress`, `TokenRequired`, `InvalidToken`,
        `ExpiredToken` or `EmailTaken`.
        """

        def change() -> None:
            account = self.store.find(did, include_deactivated=True)
            if account is None:
                raise AccountNotFound("account not found")
            if account.email is None:
                raise NoEmailAddress
            if account.email_confirmed_at is not None and not token:
                raise TokenRequired
            if token:
                purpose = EmailTokenPurpose.UPDATE_EMAIL
                self.email_tokens.check(did, purpose, token, now_s=self._clock())
            self._set_email(account, email)

        await write(self.db, change)

    async def update_email(self, did: Did, email: str) -> None:
        """Change the address as the admin. Raises `AccountNotFound`, `NoLogin` or `EmailTaken`."""
        await write(self.db, lambda: self._set_email(self._get_with_login(did), email))

    async def hash_new_password(self, did: Did, password: str, *, asker: Asker = OPERATOR) -> str:
        """The hash of a password for a new account. Raises `InvalidPasswordLength` or `TooBusy`."""
        if len(password) > MAX_NEW_LENGTH:
            raise InvalidPasswordLength(
                f"Password too long. Maximum length is {MAX_NEW_LENGTH} characters."
            )
        return await self._hash(did, password, asker)

    async def reset_password(self, token: str, password: str, *, asker: Asker = OPERATOR) -> Did:
        """Set the password of whoever was sent the token, and end their sessions at once.

        Raises `InvalidPasswordLength`, `InvalidToken`, `ExpiredToken` or `TooBusy`.
        """

        def find() -> Did:
            return self.email_tokens.find_did(
                EmailTokenPurpose.RESET_PASSWORD, token, now_s=self._clock()
            )

        def reset() -> tuple[Did, int]:
            did = find()
            return did, self._set_password(did, stored)

        _check_new(password)
        # Hashing takes 50 ms of a core: nobody gets that for a token that was guessed.
        stored = await self._hash(find(), password, asker)
        did, valid_from = await write(self.db, reset)
        self.access_cutoffs.remember(did, valid_from)
        return did

    async def update_password(self, did: Did, password: str) -> None:
        """Set the password as the admin, and end the account's sessions at once.

        Raises `InvalidPasswordLength`, `AccountNotFound`, `NoLogin` or `TooBusy`.
        """
        _check_new(password)
        stored = await self._hash(did, password, OPERATOR)
        valid_from = await write(self.db, lambda: self._set_password(did, stored))
        self.access_cutoffs.remember(did, valid_from)

    async def _hash(self, did: Did, password: str, asker: Asker) -> str:
        async with self._hasher.turn(asker, about=did) as hashing:
            return await hashing.hash(password)

    def _set_password(self, did: Did, stored: str) -> int:
        """Set a password. Returns where access tokens count from, to be remembered."""
        self._get_with_login(did)
        self.store.set_password_hash(did, stored)
        self.email_tokens.delete(did, EmailTokenPurpose.RESET_PASSWORD)
        self._end_all_sessions(did)
        return self.access_cutoffs.save(did)

    def _set_email(self, account: ActorAccount, email: str) -> None:
        """Set an address that then is not confirmed; tokens sent to the old one are void."""
        other = self.store.find_by_email(email, include_takendown=True, include_deactivated=True)
        if other is not None and other.did != account.did:
            raise EmailTaken
        self.store.set_email(account.did, email.lower())
        self.email_tokens.delete_all(account.did)


def _check_new(password: str) -> None:
    if not 0 < len(password) <= MAX_NEW_LENGTH:
        raise InvalidPasswordLength
