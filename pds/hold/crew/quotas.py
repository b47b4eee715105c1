"""Quotas: which tier a user has, from their crew record, and so how much they may store."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pds.config.hold.tiers import Tier, Tiers
    from pds.hold.crew.roster import Roster


class Quotas:
    """Answers how much each user may store."""

    def __init__(self, roster: Roster, tiers: Tiers) -> None:
        """Look for members in `roster`; `tiers` are those of the settings."""
        self._roster = roster
        self._tiers = tiers

    async def tier_of(self, did: str) -> Tier | None:
        """Return the tier of a user; None for the captain, and if there are no tiers.

        Users who are not in the crew have the default tier.
        """
        if not len(self._tiers) or did == (await self._roster.captain()).owner:
            return None
        member = await self._roster.find(did)
        return self._tiers.of(None if member is None else member.tier)

    async def limit_of(self, did: str) -> int | None:
        """Return how many bytes a user may store; None if there is no limit."""
        tier = await self.tier_of(did)
        return None if tier is None else tier.quota_bytes
