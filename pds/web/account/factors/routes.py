"""Every route of the pages about second factors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from aiohttp import web

from pds.rate_limits.method_limits import FACTOR_CHANGES
from pds.web.account.factors.app import AppPages
from pds.web.account.factors.overview import FACTORS_PATH, Overview
from pds.web.account.factors.steps import FactorSteps
from pds.web.account.session import Do, People, Person
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit


def factor_routes(people: People) -> Iterator[web.RouteDef]:
    """Yield the pages and their forms. Whoever changes something has just signed in."""
    overview = Overview(people.site)
    app = AppPages(people, overview)
    steps = FactorSteps(people.site, overview)
    yield people.get(FACTORS_PATH, overview.show)
    yield people.get(f"{FACTORS_PATH}/app", app.show, recent=True)
    for name, do in (
        ("app", app.set_up),
        ("app/remove", steps.remove_app),
        ("passkeys", steps.add_passkey),
        ("passkeys/remove", steps.remove_passkey),
        ("mail/on", steps.turn_on_mail),
        ("mail/off", steps.turn_off_mail),
        ("recovery", steps.renew_codes),
        ("trusted/remove", steps.forget_browser),
    ):
        yield people.post(f"{FACTORS_PATH}/{name}", partial(_counted, do), recent=True)
        if name != "app":
            # Where people come to who had to sign in again before a form was accepted.
            yield people.get(f"{FACTORS_PATH}/{name}", overview.back)


async def _counted(do: Do, visit: Visit, person: Person, form: Form) -> web.StreamResponse:
    await visit.count(FACTOR_CHANGES, caller=person.account.did)
    return await do(visit, person, form)
