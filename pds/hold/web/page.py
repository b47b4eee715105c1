"""The page `/hold`: captain, crew, repositories, and how to use the hold. No scripts.

Everybody sees it on a public hold. On one that is private or taken down it says only that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import structlog
from aiohttp import web
from cachetools import TTLCache

from actor_store.errors import ActorStoreError
from database.errors import DatabaseError
from pds.config.hold.tiers import Tier
from pds.fairness.turns import TooBusy
from pds.hold.hold import Hold
from pds.hold.images.layers import Usage
from pds.hold.operator.listing import crew_page, stats_page
from pds.hold.permissions import Permission
from pds.hold.records import Captain, CrewMember
from pds.hold.stats_record import StatsRecord
from pds.reporting import counted, format_size
from pds.repos.errors import RepoTakendown, UnreadableRepo
from pds.web.pages.rendering import file_handler, page_headers, templates_of

ENTRIES_ON_A_PAGE: Final = 50
"""Of members, and of repositories."""
APPVIEW: Final = "atcr.io"
"""The registry of holds that name no other."""
_SAME_S: Final = 1.0
"""How long the first page is cached: making it takes some milliseconds."""
_LONGEST_CURSOR: Final = 2_500
"""A DID of the longest form, a space and the name of a repository."""
_HEADERS: Final = page_headers("form-action 'none'")
_CHANGES: Final = {**_HEADERS, "Cache-Control": "no-store"}

_log = structlog.get_logger(__name__)
_templates: Final = templates_of("pds.hold.web")


def crew_page_routes(hold: Hold) -> Iterator[web.RouteDef]:
    """The page and its style sheet."""
    yield web.get("/hold", CrewPage(hold).answer)
    yield web.get("/hold/style.css", file_handler("style.css", "text/css", _HEADERS))


class CrewPage:
    """The page of one hold. Requests for further pages wait for a turn."""

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._beginning: TTLCache[Captain, str] = TTLCache(1, _SAME_S)

    async def answer(self, request: web.Request) -> web.Response:
        """Return the page, or what is wrong, as HTML."""
        hold = self._hold
        try:
            hold.check_served()
            captain = await hold.roster.captain()
            if not captain.public:
                return _response(_rendered("message.html", message="This hold is private."))
            return _response(await self._text(captain, request.query))
        except RepoTakendown:
            return _response(_rendered("message.html", message="This hold is taken down."))
        except TooBusy as exc:
            return _response(_rendered("message.html", message=str(exc)), status=503)
        except (ActorStoreError, DatabaseError, UnreadableRepo):
            _log.exception("the page of the hold cannot be made")
            message = "This hold cannot be shown just now."
            return _response(_rendered("message.html", message=message), status=503)

    async def _text(self, captain: Captain, query: Mapping[str, str]) -> str:
        crew_after, stats_after = _cursor(query, "crew"), _cursor(query, "repositories")
        is_beginning = crew_after is stats_after is None
        text = self._beginning.get(captain) if is_beginning else None
        if text is None:
            async with self._hold.ctx.large_work.wait(*self._hold.ctx.askers()):
                text = await _make(self._hold, captain, crew_after, stats_after)
        if is_beginning:
            self._beginning[captain] = text
        return text


async def _make(
    hold: Hold, captain: Captain, crew_after: str | None, stats_after: str | None
) -> str:
    crew = await hold.ctx.actor_store.read(
        hold.did, lambda actor: crew_page(actor, limit=ENTRIES_ON_A_PAGE, after=crew_after)
    )
    stats = await stats_page(hold, limit=ENTRIES_ON_A_PAGE, after=stats_after)
    return _rendered(
        "hold.html",
        did=hold.did,
        handle=_handle(hold, hold.did) or hold.did,
        captain=_person(hold, captain.owner),
        all_may_join=captain.allow_all_crew,
        appview=_appview(hold),
        tiers=[_tier(hold, tier) for tier in hold.tiers],
        crew=[
            _member(hold, member, await hold.layers.usage(member.member)) for member in crew.entries
        ],
        crew_after=crew.cursor,
        is_first_crew=crew_after is None,
        repositories=[_repository(hold, each) for each in stats.entries],
        repositories_after=stats.cursor,
        is_first_repositories=stats_after is None,
    )


def _rendered(template: str, **values: Any) -> str:
    return _templates.get_template(template).render(**values)


def _response(text: str, *, status: int = 200) -> web.Response:
    return web.Response(
        status=status, text=text, content_type="text/html", charset="utf-8", headers=_CHANGES
    )


def _cursor(query: Mapping[str, str], name: str) -> str | None:
    return query.get(name, "")[:_LONGEST_CURSOR] or None


def _member(hold: Hold, member: CrewMember, usage: Usage) -> dict[str, Any]:
    return {
        **_person(hold, member.member),
        "role": member.role,
        "permissions": Permission.names_of(member.permissions),
        "tier": member.tier,
        "added_at": member.added_at,
        "layers": counted(usage.blobs, "layer"),
        "stored": format_size(usage.size_bytes),
    }


def _tier(hold: Hold, tier: Tier) -> dict[str, Any]:
    return {
        "name": tier.name,
        "quota": format_size(tier.quota_bytes),
        "is_default": tier == hold.tiers.default,
    }


def _repository(hold: Hold, stats: StatsRecord) -> dict[str, Any]:
    totals = stats.totals
    return {
        **_person(hold, stats.did),
        "repository": stats.repository,
        "pulls": counted(totals.pulls, "pull"),
        "pushes": counted(totals.pushes, "push", "pushes"),
        "last_pull": totals.last_pull,
        "last_push": totals.last_push,
    }


def _person(hold: Hold, did: str) -> dict[str, Any]:
    return {"did": did, "handle": _handle(hold, did)}


def _handle(hold: Hold, did: str) -> str | None:
    """Return the handle of an account of this server; other servers are not asked for a page."""
    account = hold.ctx.accounts.find_account(did)
    return account.handle if account else None


def _appview(hold: Hold) -> str:
    """Return the host of the registry: that of its did:web, if the operator trusts another."""
    method, _, host = (hold.settings.appview_did or "").rpartition(":")
    return host.replace("%3A", ":") if method == "did:web" else APPVIEW
