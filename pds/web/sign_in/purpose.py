"""`Purpose`: what somebody signs in for, such as an app's request or the page of the account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from aiohttp import web

from pds.accounts.logins import Login
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit


class Purpose(Protocol):
    """Where a sign-in comes from, and how it goes on."""

    def page(self, visit: Visit, template: str, **values: Any) -> web.StreamResponse:
        """Render one of the templates of this package: see `Visit.page`.

        Adds to the values: `path`, below which its forms are posted; `fields`, what is hidden in
        them; `app`, the app that asks (`name`, `host`) or None; and the links `sign_in`, `sign_up`
        and `chooser`, of which the last is empty where this browser remembers nobody.
        """

    async def signed_in(self, visit: Visit, login: Login, *, remember: bool) -> web.StreamResponse:
        """Go on with an account that has shown all that it must. Raises `AccountError`.

        `remember` asks that the browser stays signed in.
        """


Step: TypeAlias = Callable[[Visit, Purpose, Form], Awaitable[web.StreamResponse]]
"""What a form of these pages does."""
