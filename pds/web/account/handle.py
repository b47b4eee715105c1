"""The page for a new handle: under a domain of this server, or a domain of one's own."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from aiohttp import web

from identity.handles import HandleUnresolvable
from identity.plc import PlcError
from pds.accounts.errors import AccountError, HandleNotResolved
from pds.lifecycle.errors import DidMismatch
from pds.lifecycle.handles import update_handle
from pds.translations.language import deferred as _
from pds.web.account.session import ACCOUNT_PATH, People, Person
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit
from repo.syntax import InvalidSyntax, normalize_handle

_PATH = "/account/handle"
_METHOD = "com.atproto.identity.updateHandle"

_log = structlog.get_logger(__name__)


def handle_routes(people: People) -> Iterator[web.RouteDef]:
    """Yield the page and its forms."""
    yield people.get(_PATH, _show, recent=True)
    yield people.post(f"{_PATH}/hosted", _set_hosted, recent=True)
    yield people.post(f"{_PATH}/own", _set_own, recent=True)
    yield people.post(f"{_PATH}/check", _check)


async def _show(visit: Visit, person: Person) -> web.StreamResponse:
    return _page(visit, person)


async def _set_hosted(visit: Visit, person: Person, form: Form) -> web.StreamResponse:
    domains = visit.site.ctx.settings.service_handle_domains
    label = form.text("label").strip().removeprefix("@")
    domain = form.text("domain") if form.text("domain") in domains else domains[0]
    handle = label if label.endswith(domain) else label + domain
    return await _set(visit, person, handle, label=label)


async def _set_own(visit: Visit, person: Person, form: Form) -> web.StreamResponse:
    own = form.text("own").strip().removeprefix("@").lower()
    return await _set(visit, person, own, own=own)


async def _set(
    visit: Visit, person: Person, handle: str, *, label: str = "", own: str = ""
) -> web.StreamResponse:
    did = person.account.did
    await visit.count(_METHOD, caller=did)
    try:
        await update_handle(visit.site.ctx, did, handle)
    except HandleNotResolved:
        problem = _("This domain does not lead to your account yet: see what has to be set.")
        return _page(
            visit, person, problem=visit.gettext(problem), checked=True, label=label, own=own
        )
    except (AccountError, DidMismatch) as exc:
        return _page(visit, person, problem=visit.gettext(str(exc)), label=label, own=own)
    except PlcError as exc:
        _log.error("a handle cannot be changed", did=did, reason=str(exc))
        problem = _("The directory of identities does not answer. Please try again later.")
        return _page(visit, person, problem=visit.gettext(problem), label=label, own=own)
    return visit.redirect(ACCOUNT_PATH, notice=visit.gettext("Your handle has been changed."))


async def _check(visit: Visit, person: Person, form: Form) -> web.StreamResponse:
    own = form.text("own").strip().removeprefix("@").lower()
    await visit.count(_METHOD, caller=person.account.did)
    try:
        found = await visit.site.ctx.handle_resolver.resolve(normalize_handle(own), fresh=True)
    except InvalidSyntax as exc:
        return _page(visit, person, own=own, problem=visit.gettext(str(exc)))
    except HandleUnresolvable as exc:
        return _page(visit, person, own=own, checked=True, failure=exc.reason)
    return _page(visit, person, own=own, checked=True, found=found or "")


def _page(
    visit: Visit,
    person: Person,
    *,
    problem: str = "",
    label: str = "",
    own: str = "",
    checked: bool = False,
    found: str = "",
    failure: str = "",
) -> web.StreamResponse:
    """Return the page; `checked`, `found` and `failure` say what was seen at the domain `own`."""
    return visit.page(
        "account/handle.html",
        status=400 if problem else 200,
        account=person.account,
        domains=visit.site.ctx.settings.service_handle_domains,
        problem=problem,
        label=label,
        own=own,
        checked=checked,
        found=found,
        failure=failure,
        leads_here=found == person.account.did,
    )
