"""What keeps a move from going on.

MoveProblem                 `kind` says what it is, for the person who moves
└── OtherServerRefused      the other server has answered with an error of the protocol
"""

from __future__ import annotations

from enum import StrEnum


class Problem(StrEnum):
    """What a move waits for, or why it is not begun."""

    AWAY = "away"
    """The other server cannot be reached, or fails."""
    SLOW = "slow"
    """The other server sends too slowly."""
    WRONG = "wrong"
    """The other server's answers are not those of the protocol."""
    REFUSED = "refused"
    """The other server has refused a request."""
    PASSWORD = "password"  # noqa: S105 (a name)
    """The other server does not know this password."""
    FACTOR = "factor"
    """The other server asks for a code that it has sent by mail, or for another second factor."""
    SIGNED_OUT = "signed-out"
    """The session at the other server has ended."""
    UNKNOWN = "unknown"
    """There is no such account, or its server is not known."""
    OURS = "ours"
    """The account is on this server already."""
    FORMER = "former"
    """This server has a copy of the account from before it moved away: its owner has to sign in."""
    ACTIVE = "active"
    """As FORMER, and the copy was never deactivated."""
    FORMER_THERE = "former-there"
    """The new server has such a copy, with another password."""
    HERE = "here"
    """A move of this account has been begun, and it has a password here."""
    QUOTA = "quota"
    """The account does not fit into the space that the new server gives it."""
    TOO_LARGE = "too-large"
    """The repository is larger than the new server takes."""
    NO_IMPORTS = "no-imports"
    """This server takes no repositories."""
    REPOSITORY = "repository"
    """The repository is damaged, or not signed by the account."""
    CODE = "code"
    """The code of the mail is wrong or has expired."""
    OPERATION = "operation"
    """The old server has signed something else than it was asked for."""
    DIRECTORY = "directory"
    """The PLC directory does not answer, or refuses."""
    DOCUMENT = "document"
    """The document of a did:web does not name the new server yet."""
    CHANGED = "changed"
    """Something was written at the old server after the copy was made."""
    LOST = "lost"
    """Blobs are missing, and the person has not accepted that."""
    UNSURE = "unsure"
    """The last question has not been answered."""
    BUSY = "busy"
    """This server has too much to do, or a full disk."""
    STEP = "step"
    """The move is at another step: another browser has gone on."""
    TOO_LATE = "too-late"
    """The DID names the new server already: there is no way back."""


class MoveProblem(Exception):
    """The move stops here, and nothing has been changed by this step."""

    def __init__(self, kind: Problem, said: str = "") -> None:
        """`said` is what the server that is the reason has said."""
        super().__init__(f"{kind}: {said}" if said else str(kind))
        self.kind = kind
        self.said = said


class OtherServerRefused(MoveProblem):
    """The other server has refused a request."""

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(Problem.REFUSED, message or name)
        self.status = status
        self.name = name
