"""Errors about accounts, sessions and codes, as one tree. Nothing here knows HTTP.

AccountError
├── AccountNotFound           no such account, or one hidden from the caller
│   ├── ActorNotFound         the same, for the account that a request acts as
│   └── UnknownAccount        the same, for an account that a request is about
├── AccountExists             this server already has the DID
├── AccountTakendown          the account is taken down
├── AccountDeactivated        the account is deactivated
├── NoLogin                   the account has neither email address nor password
├── HandleTaken               another account has the handle (creating an account)
├── HandleNotAvailable        reserved, or another account has it (changing a handle)
├── InvalidHandle             malformed, or not allowed on a service domain
├── UnsupportedDomain         not a domain this server provides handles under
├── HandleNotResolved         an external handle that does not resolve to the DID
├── EmailTaken                another account has the address
├── EmailNotSupported         not an address that mail can be sent to
├── InvalidEmail              not the account's address
├── NoEmailAddress            the account has no address to send mail to
├── InvalidInviteCode         unknown, used up or disabled
├── AdminInvitesNotDisabled   codes of `admin` cannot be disabled as a whole
├── InvalidCredentials        identifier and password do not match an account
├── PasswordTooLong           longer than the limit for passwords to check
├── InvalidPasswordLength     longer than the limit for new passwords
├── AppPasswordExists         the name is in use
├── TokenRequired             a confirmation token is needed
├── MissingTokenId            a refresh token without `jti`
├── InvalidToken              a session or email token that is not accepted
├── ExpiredToken              one that has expired or been revoked
└── ServiceJwtError           see `pds.service_auth.jwt`

Messages are those of the reference PDS, because clients show them.
"""

from __future__ import annotations


class AccountError(Exception):
    """An error about an account. The message may be shown to the client."""


class AccountNotFound(AccountError):
    """The account does not exist, or is hidden from this caller."""

    def __init__(self, message: str = "Account not found") -> None:
        super().__init__(message)


class ActorNotFound(AccountNotFound):
    """The account to act as, named by a session or request, does not exist."""


class UnknownAccount(AccountNotFound):
    """The account that the request is about does not exist.

    Methods whose Lexicon has no name for this error raise it with their own messages.
    """

    def __init__(self, message: str = "account not found") -> None:
        super().__init__(message)


class AccountExists(AccountError):
    """This server already has an account with the DID."""

    def __init__(self, did: str) -> None:
        self.did = did
        super().__init__(f"Account already exists: {did}")


class AccountTakendown(AccountError):
    """The account is taken down."""

    def __init__(self) -> None:
        super().__init__("Account has been taken down")


class AccountDeactivated(AccountError):
    """The account is deactivated."""

    def __init__(self) -> None:
        super().__init__("Account is deactivated")


class NoLogin(AccountError):
    """The account was created without a password, so it has no email address either."""

    def __init__(self, did: str) -> None:
        self.did = did
        super().__init__(f"The account has no email address and password: {did}")


class HandleTaken(AccountError):
    """Another account of this server has the handle."""

    def __init__(self, handle: str) -> None:
        self.handle = handle
        super().__init__(f"Handle already taken: {handle}")


class HandleNotAvailable(AccountError):
    """The handle is reserved, or another account has it."""


class InvalidHandle(AccountError):
    """The handle is malformed or breaks a rule of its domain."""


class UnsupportedDomain(AccountError):
    """This server does not provide handles under the domain."""

    def __init__(self) -> None:
        super().__init__("Not a supported handle domain")


class HandleNotResolved(AccountError):
    """The handle is under a domain of the user's, and does not resolve to the DID."""

    def __init__(self) -> None:
        super().__init__("External handle did not resolve to DID")


class EmailTaken(AccountError):
    """Another account of this server has the email address."""

    def __init__(
        self, message: str = "This email address is already in use, please use a different email."
    ) -> None:
        super().__init__(message)


class EmailNotSupported(AccountError):
    """The text is not an email address that mail can be sent to."""

    def __init__(
        self, message: str = "This email address is not supported, please use a different email."
    ) -> None:
        super().__init__(message)


class InvalidEmail(AccountError):
    """The address is not that of the account."""

    def __init__(self) -> None:
        super().__init__("invalid email")


class NoEmailAddress(AccountError):
    """The account has no email address."""

    def __init__(self) -> None:
        super().__init__("account does not have an email address")


class InvalidInviteCode(AccountError):
    """The invite code is unknown, disabled or used up, or its owner is taken down."""

    def __init__(self, message: str = "Provided invite code not available") -> None:
        super().__init__(message)


class AdminInvitesNotDisabled(AccountError):
    """The admin's invite codes cannot be disabled all at once."""

    def __init__(self) -> None:
        super().__init__("cannot disable admin invite codes")


class InvalidCredentials(AccountError):
    """No account has this identifier and password."""

    def __init__(self, message: str = "Invalid identifier or password") -> None:
        super().__init__(message)


class PasswordTooLong(AccountError):
    """The password is longer than the limit for passwords to check."""

    def __init__(self) -> None:
        super().__init__("Password too long. Consider resetting your password.")


class InvalidPasswordLength(AccountError):
    """The new password is too long."""

    def __init__(self, message: str = "Invalid password length.") -> None:
        super().__init__(message)


class AppPasswordExists(AccountError):
    """The account already has an app password with this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"App password already exists: {name}")


class TokenRequired(AccountError):
    """The change must be confirmed with a token sent by mail."""

    def __init__(self) -> None:
        super().__init__("confirmation token required")


class MissingTokenId(AccountError):
    """The refresh token has no `jti`, which identifies its session."""

    def __init__(self) -> None:
        super().__init__("Unexpected missing refresh token id")


class InvalidToken(AccountError):
    """A session or email token that is forged, malformed, misused or unknown."""


class ExpiredToken(AccountError):
    """A session or email token that has expired or been revoked."""
