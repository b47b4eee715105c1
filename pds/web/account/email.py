"""The page of the e-mail address: confirming it, and changing it."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from pds.accounts.email_rules import check_email
from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import AccountError
from pds.lifecycle.emails import change_email, confirm_address, needs_leave
from pds.lifecycle.mailed_tokens import send_token
from pds.mail.message import InvalidMail
from pds.mail.transport import MailNotSent
from pds.rate_limits.errors import TooManyRequests
from pds.web.account.session import People, Person
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit
from pds.web.sign_in.problems import NO_PROBLEM, Problem, problem_of

_PATH = "/account/email"


def email_routes(people: People) -> Iterator[web.RouteDef]:
    """Yield the page and its forms."""
    yield people.get(_PATH, _show, recent=True)
    yield people.post(f"{_PATH}/send-confirmation", _send_confirmation)
    yield people.post(f"{_PATH}/confirm", _confirm)
    yield people.post(f"{_PATH}/send-leave", _send_leave, recent=True)
    yield people.post(f"{_PATH}/change", _change, recent=True)


async def _show(visit: Visit, person: Person) -> web.StreamResponse:
    return _page(visit, person)


async def _send_confirmation(visit: Visit, person: Person, _form: Form) -> web.StreamResponse:
    did = person.account.did
    await visit.count("com.atproto.server.requestEmailConfirmation", caller=did)
    return await _send(visit, person, EmailTokenPurpose.CONFIRM_EMAIL)


async def _send_leave(visit: Visit, person: Person, _form: Form) -> web.StreamResponse:
    did = person.account.did
    await visit.count("com.atproto.server.requestEmailUpdate", caller=did)
    return await _send(visit, person, EmailTokenPurpose.UPDATE_EMAIL)


async def _send(visit: Visit, person: Person, purpose: EmailTokenPurpose) -> web.StreamResponse:
    try:
        address = await send_token(visit.site.ctx, person.account, purpose)
    except (AccountError, MailNotSent, InvalidMail) as exc:
        return _page(visit, person, problem=problem_of(exc, visit.language))
    notice = visit.gettext("A mail with a code is on its way to %(email)s.", email=address)
    return visit.redirect(_PATH, notice=notice)


async def _confirm(visit: Visit, person: Person, form: Form) -> web.StreamResponse:
    account = person.account
    try:
        await confirm_address(
            visit.site.ctx, account.did, account.email or "", form.text("code").strip()
        )
    except AccountError as exc:
        return _page(visit, person, problem=problem_of(exc, visit.language))
    return visit.redirect(_PATH, notice=visit.gettext("Your e-mail address is confirmed."))


async def _change(visit: Visit, person: Person, form: Form) -> web.StreamResponse:
    ctx, account = visit.site.ctx, person.account
    typed, code = form.text("email").strip(), form.text("code").strip()
    try:
        await change_email(ctx, account, check_email(typed), token=code or None)
    except AccountError as exc:
        return _page(
            visit, person, email=typed, changes=True, problem=problem_of(exc, visit.language)
        )
    changed = ctx.accounts.get_account(account.did, include_inactive=True)
    try:
        # Nobody has shown yet that the new address is theirs, so mails to it are few.
        await visit.count("com.atproto.server.requestEmailConfirmation", caller=account.did)
        await send_token(ctx, changed, EmailTokenPurpose.CONFIRM_EMAIL)
    except (AccountError, MailNotSent, InvalidMail, TooManyRequests):
        notice = visit.gettext("Your e-mail address has been changed. Please confirm it.")
    else:
        notice = visit.gettext(
            "Your e-mail address has been changed. A mail with a code to confirm it is on its way."
        )
    return visit.redirect(_PATH, notice=notice)


def _page(
    visit: Visit,
    person: Person,
    *,
    email: str = "",
    changes: bool = False,
    problem: Problem = NO_PROBLEM,
) -> web.StreamResponse:
    account, ctx = person.account, visit.site.ctx
    old = ctx.second_factors.addresses.of(account) if needs_leave(ctx, account) else None
    return visit.page(
        "account/email.html",
        account=account,
        is_confirmed=account.email_confirmed_at is not None,
        old_address=old,
        email=email,
        changes=changes,
        problem=problem,
    )
