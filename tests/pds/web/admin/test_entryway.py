"""The administrator's pages where an entryway has the logins, and where nobody has a password."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pds.web.admin.routes import admin_routes
from tests.entryway import Entryway
from tests.pds.conftest import Account, Pds
from tests.pds.entryway.conftest import alice, entryway, pds_environ, running_entryway
from tests.pds.web.admin.desk import Administrator

__all__ = ["alice", "entryway", "pds_environ", "running_entryway"]


async def test_behind_an_entryway_only_what_is_kept_here_is_changed(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    admin = await Administrator.signed_in(pds)
    page = await admin.open(f"/admin/accounts/{alice.did}")
    assert "The entryway of this server has the logins" in page.text
    steps = {form.action.rpartition("/")[2] for form in page.forms}
    assert steps == {"sign-out", "takedown", "quota", "delete"}
    form = page.form("/takedown")
    for step in ("password", "email", "handle", "stop-invites", "second-factors"):
        form.action = f"/admin/accounts/{alice.did}/{step}"
        refused = await admin.send(form, email="new@example.org", handle="new.test")
        assert (refused.status, "change it there" in refused.text) == (400, True), step
    assert (await admin.open("/admin/invites")).status == 404
    await admin.do(alice.did, "takedown", reason="x")
    assert pds.ctx.accounts.find_account(alice.did) is None
    assert entryway.asked == []


def test_without_a_password_there_are_no_pages() -> None:
    secrets = SimpleNamespace(admin_password="")
    site: Any = SimpleNamespace(ctx=SimpleNamespace(settings=SimpleNamespace(secrets=secrets)))
    assert list(admin_routes(site)) == []
