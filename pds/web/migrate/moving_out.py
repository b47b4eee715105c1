"""The pages with which a person begins to move to another server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from aiohttp import web

from pds.lifecycle.migration.beginning import CREATE, Beginning, Newcomer
from pds.lifecycle.migration.errors import MoveProblem, Problem
from pds.lifecycle.migration.other_server import texts_in
from pds.web.account.session import People, Person
from pds.web.migrate.moving_in import MOVE_PATH
from pds.web.migrate.problems import problem_text, said_text
from pds.web.pages.form import Form
from pds.web.pages.strangers_texts import on_one_line
from pds.web.pages.visit import Visit

_OUT_PATH: Final = "/migrate/out"
_KEPT: Final = ("handle", "email", "invite")


class MovingOut:
    """The pages for people whose account is here."""

    def __init__(self, people: People, beginning: Beginning) -> None:
        self._people = people
        self._beginning = beginning

    def routes(self) -> Iterator[web.RouteDef]:
        """Yield the pages and their forms."""
        yield self._people.get(_OUT_PATH, self._show, recent=True)
        yield self._people.post(_OUT_PATH, self._look, recent=True)
        yield self._people.post(f"{_OUT_PATH}/begin", self._begin, recent=True)
        yield self._people.get(f"{_OUT_PATH}/begin", self._show, recent=True)

    async def _show(self, visit: Visit, person: Person) -> web.StreamResponse:
        if visit.site.ctx.accounts.moves.find(person.account.did) is not None:
            return visit.redirect(MOVE_PATH)
        return await self._page(visit, person)

    async def _look(self, visit: Visit, person: Person, form: Form) -> web.StreamResponse:
        """Ask the new server what it needs."""
        await visit.count("com.atproto.server.createSession", identifier=person.account.did)
        try:
            url, about = await self._beginning.look_at(form.text("server"))
        except MoveProblem as exc:
            return await self._page(visit, person, server=form.text("server"), problem=exc)
        values = {"handle": _suggested(person, about), "email": person.account.email or ""}
        return await self._page(visit, person, server=url, about=about, values=values)

    async def _begin(self, visit: Visit, person: Person, form: Form) -> web.StreamResponse:
        """Create the account there."""
        await visit.count(CREATE)
        values = {name: form.text(name).strip() for name in _KEPT}
        wanted = Newcomer(
            handle=values["handle"].removeprefix("@"),
            email=values["email"],
            password=form.text("password"),
            invite_code=values["invite"] or None,
            code=form.text("code").strip(),
        )
        server = form.text("server")
        about: dict[str, Any] = {}
        try:
            server, about = await self._beginning.look_at(server)
            await self._beginning.begin_out(
                person.account.did, server, wanted, device_id=visit.device.id
            )
        except MoveProblem as exc:
            return await self._page(
                visit, person, server=server, about=about, values=values, problem=exc
            )
        return visit.redirect(MOVE_PATH)

    async def _page(
        self,
        visit: Visit,
        person: Person,
        *,
        server: str = "",
        about: Mapping[str, Any] | None = None,
        values: Mapping[str, str] | None = None,
        problem: MoveProblem | None = None,
    ) -> web.StreamResponse:
        kind = "" if problem is None else problem.kind
        domains = [on_one_line(each, 100) for each in texts_in(about or {}, "availableUserDomains")]
        return visit.page(
            "migrate/out.html",
            status=400 if problem else 200,
            account=person.account,
            server=server,
            is_known=bool(about),
            needs_invite=bool(about and about.get("inviteCodeRequired") is True),
            domains=domains[:20],
            values=values or {},
            asks_for_code=kind == Problem.FACTOR,
            is_former=kind in (Problem.FACTOR, Problem.FORMER_THERE),
            problem=problem_text(visit, kind),
            said=said_text(kind, problem.said if problem else ""),
        )


def _suggested(person: Person, about: Mapping[str, Any]) -> str:
    domains = texts_in(about, "availableUserDomains")
    label = (person.account.handle or "").partition(".")[0]
    return label + on_one_line(domains[0], 100) if domains else person.account.handle or ""
