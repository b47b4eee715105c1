"""Erasing an account from the service database, so that no row of any table names it.

The reference PDS leaves app passwords, OAuth sessions and invite codes behind.
"""

from __future__ import annotations

from typing import Final

from database.connection import Database
from repo.syntax import Did

FORMER_ACCOUNT: Final = "deleted"
"""The owner of a deleted account's invite code that other accounts were created with."""

_STATEMENTS: Final = (
    "DELETE FROM repo_root WHERE did = ?1",
    "DELETE FROM email_token WHERE did = ?1",
    "DELETE FROM app_password WHERE did = ?1",
    "DELETE FROM refresh_token WHERE did = ?1",
    # Browsers and their IP addresses, unless another account is signed in there, too.
    """DELETE FROM device WHERE id IN (
        SELECT deviceId FROM account_device WHERE did = ?1
        UNION SELECT deviceId FROM token WHERE did = ?1
        UNION SELECT deviceId FROM authorization_request WHERE did = ?1
    ) AND id NOT IN (
        SELECT deviceId FROM account_device WHERE did <> ?1
        UNION SELECT deviceId FROM token WHERE did <> ?1 AND deviceId IS NOT NULL
    )""",
    "DELETE FROM device_account WHERE did = ?1",
    "DELETE FROM authorization_request WHERE did = ?1",
    # Foreign keys delete used_refresh_token; deleting the account below deletes account_device and
    # authorized_client.
    "DELETE FROM token WHERE did = ?1",
    # The account's own codes are deleted, unless other accounts were created with them.
    """DELETE FROM invite_code WHERE forAccount = ?1
        AND NOT EXISTS (SELECT 1 FROM invite_code_use WHERE code = invite_code.code)""",
    f"""UPDATE invite_code SET forAccount = '{FORMER_ACCOUNT}', disabled = 1
        WHERE forAccount = ?1""",
    f"UPDATE invite_code SET createdBy = '{FORMER_ACCOUNT}' WHERE createdBy = ?1",
    # The use that created the account stays consumed.
    """UPDATE invite_code SET availableUses = availableUses - 1
        WHERE code IN (SELECT code FROM invite_code_use WHERE usedBy = ?1)""",
    "DELETE FROM invite_code_use WHERE usedBy = ?1",
    "DELETE FROM holdfast_quota WHERE did = ?1",
    "DELETE FROM account WHERE did = ?1",
    "DELETE FROM actor WHERE did = ?1",
)


def erase(db: Database, did: Did) -> None:
    """Delete every row of an account, inside a transaction. Unknown DIDs are ignored."""
    for statement in _STATEMENTS:
        db.run(statement, (did,))
