"""Who is signed in on the pages of the account: the account that this browser is to show.

The browsers' sign-ins are those of OAuth's pages. A cookie says which of several accounts is shown.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

from aiohttp import web

from database.timestamps import epoch_s_of
from pds.accounts.account import ActorAccount
from pds.oauth.authorization import SIGN_IN_LASTS_S
from pds.oauth.provider import OAuth
from pds.web.pages.cookies import set_cookie
from pds.web.pages.form import Form
from pds.web.pages.site import Site
from pds.web.pages.visit import Visit

ACCOUNT_PATH: Final = "/account"
SIGN_IN_PATH: Final = "/account/sign-in"
RECENT_S: Final = 10 * 60.0
"""How long after the password a person may do what is dangerous."""
_COOKIE: Final = "account"
_NEXT: Final = re.compile(r"/(account|migrate)(/[a-z0-9-]{1,40}){0,5}")


@dataclass(slots=True, frozen=True)
class Person:
    """Who is signed in in a browser."""

    account: ActorAccount
    signed_in_at_s: float
    """When the password was last given here."""
    is_recent: bool
    """Whether that was just now."""
    is_stale: bool
    """Whether it was so long ago that it has to be given again."""


Show: TypeAlias = Callable[[Visit, Person], Awaitable[web.StreamResponse]]
Do: TypeAlias = Callable[[Visit, Person, Form], Awaitable[web.StreamResponse]]


class People:
    """Finds who is signed in, and sends everybody else to the page for signing in."""

    def __init__(self, site: Site, oauth: OAuth) -> None:
        self.site = site
        self.oauth = oauth
        self._pages: set[str] = set()

    def get(self, path: str, show: Show, *, recent: bool = False) -> web.RouteDef:
        """Return the route of a page for a person; with `recent`, one who has just signed in."""
        self._pages.add(path)
        return self.site.get(path, partial(self._show, show, recent))

    def post(self, path: str, do: Do, *, recent: bool = False) -> web.RouteDef:
        """Return the route of a form of such a page."""
        return self.site.post(path, partial(self._do, do, recent))

    def all_of(self, visit: Visit) -> list[Person]:
        """Return everybody who is signed in in a browser, the latest first."""
        sign_ins = self.oauth.sign_ins.of_device(visit.device.id)
        accounts = self.site.ctx.accounts.store.find_many([one.did for one in sign_ins])
        now_s = time.time()
        return [
            _person(account, epoch_s_of(one.updated_at), now_s)
            for one in sign_ins
            if (account := accounts.get(one.did)) is not None and account.takedown_ref is None
        ]

    def find(self, visit: Visit) -> Person | None:
        """Return the person whose account this browser shows."""
        people = self.all_of(visit)
        chosen = visit.request.cookies.get(_COOKIE)
        return next(
            (one for one in people if one.account.did == chosen),
            people[0] if len(people) == 1 else None,
        )

    def choose(self, response: web.StreamResponse, did: str) -> None:
        """Show this account in the browser from now on."""
        set_cookie(response, _COOKIE, did, secure=self.site.is_secure)

    async def lead_back(self, visit: Visit) -> web.StreamResponse:
        """Send a browser that loads the address of a form to the page that has the form."""
        return visit.redirect(self._page_of(visit))

    async def _show(self, show: Show, recent: bool, visit: Visit) -> web.StreamResponse:
        person = self.find(visit)
        if person is None or not _is_enough(person, recent):
            return self._ask(visit, person)
        return await show(visit, person)

    async def _do(self, do: Do, recent: bool, visit: Visit, form: Form) -> web.StreamResponse:
        person = self.find(visit)
        # A form of an account that another tab has left behind must not change this one.
        if person is None or form.text("account") not in ("", person.account.did):
            return self._ask(visit, None)
        if not _is_enough(person, recent):
            return self._ask(visit, person)
        return await do(visit, person, form)

    def _ask(self, visit: Visit, person: Person | None) -> web.StreamResponse:
        # A form is lost by this, so the person comes back to the page that has it.
        query: dict[str, Any] = {"next": self._page_of(visit)}
        if person is not None:
            query["did"] = person.account.did
        return visit.redirect(f"{SIGN_IN_PATH}?{urlencode(query)}")

    def _page_of(self, visit: Visit) -> str:
        page = visit.request.path
        while page and page not in self._pages:
            page = page.rpartition("/")[0]
        return next_path(page)


def next_path(wanted: str) -> str:
    """Return a page to go on with; that of the account unless `wanted` is one for people."""
    return wanted if _NEXT.fullmatch(wanted) else ACCOUNT_PATH


def _person(account: ActorAccount, signed_in_at_s: float, now_s: float) -> Person:
    age_s = now_s - signed_in_at_s
    return Person(account, signed_in_at_s, age_s <= RECENT_S, age_s > SIGN_IN_LASTS_S)


def _is_enough(person: Person, recent: bool) -> bool:
    return person.is_recent if recent else not person.is_stale
