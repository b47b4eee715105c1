"""An administrator in a browser."""

from __future__ import annotations

import html
import re

from tests.pds.conftest import ADMIN_PASSWORD, Pds
from tests.pds.web.browser import Browser, Page


class Administrator(Browser):
    """Signs in, and follows what pages answer with."""

    @classmethod
    async def signed_in(cls, pds: Pds, **headers: str) -> Administrator:
        """A browser in which the administrator has signed in."""
        admin = cls(pds, **headers)
        page = await admin.sign_in(ADMIN_PASSWORD)
        assert page.status == 200, page.text
        return admin

    async def sign_in(self, password: str, **more: str) -> Page:
        """Send the form of the sign-in page."""
        page = await self.open("/admin/sign-in")
        return await self.enter(page, "/sign-in", password=password, **more)

    async def sign_out_and_in(self, **more: str) -> Page:
        """Forget the session, and send the form of the sign-in page."""
        self.cookies.pop("admin-session")
        return await self.sign_in(ADMIN_PASSWORD, **more)

    async def enter(self, page: Page, form: str, **values: str) -> Page:
        """Send a form, and follow the redirect after it."""
        reply = await self.send(page.form(form), **values)
        if reply.status != 303:
            return reply
        return await self.open(reply.reply.headers["Location"])

    async def do(self, did: str, step: str, **values: str) -> Page:
        """Do something with an account."""
        page = await self.open(f"/admin/accounts/{did}")
        return await self.enter(page, f"/{step}", **values)


def link_of(page: Page, text: str) -> str | None:
    """Where the link with a text leads; None without one."""
    found = re.search(rf'<a href="([^"]*)"[^>]*>{re.escape(text)}</a>', page.reply.body.decode())
    return None if found is None else html.unescape(found[1])
