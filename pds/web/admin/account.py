"""`/admin/accounts/{did}`: everything known about an account, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from pds.accounts.account import ActorAccount
from pds.pending.journal import read_damaged
from pds.reporting import format_size
from pds.repos.usage import read_account_usage
from pds.translations.language import deferred as _
from pds.web.admin.account_steps import DANGEROUS, STEPS, StepRefused
from pds.web.admin.desk import ROOT, AdminVisit, Desk
from pds.web.admin.log import ACTIONS
from pds.web.admin.views import LONGEST, AccountView, path_of
from pds.web.pages.errors import PageError
from pds.web.pages.form import Form
from pds.web.pages.strangers_texts import on_one_line
from pds.xrpc.error_map import to_xrpc

if TYPE_CHECKING:
    from pds.accounts.invite_codes import InviteCode
    from pds.web.admin.account_steps import Step

_ACCOUNT: Final = "/accounts/{did}"
_SERVER_ERROR: Final = 500
_SHOWN_ACTIONS: Final = 20
_SHOWN_CODES: Final = 100


def account_routes(desk: Desk) -> Iterator[web.RouteDef]:
    """Yield the page, and the route of each form on it."""
    yield desk.get(_ACCOUNT, _show)
    for name, step in STEPS.items():
        yield desk.post(
            f"{_ACCOUNT}/{name}", partial(_step, name, step), asks_again=name in DANGEROUS
        )


def find_account(visit: AdminVisit) -> ActorAccount:
    """Return the account that the path names, in any state. Raises `PageError`."""
    did = visit.visit.request.match_info["did"]
    account = visit.ctx.accounts.find_account(did, include_inactive=True)
    if account is None:
        raise PageError(404, _("There is no such account here."))
    return account


async def _show(visit: AdminVisit) -> web.StreamResponse:
    return await _page(visit, find_account(visit))


async def _step(name: str, step: Step, visit: AdminVisit, form: Form) -> web.StreamResponse:
    account = find_account(visit)
    try:
        done = await step(visit, account, form)
    except StepRefused as exc:
        return await _page(visit, account, {name: visit.visit.gettext(exc.text)}, form)
    except Exception as exc:
        error = to_xrpc(exc)
        if error.status == _SERVER_ERROR:
            raise
        return await _page(visit, account, {name: error.message or ""}, form)
    await visit.note(name, account.did, done.detail)
    if done.secret:
        return visit.page(
            "new_password.html", account=AccountView.of(account), password=done.secret
        )
    path = "/accounts" if done.is_gone else path_of(account.did).removeprefix(ROOT)
    return visit.back(path, done.notice, handle=account.shown_handle)


async def _page(
    visit: AdminVisit,
    account: ActorAccount,
    problems: dict[str, str] | None = None,
    form: Form | None = None,
) -> web.Response:
    """Return the page; `problems` are those of a form that was sent, by the name of its step."""
    ctx, did = visit.ctx, account.did
    usage = await read_account_usage(ctx, account)
    return visit.page(
        "account.html",
        status=400 if problems else 200,
        account=AccountView.of(account),
        takedown_ref=on_one_line(account.takedown_ref or "", LONGEST),
        deactivated_at=account.deactivated_at,
        email_confirmed_at=account.email_confirmed_at,
        is_damaged=did in read_damaged(ctx.accounts.db),
        usage=usage.usage,
        used=usage.usage and format_size(usage.usage.used_bytes),
        quota="" if usage.quota_bytes is None else format_size(usage.quota_bytes),
        quota_is_own=usage.quota_is_own,
        has_login=account.email is not None,
        has_factors=ctx.second_factors.of(did).any,
        is_hold=ctx.settings.is_hold(did),
        behind_entryway=ctx.entryway is not None,
        app_passwords=[
            on_one_line(one.name, LONGEST) for one in ctx.accounts.app_passwords.list(did)
        ],
        **_invites(visit, account),
        actions=visit.admin.actions.about(did, limit=_SHOWN_ACTIONS),
        words=ACTIONS,
        problems=problems or {},
        typed={} if form is None else {name: value[:LONGEST] for name, value in form.fields},
    )


def _invites(visit: AdminVisit, account: ActorAccount) -> dict[str, Any]:
    invites = visit.ctx.accounts.invites
    by = invites.used_by([account.did]).get(account.did)
    return {
        "codes": [_code(code) for code in invites.of_account(account.did)[:_SHOWN_CODES]],
        "invited_by": by and by.for_account,
        "invited_by_path": by and by.for_account.startswith("did:") and path_of(by.for_account),
        "invites_disabled": account.invites_disabled,
    }


def _code(code: InviteCode) -> dict[str, Any]:
    return {
        "code": code.code,
        "used": len(code.uses),
        "available": code.available,
        "disabled": code.disabled,
    }
