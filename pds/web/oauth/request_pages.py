"""The pages of an authorization request, made from what is asked."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web
from markupsafe import Markup

from pds.accounts.account import ActorAccount
from pds.oauth.authorization import Asking
from pds.oauth.clients.client import Client
from pds.oauth.provider import OAuth
from pds.web.oauth.documents import AUTHORIZE_PATH
from pds.web.oauth.form_sources import form_source
from pds.web.oauth.logos import ClientLogos
from pds.web.oauth.permissions import permissions_of
from pds.web.pages.strangers_texts import may_look_like_another, on_one_line
from pds.web.pages.visit import Visit

_NAME_CHARACTERS: Final = 80
"""Of a client's name, which it chooses itself."""


class RequestPages:
    """Renders the pages of one server."""

    def __init__(self, oauth: OAuth, logos: ClientLogos) -> None:
        self._oauth = oauth
        self._logos = logos

    async def consent(
        self,
        visit: Visit,
        asking: Asking,
        account: ActorAccount,
        agreed: frozenset[str],
        ticket: str = "",
    ) -> web.Response:
        """Return the page that says who asks for what, and what is not among what was `agreed`."""
        metadata = asking.client.metadata
        sets = await self._oauth.permission_sets.find_all(asking.parameters.scope)
        return self.page(
            visit,
            "oauth/consent.html",
            asking,
            account={"did": account.did, "handle": account.shown_handle},
            ticket=ticket,
            permissions=permissions_of(asking.scopes, agreed, sets, visit.language),
            was_allowed_before=bool(agreed),
            has_news=not agreed.issuperset(asking.scopes),
            is_trusted=asking.client.is_trusted,
            is_loopback=asking.client.is_loopback,
            has_odd_host=may_look_like_another(asking.client.host),
            client_uri=metadata.client_uri,
            policy_uri=metadata.policy_uri,
            tos_uri=metadata.tos_uri,
        )

    def page(self, visit: Visit, template: str, asking: Asking, **values: Any) -> web.Response:
        """Render a template with what belongs to the request: see `Purpose.page`."""
        reference = {"client_id": asking.client.client_id, "request_uri": asking.request_uri}
        here = f"{AUTHORIZE_PATH}?{urlencode(reference)}"
        name = _name_of(visit, asking.client)
        links = {
            "sign_in": f"{here}&sign-in=1",
            "sign_up": f"{here}&sign-up=1",
            "chooser": f"{here}&choose=1" if asking.accounts else "",
        }
        return visit.page(
            template,
            form_targets=(form_source(asking.parameters.redirect_uri),),
            path=AUTHORIZE_PATH,
            fields=visit.hidden(**reference),
            app={
                "name": name,
                "shown_name": Markup("<bdi>{}</bdi>").format(name),
                "host": _host_of(visit, asking.client),
                "logo": self._logos.address_of(asking.client),
            },
            **{**links, **values},
        )


def _name_of(visit: Visit, client: Client) -> str:
    """Return what the client calls itself, on one line; its host if it has no name."""
    if client.is_loopback:
        return visit.gettext("An app on this device")
    return on_one_line(client.metadata.client_name or "", _NAME_CHARACTERS) or client.host


def _host_of(visit: Visit, client: Client) -> str:
    return visit.gettext("runs on your own device") if client.is_loopback else client.host
