"""The page of what an account has allowed to apps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from aiohttp import web

from pds.oauth.errors import OAuthError
from pds.oauth.permission_sets.document import PermissionSet
from pds.translations.language import Language
from pds.web.account.clients import shown_client
from pds.web.account.session import People, Person
from pds.web.oauth.permissions import PermissionGroup, permissions_of
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit

_PATH = "/account/apps"
_SHOWN_SETS = 20
"""Apps whose permission sets are looked up for one page."""
_SHOWN_SCOPES = 25
"""Scopes of each app on the page: an app can have asked for thousands."""


def app_routes(people: People) -> Iterator[web.RouteDef]:
    """Yield the page and its form."""
    pages = AppPages(people)
    yield people.get(_PATH, pages.show)
    yield people.post(f"{_PATH}/revoke", pages.revoke)


class AppPages:
    """Shows and ends what apps may do."""

    def __init__(self, people: People) -> None:
        self._oauth = people.oauth

    async def show(self, visit: Visit, person: Person) -> web.StreamResponse:
        """Return the page."""
        did = person.account.did
        used: dict[str, str] = {}
        for session in self._oauth.sessions.list_of(did):
            used.setdefault(session.client_id, session.updated_at)
        apps = []
        for place, (client_id, scopes) in enumerate(self._oauth.consents.list_of(did).items()):
            shown = sorted(scopes)[:_SHOWN_SCOPES]
            permissions = await self._permissions(
                shown, visit.language, look_up=place < _SHOWN_SETS
            )
            apps.append(
                {
                    "id": client_id,
                    "name": shown_client(client_id),
                    "used": used.get(client_id, ""),
                    "permissions": permissions,
                    "has_more": len(shown) < len(scopes),
                }
            )
            await asyncio.sleep(0)
        return visit.page("account/apps.html", account=person.account, apps=apps)

    async def revoke(self, visit: Visit, person: Person, form: Form) -> web.StreamResponse:
        """Forget what an app was allowed, and end its sessions."""
        client_id = form.text("client")
        await self._oauth.sessions.end_of_client(person.account.did, client_id)
        await self._oauth.consents.forget(person.account.did, client_id)
        notice = visit.gettext("%(app)s can do nothing any more.", app=shown_client(client_id))
        return visit.redirect(_PATH, notice=notice)

    async def _permissions(
        self, scopes: list[str], language: Language, *, look_up: bool
    ) -> list[PermissionGroup]:
        plain = [scope for scope in scopes if not scope.startswith("include:")]
        sets: dict[str, PermissionSet] = {}
        if look_up and len(plain) < len(scopes):
            try:
                sets = dict(await self._oauth.permission_sets.find_all(" ".join(scopes)))
            except OAuthError:
                # The author of the set does not answer; the other permissions can be told.
                return permissions_of(plain, frozenset(), {}, language)
            return permissions_of(scopes, frozenset(), sets, language)
        return permissions_of(plain, frozenset(), {}, language)
