"""The table `holdfast_access_cutoff`: since when the access tokens of an account count.

Access tokens are stateless; a new password must end them all the same. A table of our own in the
service database, which the reference PDS ignores.
"""

from __future__ import annotations

from typing import Final

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


class AccessCutoffs:
    """For accounts whose older tokens are void, the Unix second that valid ones are issued from.

    They are few, and each matters for as long as an access token lives.
    """

    def __init__(self, db: Database, valid_from: dict[Did, int], *, clock: Clock) -> None:
        """Make the table if need be. `valid_from` is kept in step with it, and asked for tokens."""
        self._db = db
        self._clock = clock
        self._valid_from = valid_from
        db.run(_SCHEMA)
        valid_from.update(db.all("SELECT did, validFrom FROM holdfast_access_cutoff"))

    def find(self, did: str) -> int:
        """Where the account's tokens count from; 0 if they all do."""
        return self._valid_from.get(Did(did), 0)

    def save(self, did: Did) -> int:
        """Make void what has been issued, and return where tokens count from now on.

        Inside a transaction. Once it has committed: `remember`.
        """
        now_s = int(self._clock())
        # Tokens have whole seconds: those of this one are void as well, and the next to be issued
        # are dated ahead. So are those that follow another cutoff in the same second.
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
        """Go by what `save` has written."""
        past_s = int(self._clock()) - ACCESS_LIFETIME_S
        for other in [did for did, second in self._valid_from.items() if second <= past_s]:
            del self._valid_from[other]
        self._valid_from[did] = valid_from
