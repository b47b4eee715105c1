"""The page for a new password."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from pds.accounts.errors import AccountError, InvalidPasswordLength
from pds.accounts.passwords import MIN_CHOSEN_LENGTH
from pds.fairness.turns import TooBusy
from pds.lifecycle.passwords import tell_owner
from pds.translations.language import deferred as _
from pds.web.account.session import SIGN_IN_PATH, People, Person
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit
from pds.web.sign_in.problems import NO_PROBLEM, Problem, problem_of

_PATH = "/account/password"


def password_routes(people: People) -> Iterator[web.RouteDef]:
    """Yield the page and its form."""
    yield people.get(_PATH, _show)
    yield people.post(_PATH, _set)


async def _show(visit: Visit, person: Person) -> web.StreamResponse:
    return _page(visit, person)


async def _set(visit: Visit, person: Person, form: Form) -> web.StreamResponse:
    accounts, did = visit.site.ctx.accounts, person.account.did
    await visit.count("com.atproto.server.createSession", identifier=did)
    new = form.text("new")
    try:
        await accounts.logins.check_password(did, form.text("old"), asker=visit.asker)
        if len(new) < MIN_CHOSEN_LENGTH:
            raise InvalidPasswordLength
        await accounts.passwords.update(did, new)
    except InvalidPasswordLength as exc:
        return _page(visit, person, problem=Problem(problem_of(exc, visit.language).text, "new"))
    except (AccountError, TooBusy) as exc:
        return _page(visit, person, problem=problem_of(exc, visit.language))
    await tell_owner(visit.site.ctx, did)
    await visit.rotate()
    notice = _("Your password has been changed. Please sign in with the new one.")
    return visit.redirect(SIGN_IN_PATH, notice=visit.gettext(notice))


def _page(visit: Visit, person: Person, *, problem: Problem = NO_PROBLEM) -> web.StreamResponse:
    return visit.page(
        "account/password.html",
        account=person.account,
        problem=problem,
        min_password_length=MIN_CHOSEN_LENGTH,
    )
