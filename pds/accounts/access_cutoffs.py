"""The table `holdfast_access_cutoff`: from which time on an account's access tokens are valid.

Access tokens are stateless, but a new password must revoke them nevertheless. The table is our own
addition to the service database; the reference PDS ignores it.
"""

from __future__ import annotations

from typing import Final

from database.change_watch import ChangeWatch
from database.connection import Database
from database.timestamps import Clock
from pds.accounts.session_tokens import ACCESS_LIFETIME_S
from repo.syntax import Did

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_access_cutoff (
  did TEXT PRIMARY KEY,
  validFrom INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""
_SAVE: Final = (
    "INSERT INTO holdfast_access_cutoff (did, validFrom) VALUES (?, ?)"
    " ON CONFLICT (did) DO UPDATE SET validFrom = excluded.validFrom"
)


def read_cutoff(db: Database, did: str) -> int:
    """Return the second from which an account's tokens are valid, as the table has it; or 0."""
    found = db.value("SELECT validFrom FROM holdfast_access_cutoff WHERE did = ?", (did,))
    return int(found or 0)


class AccessCutoffs:
    """For accounts with revoked tokens, the Unix second from which issued tokens are valid.

    Such accounts are few, and each entry matters only for the lifetime of an access token. They are
    all in memory, and read again when another process has changed the file.
    """

    def __init__(self, db: Database, watch: ChangeWatch, *, clock: Clock) -> None:
        """Create the table if necessary."""
        self._db = db
        self._watch = watch
        self._clock = clock
        self._valid_from: dict[str, int] = {}
        db.run(_SCHEMA)
        watch.on_change(self._read)

    def find(self, did: str) -> int:
        """Return the second from which the account's tokens are valid; 0 if all are."""
        if self._db.connection.in_transaction:
            return read_cutoff(self._db, did)
        self._watch.look()
        return self._valid_from.get(did, 0)

    def save(self, did: Did) -> int:
        """Revoke all tokens issued so far, and return the second from which tokens are now valid.

        Call it inside a transaction, and `remember` once that has committed.
        """
        now_s = int(self._clock())
        # Token times are whole seconds, so tokens issued in this second are revoked as well and new
        # ones are dated ahead. The same applies to another cutoff in the same second.
        valid_from = max(now_s, self.find(did)) + 1
        self._db.run(
            "DELETE FROM holdfast_access_cutoff WHERE validFrom <= ?", (now_s - ACCESS_LIFETIME_S,)
        )
        self._db.run(_SAVE, (did, valid_from))
        return valid_from

    def erase(self, did: Did) -> None:
        """Delete the row of an account, inside a transaction."""
        self._db.run("DELETE FROM holdfast_access_cutoff WHERE did = ?", (did,))

    def remember(self, did: Did, valid_from: int) -> None:
        """Apply a cutoff that `save` has written and that is committed."""
        past_s = int(self._clock()) - ACCESS_LIFETIME_S
        for other in [did for did, second in self._valid_from.items() if second <= past_s]:
            del self._valid_from[other]
        self._valid_from[did] = valid_from

    def _read(self) -> None:
        self._valid_from = dict(self._db.all("SELECT did, validFrom FROM holdfast_access_cutoff"))
