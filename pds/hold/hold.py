"""`Hold`: the parts of a hold, wired only here, beside the context of the server."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import web

from pds.hold.appview import AppViewTokens
from pds.hold.crew import Crew
from pds.hold.database import open_hold_database
from pds.hold.denials import Denials
from pds.hold.permissions import Permission
from pds.hold.quotas import Quotas
from pds.hold.roster import Roster
from pds.hold.tiers import Tiers
from pds.hold.token_rules import TokenRules
from pds.hold.tokens import HoldTokens
from repo.syntax import Did

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.xrpc.call import ReadCall


class Hold:
    """A hold: its actor's DID, and the parts that serve its methods."""

    def __init__(self, ctx: AppContext) -> None:
        """Open the parts; `start` makes them ready. Raises `DatabaseError`s."""
        self._stack = AsyncExitStack()
        self.ctx = ctx
        self.settings = ctx.settings.hold
        self.url = ctx.settings.hold_url
        self.did = hold_did(self.url)
        self.db = open_hold_database(ctx.settings, ctx.checkpointer)
        self._stack.callback(self.db.close)
        self.roster = Roster(ctx.actor_store, self.did)
        self.crew = Crew(ctx, self.did, self.roster)
        self.tiers = Tiers.parse(self.settings.tiers, default=self.settings.new_crew_tier)
        self.quotas = Quotas(self.roster, self.tiers)
        rules = TokenRules(self.did, methods=self.settings.token_methods)
        self.tokens = HoldTokens(rules, ctx.did_resolver, ctx.service_auth.resolve_key)
        self.appview = AppViewTokens(rules, ctx.did_resolver, self.settings.appview_did)
        self.writing = asyncio.Lock()
        """Held while somebody else than the server writes to the hold's repository."""
        self.refused: Denials[tuple[str, Permission]] = Denials()
        """Who was refused what."""

    async def start(self) -> None:
        """Make the actor if there is none yet, and bring its records in line with the settings."""

    async def close(self) -> None:
        """Write what is counted, and close every part."""
        await self._stack.aclose()


HOLD: Final = web.AppKey("hold", Hold)
"""The hold of an application that is one."""


def hold_of(call: ReadCall) -> Hold:
    """Return the hold that a method is called on."""
    return call.request.app[HOLD]


def hold_did(url: str) -> Did:
    """Return the did:web of a base URL; a port is kept, percent-encoded."""
    return Did("did:web:" + urlsplit(url).netloc.replace(":", "%3A"))
