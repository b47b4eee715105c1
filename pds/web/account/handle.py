"""The page for a new handle: under a domain of this server, or a domain of one's own."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from aiohttp import web

from identity.handles import HandleClaim
from identity.plc import PlcError
from pds.accounts.errors import AccountError
from pds.lifecycle.errors import DidMismatch
from pds.lifecycle.handles import update_handle
from pds.translations.language import deferred as _
from pds.web.account.session import ACCOUNT_PATH, People, Person
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit
from pds.web.sign_in.problems import NO_PROBLEM, Problem, problem_of
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
    own = _domain_in(form)
    return await _set(visit, person, own, own=own)


async def _set(
    visit: Visit, person: Person, handle: str, *, label: str = "", own: str = ""
) -> web.StreamResponse:
    ctx, did = visit.site.ctx, person.account.did
    await visit.count(_METHOD, caller=did)
    try:
        await update_handle(ctx, did, handle)
    except (AccountError, DidMismatch, PlcError) as exc:
        if isinstance(exc, PlcError):
            _log.error("a handle cannot be changed", did=did, reason=str(exc))
        problem = problem_of(exc, visit.language)
        return _page(visit, person, problem=problem, label=label, own=own)
    return visit.redirect(ACCOUNT_PATH, notice=visit.gettext("Your handle has been changed."))


async def _check(visit: Visit, person: Person, form: Form) -> web.StreamResponse:
    own = _domain_in(form)
    await visit.count(_METHOD, caller=person.account.did)
    try:
        handle = normalize_handle(own)
    except InvalidSyntax:
        problem = visit.gettext(_("This is no domain, such as example.com."))
        return _page(visit, person, own=own, problem=Problem(problem, "own"))
    claims = await visit.site.ctx.handle_resolver.claims(handle)
    return _page(visit, person, own=own, claims=claims)


def _domain_in(form: Form) -> str:
    return form.text("own").strip().removeprefix("@").lower()


def _page(
    visit: Visit,
    person: Person,
    *,
    problem: Problem = NO_PROBLEM,
    label: str = "",
    own: str = "",
    claims: tuple[HandleClaim, HandleClaim] | None = None,
) -> web.StreamResponse:
    """Return the page; `claims` are what was found at the domain `own`."""
    dids = [claim.did for claim in claims or () if claim.did is not None]
    return visit.page(
        "account/handle.html",
        account=person.account,
        domains=visit.site.ctx.settings.service_handle_domains,
        problem=problem,
        label=label,
        own=own,
        claims=claims,
        # DNS comes first, and what it says counts.
        leads_here=dids[:1] == [person.account.did],
    )
