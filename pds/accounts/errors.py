"""What can go wrong with accounts, sessions and codes, as one tree. Nothing here knows HTTP.

AccountError
├── AccountNotFound           no such account, or one hidden from the caller
│   ├── ActorNotFound         the same of the account that a request acts as
│   └── UnknownAccount        the same of an account that a request is about
├── AccountExists             this server already has the DID
├── AccountTakendown          the account has been taken down
├── AccountDeactivated        the account is deactivated
├── NoLogin                   the account has neither email address nor password
├── HandleTaken               another account has the handle (creating an account)
├── HandleNotAvailable        reserved, or another account has it (changing a handle)
├── InvalidHandle             syntax, or not allowed on a service domain
├── UnsupportedDomain         not a domain this server gives out handles under
├── HandleNotResolved         an external handle that does not lead to the DID
├── EmailTaken                another account has the address
├── EmailNotSupported         not an address that mail can be sent to
├── InvalidEmail              not the account's address
├── NoEmailAddress            the account has none to write to
├── InvalidInviteCode         unknown, used up or disabled
├── AdminInvitesNotDisabled   codes of `admin` cannot be disabled as a whole
├── InvalidCredentials        identifier and password do not belong together
├── PasswordTooLong           longer than any password that is checked
├── InvalidPasswordLength     longer than a new password may be
├── AppPasswordExists         the name is in use
├── TokenRequired             a confirmation token is needed
├── MissingTokenId            a refresh token without `jti`
├── InvalidToken              a session or email token that is not accepted
├── ExpiredToken              one that was, once
└── ServiceJwtError           see `pds.service_auth.jwt`

Messages are those of the reference PDS, for clients show them.
"""

from __future__ import annotations


class AccountError(Exception):
    """Something about an account. The message is fit to be shown to the client."""


class AccountNotFound(AccountError):
    """There is no such account, or it is hidden from this caller."""

    def __init__(self, message: str = "Account not found") -> None:
        super().__init__(message)


class ActorNotFound(AccountNotFound):
    """There is no account to act as, although a session or a request names one."""


class UnknownAccount(AccountNotFound):
    """There is no account like the one that the request is about.

    Methods that have no name for this error raise it with messages of their own.
    """

    def __init__(self, message: str = "account not found") -> None:
        super().__init__(message)


class AccountExists(AccountError):
    """This server already has an account of the DID."""

    def __init__(self, did: str) -> None:
        self.did = did
        super().__init__(f"Account already exists: {did}")


class AccountTakendown(AccountError):
    """The account has been taken down."""

    def __init__(self) -> None:
        super().__init__("Account has been taken down")


class AccountDeactivated(AccountError):
    """The account is deactivated."""

    def __init__(self) -> None:
        super().__init__("Account is deactivated")


class NoLogin(AccountError):
    """The account was made without a password, so it has no email address either."""

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
    """This server gives out no handles under the domain."""

    def __init__(self) -> None:
        super().__init__("Not a supported handle domain")


class HandleNotResolved(AccountError):
    """The handle belongs to a domain of the user's, which does not point to the DID."""

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

    def __init__(self) -> None:
        super().__init__("This email address is not supported, please use a different email.")


class InvalidEmail(AccountError):
    """The address is not the account's."""

    def __init__(self) -> None:
        super().__init__("invalid email")


class NoEmailAddress(AccountError):
    """There is no address to write to."""

    def __init__(self) -> None:
        super().__init__("account does not have an email address")


class InvalidInviteCode(AccountError):
    """The invite code is unknown, disabled or used up, or its owner is taken down."""

    def __init__(self, message: str = "Provided invite code not available") -> None:
        super().__init__(message)


class AdminInvitesNotDisabled(AccountError):
    """All invite codes of the admin were to be disabled at once."""

    def __init__(self) -> None:
        super().__init__("cannot disable admin invite codes")


class InvalidCredentials(AccountError):
    """No account has this identifier and password."""

    def __init__(self, message: str = "Invalid identifier or password") -> None:
        super().__init__(message)


class PasswordTooLong(AccountError):
    """The password is longer than any that is checked."""

    def __init__(self) -> None:
        super().__init__("Password too long. Consider resetting your password.")


class InvalidPasswordLength(AccountError):
    """The new password is too long."""

    def __init__(self, message: str = "Invalid password length.") -> None:
        super().__init__(message)


class AppPasswordExists(AccountError):
    """The account already has an app password of this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"App password already exists: {name}")


class TokenRequired(AccountError):
    """The change must be confirmed with a token sent by mail."""

    def __init__(self) -> None:
        super().__init__("confirmation token required")


class MissingTokenId(AccountError):
    """A refresh token without the `jti` that names its session."""

    def __init__(self) -> None:
        super().__init__("Unexpected missing refresh token id")


class InvalidToken(AccountError):
    """A session or email token that is forged, malformed, misused or unknown."""


class ExpiredToken(AccountError):
    """A session or email token that has expired or been revoked."""
