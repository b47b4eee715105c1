"""The page of app passwords: for apps that cannot sign in by OAuth."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from pds.accounts.errors import AccountError
from pds.fairness.turns import TooBusy
from pds.translations.language import deferred as _
from pds.web.account.session import People, Person
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit
from pds.web.sign_in.problems import NO_PROBLEM, Problem, problem_of

_PATH = "/account/app-passwords"
_LONGEST_NAME = 100


def app_password_routes(people: People) -> Iterator[web.RouteDef]:
    """Yield the page and its forms."""
    yield people.get(_PATH, _show)
    yield people.post(f"{_PATH}/create", _create, recent=True)
    yield people.post(f"{_PATH}/revoke", _revoke)


async def _show(visit: Visit, person: Person) -> web.StreamResponse:
    return _page(visit, person)


async def _create(visit: Visit, person: Person, form: Form) -> web.StreamResponse:
    name = form.text("name").strip()
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        problem = _("Give it a name of at most 100 characters, such as that of the app.")
        return _page(visit, person, name=name, problem=Problem(visit.gettext(problem), "name"))
    try:
        _made, text = await visit.site.ctx.accounts.app_passwords.create(
            person.account.did, name, privileged=form.has("privileged"), asker=visit.asker
        )
    except (AccountError, TooBusy) as exc:
        return _page(visit, person, name=name, problem=problem_of(exc, visit.language))
    # Shown on this page alone, which no cache keeps.
    return _page(visit, person, created=name, text=text)


async def _revoke(visit: Visit, person: Person, form: Form) -> web.StreamResponse:
    name = form.text("name")
    await visit.site.ctx.accounts.app_passwords.revoke(person.account.did, name)
    notice = visit.gettext("The app password %(name)s has ended.", name=name)
    return visit.redirect(_PATH, notice=notice)


def _page(
    visit: Visit,
    person: Person,
    *,
    name: str = "",
    problem: Problem = NO_PROBLEM,
    created: str = "",
    text: str = "",
) -> web.StreamResponse:
    return visit.page(
        "account/app_passwords.html",
        account=person.account,
        passwords=visit.site.ctx.accounts.app_passwords.list(person.account.did),
        name=name,
        problem=problem,
        created=created,
        text=text,
    )
