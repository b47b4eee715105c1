"""The pages of an authorization request, made from what is asked."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from pds.accounts.account import ActorAccount
from pds.oauth.authorization import Asking
from pds.oauth.clients.client import Client
from pds.oauth.provider import OAuth
from pds.web.oauth.documents import AUTHORIZE_PATH
from pds.web.oauth.form_sources import form_source
from pds.web.oauth.permissions import permissions_of
from pds.web.pages.strangers_texts import on_one_line
from pds.web.pages.visit import Visit

_NAME_CHARACTERS: Final = 80
"""Of a client's name, which it chooses itself."""


class RequestPages:
    """Renders the pages of one server."""

    def __init__(self, oauth: OAuth) -> None:
        self._oauth = oauth

    async def first(self, visit: Visit, asking: Asking) -> web.Response:
        """Return the page with which a request begins: whichever step is missing."""
        selected = asking.selected
        if selected is not None:
            if selected.login_required:
                return self.sign_in(visit, asking, username=selected.account.handle or "")
            return await self.consent(visit, asking, selected.account, "")
        if asking.accounts and asking.parameters.prompt != "create":
            return self.choose(visit, asking)
        return self.sign_in(visit, asking, username=asking.parameters.login_hint or "")

    def sign_in(
        self,
        visit: Visit,
        asking: Asking,
        *,
        username: str = "",
        problem: str = "",
        remember: bool = False,
    ) -> web.Response:
        """Return the page that asks for the password."""
        return self._page(
            visit,
            "oauth/sign_in.html",
            asking,
            status=400 if problem else 200,
            username=username,
            problem=problem,
            remember=remember,
            has_accounts=bool(asking.accounts),
        )

    def choose(self, visit: Visit, asking: Asking) -> web.Response:
        """Return the page with the accounts that this browser remembers."""
        accounts = [
            {
                "did": one.account.did,
                "handle": one.account.shown_handle,
                "login_required": one.login_required,
            }
            for one in asking.hinted or asking.accounts
        ]
        return self._page(visit, "oauth/choose.html", asking, accounts=accounts)

    async def consent(
        self, visit: Visit, asking: Asking, account: ActorAccount, ticket: str
    ) -> web.Response:
        """Return the page that says who asks for what."""
        metadata = asking.client.metadata
        agreed = self._oauth.authorization.agreed(asking, account)
        sets = await self._oauth.permission_sets.find_all(asking.parameters.scope)
        return self._page(
            visit,
            "oauth/consent.html",
            asking,
            account={"did": account.did, "handle": account.shown_handle},
            ticket=ticket,
            permissions=permissions_of(asking.scopes, agreed, sets),
            is_own_claim=not (asking.client.is_trusted or asking.client.is_loopback),
            client_uri=metadata.client_uri,
            policy_uri=metadata.policy_uri,
            tos_uri=metadata.tos_uri,
        )

    def _page(
        self, visit: Visit, template: str, asking: Asking, *, status: int = 200, **values: Any
    ) -> web.Response:
        reference = {"client_id": asking.client.client_id, "request_uri": asking.request_uri}
        here = f"{AUTHORIZE_PATH}?{urlencode(reference)}"
        form = {
            **reference,
            "csrf": visit.csrf,
            "client_name": _name_of(asking.client),
            "client_host": _host_of(asking.client),
        }
        return visit.page(
            template,
            status=status,
            form_targets=(form_source(asking.parameters.redirect_uri),),
            form=form,
            chooser=here,
            sign_in=f"{here}&sign-in=1",
            **values,
        )


def _name_of(client: Client) -> str:
    """Return what the client calls itself, on one line; its host if it has no name."""
    if client.is_loopback:
        return "An app on this device"
    return on_one_line(client.metadata.client_name or "", _NAME_CHARACTERS) or client.host


def _host_of(client: Client) -> str:
    return "runs on your own device" if client.is_loopback else client.host
