"""An account of this server, as described by its two rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from repo.syntax import Did

INVALID_HANDLE: Final = "handle.invalid"
"""Shown when an account has no valid handle."""


class AccountStatus(StrEnum):
    """The state of an account, by its name on the wire."""

    ACTIVE = "active"
    TAKENDOWN = "takendown"
    SUSPENDED = "suspended"
    """Part of the protocol; this server never sets it."""
    DEACTIVATED = "deactivated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class ActorAccount:
    """A row of `actor` and, for accounts that can log in, its row of `account`.

    Times are ISO 8601 text with milliseconds.
    """

    did: Did
    handle: str | None
    created_at: str
    takedown_ref: str | None
    deactivated_at: str | None
    delete_after: str | None
    email: str | None
    """None for an account without a password."""
    email_confirmed_at: str | None
    invites_disabled: bool

    @property
    def shown_handle(self) -> str:
        """The handle, or `INVALID_HANDLE` for an account without one."""
        return self.handle or INVALID_HANDLE

    @property
    def status(self) -> AccountStatus:
        """The status that `status_from` derives from the row."""
        return status_from(self.takedown_ref, self.deactivated_at)

    @property
    def active(self) -> bool:
        """Whether the account is neither taken down nor deactivated."""
        return self.takedown_ref is None and self.deactivated_at is None


def status_from(takedown_ref: str | None, deactivated_at: str | None) -> AccountStatus:
    """Derive the status from two columns of `actor`; a takedown outranks a deactivation."""
    if takedown_ref is not None:
        return AccountStatus.TAKENDOWN
    if deactivated_at is not None:
        return AccountStatus.DEACTIVATED
    return AccountStatus.ACTIVE


def status_of(account: ActorAccount | None) -> AccountStatus:
    """Return the status of an account; None, for one that does not exist, means deleted."""
    return AccountStatus.DELETED if account is None else account.status
