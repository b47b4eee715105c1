"""The page for deactivating, reactivating and deleting an account."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from identity.plc import PlcError
from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import AccountError
from pds.fairness.turns import TooBusy
from pds.lifecycle.errors import DidMismatch, HoldAccount
from pds.lifecycle.mailed_tokens import send_token
from pds.lifecycle.states import activate, deactivate, delete_account
from pds.mail.message import InvalidMail
from pds.mail.transport import MailNotSent
from pds.translations.language import deferred as _
from pds.web.account.session import ACCOUNT_PATH, SIGN_IN_PATH, People, Person
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit
from pds.web.sign_in.problems import NO_PROBLEM, Problem, problem_of

_PATH = "/account/state"


def state_routes(people: People) -> Iterator[web.RouteDef]:
    """Yield the page and its forms."""
    yield people.get(_PATH, _show, recent=True)
    yield people.post(f"{_PATH}/deactivate", _deactivate, recent=True)
    yield people.post(f"{_PATH}/activate", _activate, recent=True)
    yield people.post(f"{_PATH}/send-code", _send_code, recent=True)
    yield people.post(f"{_PATH}/delete", _delete, recent=True)


async def _show(visit: Visit, person: Person) -> web.StreamResponse:
    return _page(visit, person)


async def _deactivate(visit: Visit, person: Person, _form: Form) -> web.StreamResponse:
    try:
        await deactivate(visit.site.ctx, person.account.did)
    except (AccountError, HoldAccount) as exc:
        return _page(visit, person, problem=problem_of(exc, visit.language))
    notice = visit.gettext("Your account is deactivated. You can reactivate it here.")
    return visit.redirect(_PATH, notice=notice)


async def _activate(visit: Visit, person: Person, _form: Form) -> web.StreamResponse:
    try:
        await activate(visit.site.ctx, person.account.did)
    except (AccountError, DidMismatch, PlcError) as exc:
        return _page(visit, person, problem=problem_of(exc, visit.language))
    return visit.redirect(ACCOUNT_PATH, notice=visit.gettext("Your account is active again."))


async def _send_code(visit: Visit, person: Person, _form: Form) -> web.StreamResponse:
    did = person.account.did
    await visit.count("com.atproto.server.requestAccountDelete", caller=did)
    try:
        await send_token(visit.site.ctx, person.account, EmailTokenPurpose.DELETE_ACCOUNT)
    except (AccountError, MailNotSent, InvalidMail) as exc:
        return _page(visit, person, problem=problem_of(exc, visit.language))
    notice = visit.gettext(
        "A mail with a code is on its way to %(email)s.", email=person.account.email
    )
    return visit.redirect(_PATH, notice=notice)


async def _delete(visit: Visit, person: Person, form: Form) -> web.StreamResponse:
    ctx, account = visit.site.ctx, person.account
    await visit.count("com.atproto.server.deleteAccount")
    if form.text("handle").strip().removeprefix("@").lower() != account.shown_handle:
        problem = _("Type your handle, to show that you mean this account.")
        return _page(visit, person, problem=Problem(visit.gettext(problem), "handle"))
    try:
        await ctx.accounts.logins.check_password(
            account.did, form.text("password"), asker=visit.asker
        )
        code = form.text("code").strip()
        ctx.accounts.email_tokens.check(account.did, EmailTokenPurpose.DELETE_ACCOUNT, code)
        await delete_account(ctx, account.did)
    except (AccountError, HoldAccount, TooBusy) as exc:
        return _page(visit, person, problem=problem_of(exc, visit.language))
    await visit.rotate()
    return visit.redirect(SIGN_IN_PATH, notice=visit.gettext("The account is deleted."))


def _page(visit: Visit, person: Person, *, problem: Problem = NO_PROBLEM) -> web.StreamResponse:
    return visit.page(
        "account/state.html",
        account=person.account,
        is_active=person.account.active,
        problem=problem,
    )
