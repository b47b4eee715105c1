"""What an administrator can do with an account: one function for each form on its page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from database.timestamps import now_iso
from pds.accounts.codes import new_password
from pds.accounts.email_rules import check_email
from pds.accounts.quotas import MAX_BYTES, Quota
from pds.lifecycle.handles import update_handle
from pds.lifecycle.states import delete_account, takedown, untakedown
from pds.reporting import parse_size
from pds.translations.language import deferred as _

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.web.admin.desk import AdminVisit
    from pds.web.pages.form import Form

_REF_CHARACTERS: Final = 300


class StepRefused(Exception):
    """What was typed cannot be; `text` is an English sentence that the page translates."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(slots=True, frozen=True)
class Done:
    """What a step has done."""

    notice: str
    """An English sentence, which may name `handle`."""
    detail: str = ""
    """For the log."""
    secret: str = ""
    """A new password, to be shown once."""
    is_gone: bool = False
    """Whether the account has no page any more."""


Step: TypeAlias = Callable[["AdminVisit", "ActorAccount", "Form"], Awaitable[Done]]


async def take_down(visit: AdminVisit, account: ActorAccount, form: Form) -> Done:
    """Hide the account from everybody, and end its sessions."""
    ref = form.text("reason").strip()[:_REF_CHARACTERS] or now_iso()
    kept = await takedown(visit.ctx, account.did, ref=ref)
    return Done(_("%(handle)s is taken down."), kept)


async def restore(visit: AdminVisit, account: ActorAccount, _form: Form) -> Done:
    """Reverse a takedown."""
    await untakedown(visit.ctx, account.did)
    return Done(_("%(handle)s is no longer taken down."))


async def set_quota(visit: AdminVisit, account: ActorAccount, form: Form) -> Done:
    """Set the space that the account may use: a size, no limit, or the default."""
    match form.text("kind"):
        case "default":
            quota = None
        case "none":
            quota = Quota(None)
        case _:
            quota = Quota(_parse_quota(form.text("size")))
    await visit.ctx.accounts.quotas.set(account.did, quota)
    limit = "default" if quota is None else quota.limit_bytes
    return Done(_("The quota of %(handle)s is changed."), "none" if limit is None else str(limit))


async def reset_password(visit: AdminVisit, account: ActorAccount, _form: Form) -> Done:
    """Give the account a new password, and end its sessions."""
    _refuse_behind_entryway(visit)
    password = new_password()
    await visit.ctx.accounts.passwords.update(account.did, password)
    return Done("", secret=password)


async def reset_second_factors(visit: AdminVisit, account: ActorAccount, _form: Form) -> Done:
    """Remove all second factors of somebody who has lost them."""
    _refuse_behind_entryway(visit)
    await visit.ctx.second_factors.reset(account.did)
    return Done(_("The password of %(handle)s alone signs in now."))


async def set_email(visit: AdminVisit, account: ActorAccount, form: Form) -> Done:
    """Change the e-mail address, which is unconfirmed then."""
    _refuse_behind_entryway(visit)
    address = check_email(form.text("email").strip())
    await visit.ctx.accounts.emails.update(account.did, address)
    return Done(_("The e-mail address of %(handle)s is changed."))


async def set_handle(visit: AdminVisit, account: ActorAccount, form: Form) -> Done:
    """Change the handle; reserved names may be given out."""
    _refuse_behind_entryway(visit)
    handle = form.text("handle").strip().removeprefix("@")
    await update_handle(visit.ctx, account.did, handle, allow_reserved=True)
    return Done(_("The account that was %(handle)s has its new handle."), handle)


async def allow_invites(visit: AdminVisit, account: ActorAccount, _form: Form) -> Done:
    """Let the invite codes that the account earns work."""
    return await _set_invites(visit, account, disabled=False)


async def stop_invites(visit: AdminVisit, account: ActorAccount, form: Form) -> Done:
    """Let the codes that the account earns start disabled, and disable those it has if wanted."""
    done = await _set_invites(visit, account, disabled=True)
    if form.has("codes"):
        await visit.ctx.accounts.invites.disable([], [account.did])
    return done


async def delete(visit: AdminVisit, account: ActorAccount, form: Form) -> Done:
    """Delete the account with all it has, if its handle was typed."""
    typed = form.text("typed").strip().removeprefix("@").lower()
    if typed not in (account.shown_handle.lower(), account.did.lower()):
        raise StepRefused(_("Type the handle of the account to delete it."))
    await delete_account(visit.ctx, account.did)
    return Done(_("%(handle)s is deleted."), account.shown_handle, is_gone=True)


async def _set_invites(visit: AdminVisit, account: ActorAccount, *, disabled: bool) -> Done:
    _refuse_behind_entryway(visit)
    await visit.ctx.accounts.invites.set_disabled(account.did, disabled=disabled)
    if disabled:
        return Done(_("%(handle)s can invite nobody any more."))
    return Done(_("%(handle)s can invite people."))


def _refuse_behind_entryway(visit: AdminVisit) -> None:
    if visit.ctx.entryway is not None:
        raise StepRefused(_("The entryway of this server has the logins: change it there."))


def _parse_quota(text: str) -> int:
    try:
        size = parse_size(text)
    except ValueError:
        raise StepRefused(_("Type a size such as 500MB, 2.5GB or 0.")) from None
    return min(size, MAX_BYTES)


STEPS: Final[Mapping[str, Step]] = {
    "takedown": take_down,
    "restore": restore,
    "quota": set_quota,
    "password": reset_password,
    "second-factors": reset_second_factors,
    "email": set_email,
    "handle": set_handle,
    "allow-invites": allow_invites,
    "stop-invites": stop_invites,
    "delete": delete,
}
"""The forms of an account's page, by the end of their paths."""
DANGEROUS: Final = frozenset({"password", "second-factors", "email", "handle", "delete"})
"""Those that ask for the administrator's password again."""
