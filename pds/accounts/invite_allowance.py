"""The number of invite codes a user has earned: one for each interval of membership.

Pure arithmetic in milliseconds since the Unix epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from database.timestamps import epoch_ms_of
from pds.accounts.invite_codes import ADMIN, InviteCode

MAX_UNUSED: Final = 5
"""The most unused earned codes that a user may have at a time."""


def earned_codes_due(
    codes: Iterable[InviteCode],
    *,
    member_since_ms: int,
    now_ms: int,
    interval_ms: int,
    epoch_ms: int,
) -> int:
    """Return how many codes to create now, at least 0.

    `codes` are all codes of the account; those given by the admin do not count. Only full intervals
    since the later of joining and `epoch_ms` earn a code. `interval_ms` is positive.
    """
    earned = (now_ms - member_since_ms) // interval_ms
    if member_since_ms < epoch_ms:
        earned -= (epoch_ms - member_since_ms) // interval_ms
    routine = [code for code in codes if code.created_by != ADMIN]
    unused = sum(not code.disabled and not code.used_up for code in routine)
    had = sum(epoch_ms_of(code.created_at) > epoch_ms for code in routine)
    return max(0, min(MAX_UNUSED - unused, earned - had))
