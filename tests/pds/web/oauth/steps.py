"""What people do on the pages."""

from __future__ import annotations

from tests.pds.conftest import Account
from tests.pds.web.browser import Browser, Page
from tests.pds.web.oauth.app_client import App


async def sign_in(browser: Browser, page: Page, account: Account, **more: str) -> Page:
    """Fill in the page that asks for the password."""
    form = page.form("/sign-in")
    return await browser.send(form, username=account.handle, password=account.password, **more)


async def authorize(
    app: App, browser: Browser, account: Account, *, remember: str | None = None, **parameters: str
) -> Page:
    """Sign in and agree to all; the result is the redirect to the client."""
    page = await browser.open("/oauth/authorize", **await app.push(**parameters))
    more = {} if remember is None else {"remember": remember}
    page = await sign_in(browser, page, account, **more)
    return await browser.send(page.form("/consent"))
