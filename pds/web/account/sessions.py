"""The page of everything that is signed in: browsers, apps by OAuth, apps by a password."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from database.timestamps import iso_of
from pds.accounts.refresh_tokens import NewestToken
from pds.oauth.devices.sign_ins import SignedInDevice
from pds.oauth.tokens.session import ListedSession
from pds.web.account.clients import shown_client
from pds.web.account.session import ACCOUNT_PATH, SIGN_IN_PATH, People, Person
from pds.web.pages.browser_names import shown_browser
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit

_PATH = f"{ACCOUNT_PATH}/sessions"
_SHOWN = 100
"""Sessions by passwords on the page; a bot can have thousands."""


def session_routes(people: People) -> Iterator[web.RouteDef]:
    """Yield the page and its forms."""
    pages = SessionPages(people)
    yield people.get(_PATH, pages.show)
    yield people.post(f"{_PATH}/browser", pages.end_browser)
    yield people.post(f"{_PATH}/app", pages.end_app)
    yield people.post(f"{_PATH}/password", pages.end_by_password)
    yield people.post(f"{_PATH}/all", pages.end_all)


class SessionPages:
    """Shows and ends sessions."""

    def __init__(self, people: People) -> None:
        self._oauth = people.oauth
        self._accounts = people.site.ctx.accounts

    async def show(self, visit: Visit, person: Person) -> web.StreamResponse:
        """Return the page."""
        did = person.account.did
        browsers = self._oauth.sign_ins.of_account(did)
        return visit.page(
            "account/sessions.html",
            account=person.account,
            browsers=[_browser(visit, one) for one in browsers],
            apps=[_app(one) for one in self._oauth.sessions.list_of(did)],
            by_password=[
                _by_password(one) for one in self._accounts.sessions.list_of(did, limit=_SHOWN)
            ],
        )

    async def end_browser(self, visit: Visit, person: Person, form: Form) -> web.StreamResponse:
        """Sign the account out of a browser, maybe this one."""
        await self._oauth.sign_ins.forget(person.account.did, form.text("device"))
        return visit.redirect(_PATH, notice=visit.gettext("That browser is signed out."))

    async def end_app(self, visit: Visit, person: Person, form: Form) -> web.StreamResponse:
        """End a session of an app."""
        await self._oauth.sessions.end(person.account.did, form.text("session"))
        return visit.redirect(_PATH, notice=visit.gettext("That app is signed out."))

    async def end_by_password(self, visit: Visit, person: Person, form: Form) -> web.StreamResponse:
        """End a session that was opened with a password."""
        await self._accounts.sessions.end(person.account.did, form.text("session"))
        return visit.redirect(_PATH, notice=visit.gettext("That session has ended."))

    async def end_all(self, visit: Visit, person: Person, _form: Form) -> web.StreamResponse:
        """End every session, that of this browser as well."""
        await self._accounts.sign_out_everywhere(person.account.did)
        await visit.rotate()
        return visit.redirect(SIGN_IN_PATH, notice=visit.gettext("You are signed out everywhere."))


def _browser(visit: Visit, device: SignedInDevice) -> dict[str, object]:
    return {
        "id": device.device_id,
        "agent": shown_browser(device.user_agent or "", visit.language),
        "address": device.ip_address,
        "seen": device.last_seen_at,
        "is_here": device.device_id == visit.device.id,
    }


def _app(session: ListedSession) -> dict[str, object]:
    return {
        "id": session.token_id,
        "client": shown_client(session.client_id),
        "since": session.created_at,
        "used": session.updated_at,
    }


def _by_password(token: NewestToken) -> dict[str, object]:
    return {
        "id": token.jti,
        "name": token.app_password_name or "",
        "used": iso_of(token.made_at_s),
    }
