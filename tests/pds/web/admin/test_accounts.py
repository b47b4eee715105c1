"""What the administrator does with an account: on its page, by forms, and in the log."""

from __future__ import annotations

import pyotp
import pytest

from pds.accounts.account import AccountStatus
from pds.administration.sessions import RECENT_S
from repo.cid import Cid
from repo.syntax import Did
from tests.pds.conftest import ADMIN_PASSWORD, Account, Pds
from tests.pds.web.admin.desk import Administrator

CREATE_SESSION = "com.atproto.server.createSession"


def status_of(pds: Pds, account: Account) -> AccountStatus:
    return pds.ctx.accounts.get_account(account.did, include_inactive=True).status


async def test_a_takedown_hides_the_account_and_is_ended_again(pds: Pds, alice: Account) -> None:
    admin = await Administrator.signed_in(pds)
    page = await admin.do(alice.did, "takedown", reason="spam, see <ticket 7>")
    assert f"{alice.handle} is taken down." in page.text
    assert "spam, see <ticket 7>" in page.text
    assert status_of(pds, alice) is AccountStatus.TAKENDOWN
    page = await admin.do(alice.did, "restore")
    assert status_of(pds, alice) is AccountStatus.ACTIVE
    assert [each.action for each in pds.ctx.administration.actions.about(alice.did, limit=9)] == [
        "restore",
        "takedown",
    ]


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ({"kind": "size", "size": "2.5GB"}, 2_500_000_000),
        ({"kind": "size", "size": "0"}, 0),
        ({"kind": "none", "size": "x"}, None),
    ],
)
async def test_the_quota_of_an_account_is_changed(
    pds: Pds, alice: Account, values: dict[str, str], limit: int | None
) -> None:
    admin = await Administrator.signed_in(pds)
    page = await admin.do(alice.did, "quota", **values)
    assert "The quota of alice.test is changed." in page.text
    own = pds.ctx.accounts.quotas.find(alice.did)
    assert own is not None
    assert own.limit_bytes == limit
    await admin.do(alice.did, "quota", kind="default", size="")
    assert pds.ctx.accounts.quotas.find(alice.did) is None


async def test_a_new_password_is_shown_once_and_ends_the_sessions(pds: Pds, alice: Account) -> None:
    admin = await Administrator.signed_in(pds)
    page = await admin.do(alice.did, "password")
    password = page.reply.body.decode().partition("<pre>")[2].partition("</pre>")[0]
    assert (await pds.get("com.atproto.server.getSession", alice.auth)).status == 400
    body = {"identifier": alice.handle, "password": password}
    assert (await pds.post(CREATE_SESSION, body)).status == 200
    stored = repr(pds.ctx.administration.actions.page(limit=9))
    assert password not in stored
    assert page.reply.headers["Cache-Control"] == "no-store"


async def test_address_and_handle_are_changed_or_the_problem_is_told_at_the_field(
    pds: Pds, alice: Account, bob: Account
) -> None:
    admin = await Administrator.signed_in(pds)
    await admin.do(alice.did, "email", email="new@example.org")
    await admin.do(alice.did, "handle", handle="@neu.test")
    account = pds.ctx.accounts.get_account(alice.did)
    assert (account.email, account.handle) == ("new@example.org", "neu.test")
    for step, value in (
        ("email", bob.email),
        ("email", "no address"),
        ("handle", bob.handle),
        ("handle", "xn--.test"),
        ("handle", "<b>"),
    ):
        page = await admin.do(alice.did, step, **{step: value})
        assert page.status == 400
        body = page.reply.body.decode()
        assert f'aria-describedby="{step}-problem"' in body
        assert f'id="{step}-problem"' in body
        assert "<b>" not in body
    assert pds.ctx.accounts.get_account(alice.did) == account


async def test_second_factors_that_are_lost_are_removed(pds: Pds, alice: Account) -> None:
    admin = await Administrator.signed_in(pds)
    assert "Second factors" not in (await admin.open(f"/admin/accounts/{alice.did}")).text
    secret = pyotp.random_base32()
    await pds.ctx.second_factors.set_up_app(Did(alice.did), secret, pyotp.TOTP(secret).now())
    page = await admin.do(alice.did, "second-factors")
    assert "The password of alice.test alone signs in now." in page.text
    assert not pds.ctx.second_factors.needed(Did(alice.did))


async def test_invitations_of_an_account_are_stopped_and_allowed(pds: Pds, alice: Account) -> None:
    invites = pds.ctx.accounts.invites
    await invites.create([alice.did], count=1, uses=1)
    admin = await Administrator.signed_in(pds)
    await admin.do(alice.did, "stop-invites", codes="true")
    assert pds.ctx.accounts.get_account(alice.did).invites_disabled
    assert [each.disabled for each in invites.of_account(alice.did)] == [True]
    await admin.do(alice.did, "allow-invites")
    assert not pds.ctx.accounts.get_account(alice.did).invites_disabled


async def test_deletion_needs_the_typed_handle(pds: Pds, alice: Account) -> None:
    admin = await Administrator.signed_in(pds)
    page = await admin.do(alice.did, "delete", typed="bob.test")
    assert (page.status, "Type the handle" in page.text) == (400, True)
    assert status_of(pds, alice) is AccountStatus.ACTIVE
    page = await admin.do(alice.did, "delete", typed="ALICE.test")
    assert "alice.test is deleted." in page.text
    assert pds.ctx.accounts.find_account(alice.did, include_inactive=True) is None
    assert (await admin.open(f"/admin/accounts/{alice.did}")).status == 404


async def test_dangerous_steps_ask_again_for_a_password_given_long_ago(
    pds: Pds, alice: Account
) -> None:
    admin = await Administrator.signed_in(pds)
    pds.ctx.accounts.db.run(
        "UPDATE holdfast_admin_session SET confirmedAt = confirmedAt - ?", (RECENT_S + 1,)
    )
    page = await admin.do(alice.did, "delete", typed="alice.test")
    assert "Confirm with your password" in page.text
    page = await admin.enter(page, "/delete", admin_password="guess")
    assert (page.status, "not the password" in page.text) == (400, True)
    assert status_of(pds, alice) is AccountStatus.ACTIVE
    page = await admin.enter(page, "/delete", admin_password=ADMIN_PASSWORD)
    assert "alice.test is deleted." in page.text
    # What is not dangerous goes on without.
    bob = await pds.create_account("bob")
    pds.ctx.accounts.db.run("UPDATE holdfast_admin_session SET confirmedAt = 0")
    page = await admin.do(bob.did, "takedown", reason="")
    assert status_of(pds, bob) is AccountStatus.TAKENDOWN


async def test_files_are_listed_by_size_and_taken_down(pds: Pds, alice: Account) -> None:
    sizes = {}
    for size in (3_000, 9_000, 1_000):
        reply = await pds.upload(alice, b"\x89PNG\r\n\x1a\n" + b"x" * size)
        sizes[size] = reply.json["blob"]["ref"]["$link"]
    admin = await Administrator.signed_in(pds)
    path = f"/admin/accounts/{alice.did}/blobs"
    page = await admin.open(path)
    assert sorted(sizes, key=lambda size: page.text.index(sizes[size])) == [9_000, 3_000, 1_000]
    assert sizes[9_000] in (await admin.open("/admin/blobs?look=1")).text
    page = await admin.enter(page, "/takedown", cid=sizes[3_000], reason="bad")
    assert "The file is taken down." in page.text

    async def ref() -> str | None:
        cid = Cid.parse(sizes[3_000])
        found = await pds.ctx.actor_store.read(alice.did, lambda actor: actor.blob.find(cid))
        assert found is not None
        return found.takedown_ref

    assert await ref() == "bad"
    page = await admin.enter(page, "/restore", cid=sizes[3_000])
    assert await ref() is None
    for wrong in ("", "nonsense", str(Cid.of_raw(b"other")), "bafy\x00"):
        page = await admin.enter(await admin.open(path), "/takedown", cid=wrong)
        assert (page.status, "no such file" in page.text) == (400, True)


async def test_missing_files_are_counted(pds: Pds, alice: Account) -> None:
    cid = Cid.of_raw(b"elsewhere")
    await pds.ctx.actor_store.transact(
        alice.did, lambda actor: actor.blob.add_reference(f"at://{alice.did}/a.b.c/1", cid)
    )
    admin = await Administrator.signed_in(pds)
    page = await admin.open("/admin/blobs?look=1")
    assert "One file is missing." in page.text
    assert str(cid) in (await admin.open(f"/admin/accounts/{alice.did}/blobs")).text


async def test_what_the_api_changes_is_in_the_log_and_what_it_reads_is_not(
    pds: Pds, alice: Account
) -> None:
    await pds.get("com.atproto.admin.getAccountInfo", pds.admin, did=alice.did)
    subject = {"$type": "com.atproto.admin.defs#repoRef", "did": alice.did}
    body = {"subject": subject, "takedown": {"applied": True, "ref": "x"}}
    await pds.post("com.atproto.admin.updateSubjectStatus", body, pds.admin)
    await pds.post("com.atproto.admin.updateSubjectStatus", body)
    await pds.post("com.atproto.admin.deleteAccount", {"did": "did:plc:nobody"}, pds.admin)
    path = f"/_holdfast/quota/{alice.did}"
    await pds.request("PUT", path, headers=pds.admin, json={"quotaBytes": 5})
    await pds.request("GET", "/_holdfast/usage", headers=pds.admin)
    entries = pds.ctx.administration.actions.page(limit=9)
    assert [(each.action, each.subject, each.via) for each in entries] == [
        ("PUT /_holdfast/quota/{account}", alice.did, "api"),
        ("com.atproto.admin.updateSubjectStatus", alice.did, "api"),
    ]
    page = await (await Administrator.signed_in(pds)).open("/admin/log")
    assert "com.atproto.admin.updateSubjectStatus" in page.text
