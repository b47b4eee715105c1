"""Signing in, up and out for the pages of the account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from pds.accounts.logins import Login
from pds.web.account.session import SIGN_IN_PATH, People, next_path
from pds.web.pages.form import Form
from pds.web.pages.site import Do
from pds.web.pages.visit import Visit
from pds.web.sign_in.passwords import PasswordPage
from pds.web.sign_in.purpose import Step
from pds.web.sign_in.sign_up import SignUpPage

_PATH = "/account"


def signing_in_routes(people: People) -> Iterator[web.RouteDef]:
    """Yield the pages and their forms."""
    pages = SigningIn(people)
    site = people.site
    yield site.get(SIGN_IN_PATH, pages.show)
    yield site.get(f"{_PATH}/sign-up", pages.show_sign_up)
    for name, step in pages.sign_in_steps().items():
        yield site.post(f"{_PATH}/{name}", step)
    yield site.post(f"{_PATH}/choose", pages.choose)
    yield site.post(f"{_PATH}/sign-out", pages.sign_out)


class SigningIn:
    """The pages for people who are not signed in, or not as the right account."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._passwords = PasswordPage(people.site)
        self._sign_ups = SignUpPage(people.site, self._passwords.show)

    async def show(self, visit: Visit) -> web.StreamResponse:
        """Return the accounts to choose from; the page that asks for the password if none fits."""
        query = visit.request.query
        purpose = self._purpose(query.get("next", ""))
        people = self._people.all_of(visit)
        wanted = next((one for one in people if one.account.did == query.get("did")), None)
        if wanted is not None:
            return self._passwords.show(visit, purpose, username=wanted.account.handle or "")
        if people and "other" not in query:
            return purpose.choose(visit)
        return self._passwords.show(visit, purpose)

    async def show_sign_up(self, visit: Visit) -> web.StreamResponse:
        """Return the page for signing up."""
        return self._sign_ups.show(visit, self._purpose(visit.request.query.get("next", "")))

    def sign_in_steps(self) -> dict[str, Do]:
        """Return the steps that check who the person is, by the names of their forms."""
        steps = {**self._passwords.steps(), **self._sign_ups.steps()}
        return {name: self._to_account(step) for name, step in steps.items()}

    def _to_account(self, step: Step) -> Do:
        async def do(visit: Visit, form: Form) -> web.StreamResponse:
            return await step(visit, self._purpose(form.text("next")), form)

        return do

    async def choose(self, visit: Visit, form: Form) -> web.StreamResponse:
        """Show one of the accounts that are signed in."""
        purpose, did = self._purpose(form.text("next")), form.text("did")
        chosen = next((one for one in self._people.all_of(visit) if one.account.did == did), None)
        if chosen is None:
            return self._passwords.show(visit, purpose)
        if chosen.is_stale:
            return self._passwords.show(visit, purpose, username=chosen.account.handle or "")
        response = visit.redirect(purpose.next)
        self._people.choose(response, did)
        return response

    async def sign_out(self, visit: Visit, form: Form) -> web.StreamResponse:
        """Sign an account out of this browser."""
        did = form.text("did")
        for person in self._people.all_of(visit):
            if person.account.did == did:
                await self._people.oauth.sign_ins.forget(person.account.did, visit.device.id)
        await visit.rotate()
        notice = visit.gettext("You are signed out on this device.")
        return visit.redirect(SIGN_IN_PATH, notice=notice)

    def _purpose(self, wanted: str) -> AccountPurpose:
        return AccountPurpose(self._people, next_path(wanted))


@dataclass(slots=True, frozen=True)
class AccountPurpose:
    """Signing in to a page of the account, `next`."""

    people: People
    next: str

    def page(self, visit: Visit, template: str, **values: Any) -> web.StreamResponse:
        """Render a page: see `Purpose.page`."""
        there = urlencode({"next": self.next})
        links = {
            "sign_in": f"{SIGN_IN_PATH}?{there}&other=1",
            "sign_up": f"{_PATH}/sign-up?{there}",
            "chooser": f"{SIGN_IN_PATH}?{there}" if self.people.all_of(visit) else "",
        }
        fields = visit.hidden(next=self.next)
        return visit.page(template, path=_PATH, fields=fields, app=None, **{**links, **values})

    def choose(self, visit: Visit) -> web.StreamResponse:
        """Return the page with the accounts of this browser."""
        accounts = [
            {
                "did": one.account.did,
                "handle": one.account.shown_handle,
                "login_required": one.is_stale,
            }
            for one in self.people.all_of(visit)
        ]
        return self.page(visit, "sign_in/choose.html", accounts=accounts)

    async def signed_in(self, visit: Visit, login: Login, *, remember: bool) -> web.StreamResponse:
        """Show the account, whose pages are for browsers that stay signed in."""
        del remember
        sessions = self.people.site.ctx.accounts.sessions
        await self.people.oauth.sign_ins.remember(
            login.account.did, visit.device.id, check=partial(sessions.check_still_right, login)
        )
        response = visit.redirect(self.next)
        self.people.choose(response, login.account.did)
        return response
