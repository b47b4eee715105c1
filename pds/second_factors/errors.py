"""Errors about second factors, as one tree. Nothing here knows HTTP.

SecondFactorError
├── SecondFactorRequired      the password is right, and a second factor is missing
├── WrongCode                 no code of the account, or one that was used or has expired
├── TooManyWrongCodes         short codes are refused for a while
├── PasskeyRefused            an answer of a passkey that does not prove what it should
│   └── PasskeyCopied         the passkey has counted fewer uses than the server: it has a twin
├── TooManyPasskeys           the account has as many as it may have
├── AppExists                 the account has an authenticator app already
└── AddressNotConfirmed       codes cannot be mailed to an address that nobody has confirmed
"""

from __future__ import annotations


class SecondFactorError(Exception):
    """An error about second factors. The message may be shown to the person."""


class SecondFactorRequired(SecondFactorError):
    """The account takes a second factor besides the password.

    The message is the same whichever factors there are, and must stay so.
    """

    def __init__(self) -> None:
        super().__init__(
            "A second factor is required: a code that was sent to your email address, of your "
            "authenticator app, or a recovery code"
        )


class WrongCode(SecondFactorError):
    """The code is not one of the account, or it was used, or it has expired.

    Clients of the protocol look for this message.
    """

    def __init__(self) -> None:
        super().__init__("Token is invalid")


class TooManyWrongCodes(SecondFactorError):
    """So many wrong codes were given that short ones are refused; long ones still work."""

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(
            "Too many wrong codes. Use a recovery code, a mailed code or a passkey, or try again "
            "later"
        )


class PasskeyRefused(SecondFactorError):
    """The answer of a passkey is malformed, forged, late, repeated, or of an unknown passkey."""

    def __init__(self, message: str = "The passkey was not accepted") -> None:
        super().__init__(message)


class PasskeyCopied(PasskeyRefused):
    """The passkey's counter has not risen, so that another device holds a copy of its key."""

    def __init__(self) -> None:
        super().__init__("This passkey may have been copied: remove it, and set up a new one")


class TooManyPasskeys(SecondFactorError):
    """The account has as many passkeys as it may have."""

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(f"An account can have at most {most} passkeys")


class AppExists(SecondFactorError):
    """The account has an authenticator app, which must be removed before another is set up."""

    def __init__(self) -> None:
        super().__init__("The account has an authenticator app already")


class AddressNotConfirmed(SecondFactorError):
    """The account's address is not confirmed, so that mailed codes might reach nobody."""

    def __init__(self) -> None:
        super().__init__("Confirm your email address before you turn on codes by email")
