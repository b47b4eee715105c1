"""The tables of second factors in the service database: our own, ignored by the reference PDS.

Their rows end with the login of the account, also if the reference deletes it, because foreign keys
say so. A swap to the reference leaves the password.
"""

from __future__ import annotations

from typing import Final

from database.connection import Database

_DID: Final = "did TEXT NOT NULL REFERENCES account (did) ON DELETE CASCADE ON UPDATE CASCADE"
_TABLES: Final = (
    f"""CREATE TABLE IF NOT EXISTS holdfast_totp (
      {_DID} PRIMARY KEY,
      secret BLOB NOT NULL,
      lastStep INTEGER NOT NULL,
      createdAt TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    f"""CREATE TABLE IF NOT EXISTS holdfast_recovery_code (
      {_DID},
      hash BLOB NOT NULL,
      PRIMARY KEY (did, hash)
    ) STRICT, WITHOUT ROWID""",
    f"""CREATE TABLE IF NOT EXISTS holdfast_email_factor (
      {_DID} PRIMARY KEY,
      isOn INTEGER NOT NULL,
      changedAt TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    f"""CREATE TABLE IF NOT EXISTS holdfast_mailed_code (
      {_DID},
      hash BLOB NOT NULL,
      sentAt INTEGER NOT NULL,
      PRIMARY KEY (did, hash)
    ) STRICT, WITHOUT ROWID""",
    f"""CREATE TABLE IF NOT EXISTS holdfast_kept_address (
      {_DID} PRIMARY KEY,
      address TEXT NOT NULL,
      insteadOf TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    f"""CREATE TABLE IF NOT EXISTS holdfast_passkey (
      id BLOB PRIMARY KEY,
      {_DID},
      publicKey BLOB NOT NULL,
      uses INTEGER NOT NULL,
      name TEXT NOT NULL,
      transports TEXT NOT NULL,
      createdAt TEXT NOT NULL,
      usedAt TEXT
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS holdfast_passkey_did_idx ON holdfast_passkey (did)",
    """CREATE TABLE IF NOT EXISTS holdfast_used_challenge (
      challenge BLOB PRIMARY KEY,
      expiresAt INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS holdfast_used_challenge_idx ON holdfast_used_challenge (expiresAt)",
    f"""CREATE TABLE IF NOT EXISTS holdfast_trusted_browser (
      id TEXT PRIMARY KEY,
      {_DID},
      hash BLOB NOT NULL,
      userAgent TEXT,
      ipAddress TEXT NOT NULL,
      trustedAt TEXT NOT NULL,
      expiresAt INTEGER NOT NULL,
      UNIQUE (did, hash)
    ) STRICT, WITHOUT ROWID""",
    f"""CREATE TABLE IF NOT EXISTS holdfast_factor_guess (
      {_DID},
      place TEXT NOT NULL,
      wrong INTEGER NOT NULL,
      endsAt INTEGER NOT NULL,
      PRIMARY KEY (did, place)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS holdfast_factor_guess_idx ON holdfast_factor_guess (endsAt)",
)


def create_tables(db: Database) -> None:
    """Create the tables that are missing."""
    for statement in _TABLES:
        db.run(statement)
