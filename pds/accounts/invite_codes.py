"""Reading the tables `invite_code` and `invite_code_use`: invite codes and their uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from database.connection import Database, array_of
from database.timestamps import epoch_ms_of, iso_of
from pds.accounts.errors import InvalidInviteCode
from repo.syntax import Did

ADMIN: Final = "admin"
"""`created_by` and `for_account` of codes created by the operator."""

InviteSort: TypeAlias = Literal["recent", "usage"]

COLUMNS: Final = "code, availableUses, disabled, forAccount, createdBy, createdAt"
"""Columns of `invite_code`, in the order of the fields of `InviteCode`."""
_PAGES: Final = {
    "recent": f"""
        SELECT {COLUMNS}, 0 FROM invite_code
        WHERE ?1 IS NULL OR (createdAt, code) < (?1, ?2)
        ORDER BY createdAt DESC, code DESC LIMIT ?3
    """,
    "usage": f"""
        SELECT {COLUMNS}, uses FROM (
            SELECT {COLUMNS}, (
                SELECT count(*) FROM invite_code_use WHERE code = invite_code.code
            ) AS uses FROM invite_code
        )
        WHERE ?1 IS NULL OR (uses, code) < (?1, ?2)
        ORDER BY uses DESC, code DESC LIMIT ?3
    """,
}

_NEWEST: Final = (
    f"SELECT {COLUMNS}, rowid FROM invite_code WHERE rowid < ? ORDER BY rowid DESC LIMIT ?"
)
_LAST_ROW: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class InviteUse:
    """An account created with a code. `used_at` is ISO 8601 with milliseconds."""

    used_by: Did
    used_at: str


@dataclass(frozen=True, slots=True)
class InviteCode:
    """A code and its uses, newest first. `available` is the total number of uses it allows."""

    code: str
    available: int
    disabled: bool
    for_account: str
    """A DID or `admin`."""
    created_by: str
    """A DID or `admin`."""
    created_at: str
    uses: tuple[InviteUse, ...]

    @property
    def used_up(self) -> bool:
        """Whether no uses are left."""
        return len(self.uses) >= self.available

    def to_json(self) -> dict[str, Any]:
        """Return the code in the form of the API: com.atproto.server.defs#inviteCode."""
        return {
            "code": self.code,
            "available": self.available,
            "disabled": self.disabled,
            "forAccount": self.for_account,
            "createdBy": self.created_by,
            "createdAt": self.created_at,
            "uses": [{"usedBy": use.used_by, "usedAt": use.used_at} for use in self.uses],
        }


class InvalidInviteCursor(ValueError):
    """The cursor of a list of invite codes is malformed."""


class InviteReader:
    """Reads invite codes. `Invites` changes them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def ensure_available(self, code: str) -> None:
        """Raise `InvalidInviteCode` unless another account may be created with the code."""
        row = self._db.one(
            "SELECT availableUses, disabled, actor.takedownRef,"
            " (SELECT count(*) FROM invite_code_use WHERE code = invite_code.code)"
            " FROM invite_code LEFT JOIN actor ON actor.did = forAccount WHERE code = ?",
            (code,),
        )
        if row is None:
            raise InvalidInviteCode
        available, disabled, takedown_ref, uses = row
        if disabled or takedown_ref is not None or uses >= available:
            raise InvalidInviteCode

    def of_account(self, did: str) -> list[InviteCode]:
        """Return the codes that belong to an account, oldest first."""
        return self.of_accounts([did]).get(did, [])

    def of_accounts(self, dids: Sequence[str]) -> dict[str, list[InviteCode]]:
        """Return the codes of several accounts, oldest first, by DID."""
        rows = self._db.all(
            f"SELECT {COLUMNS} FROM invite_code WHERE forAccount IN (SELECT value FROM carray(?))"
            " ORDER BY createdAt, code",
            (array_of(dids),),
        )
        by_did: dict[str, list[InviteCode]] = {}
        for code in self._with_uses(rows):
            by_did.setdefault(code.for_account, []).append(code)
        return by_did

    def used_by(self, dids: Sequence[str]) -> dict[str, InviteCode]:
        """Return the code that each of several accounts was created with, by the account's DID."""
        used = self._db.all(
            "SELECT usedBy, code FROM invite_code_use"
            " WHERE usedBy IN (SELECT value FROM carray(?))",
            (array_of(dids),),
        )
        rows = self._db.all(
            f"SELECT {COLUMNS} FROM invite_code WHERE code IN (SELECT value FROM carray(?))",
            (array_of(code for _, code in used),),
        )
        by_code = {code.code: code for code in self._with_uses(rows)}
        return {did: by_code[code] for did, code in used if code in by_code}

    def known(self, codes: Sequence[str]) -> set[str]:
        """Return those of `codes` that exist, in any state."""
        rows = self._db.all(
            "SELECT code FROM invite_code WHERE code IN (SELECT value FROM carray(?))",
            (array_of(codes),),
        )
        return {code for (code,) in rows}

    def page(
        self, sort: InviteSort, *, limit: int, cursor: str | None
    ) -> tuple[list[InviteCode], str | None]:
        """Return a page of all codes, newest or most used first, and the cursor of the next page.

        The cursor is `<ms>::<code>` or `<uses>::<code>`. Raises `InvalidInviteCursor`.
        """
        key, last_code = _read_cursor(sort, cursor)
        rows = self._db.all(_PAGES[sort], (key, last_code, limit))
        if not rows:
            return [], None
        last = rows[-1]
        head = epoch_ms_of(last[5]) if sort == "recent" else last[6]
        return self._with_uses([row[:6] for row in rows]), f"{head}::{last[0]}"

    def newest(self, *, limit: int, before: int | None) -> tuple[list[InviteCode], int | None]:
        """Return the codes that were made last, and the `before` of the next page, if any.

        Goes along the table, whatever its size, unlike `page`.
        """
        rows = self._db.all(_NEWEST, (_LAST_ROW if before is None else before, limit + 1))
        more = rows[limit - 1][-1] if len(rows) > limit else None
        return self._with_uses([row[:-1] for row in rows[:limit]]), more

    def _with_uses(self, rows: Sequence[tuple[Any, ...]]) -> list[InviteCode]:
        uses: dict[str, list[InviteUse]] = {}
        for code, used_by, used_at in self._db.all(
            "SELECT code, usedBy, usedAt FROM invite_code_use"
            " WHERE code IN (SELECT value FROM carray(?)) ORDER BY usedAt DESC",
            (array_of(row[0] for row in rows),),
        ):
            uses.setdefault(code, []).append(InviteUse(used_by, used_at))
        return [
            InviteCode(
                code=code,
                available=available,
                disabled=bool(disabled),
                for_account=for_account,
                created_by=created_by,
                created_at=created_at,
                uses=tuple(uses.get(code, ())),
            )
            for code, available, disabled, for_account, created_by, created_at in rows
        ]


def _read_cursor(sort: InviteSort, cursor: str | None) -> tuple[str | int | None, str | None]:
    if cursor is None:
        return None, None
    head, separator, code = cursor.partition("::")
    if (
        not separator
        or not code
        or "::" in code
        or len(head) > 15
        or not (head.isascii() and head.isdigit())
    ):
        raise InvalidInviteCursor("Malformed cursor")
    try:
        return (iso_of(int(head) / 1000) if sort == "recent" else int(head)), code
    except (ValueError, OverflowError) as exc:
        raise InvalidInviteCursor("Malformed cursor") from exc
