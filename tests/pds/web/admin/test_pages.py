"""What the administrator sees: every page, with something on it and with nothing."""

from __future__ import annotations

import orjson

from database.errors import DatabaseFull
from pds.administration.samples import Counts, Sample
from pds.pending.journal import Entry
from repo.syntax import Did
from tests.pds.conftest import Pds
from tests.pds.web.admin.desk import Administrator, link_of

PAGES = (
    "/admin",
    "/admin?span=day",
    "/admin/accounts",
    "/admin/accounts?state=takendown",
    "/admin/accounts?q=alice&after=x",
    "/admin/invites",
    "/admin/invites?before=7",
    "/admin/blobs",
    "/admin/blobs?look=1",
    "/admin/blobs?account=nobody.test",
    "/admin/firehose",
    "/admin/crawlers",
    "/admin/mails",
    "/admin/mails?state=failed&before=99999999999999999999",
    "/admin/health",
    "/admin/log",
    "/admin/security",
)


async def test_every_page_is_shown_on_an_empty_server(pds: Pds) -> None:
    admin = await Administrator.signed_in(pds)
    for path in PAGES:
        page = await admin.open(path)
        assert page.status == 200, (path, page.text)
        assert page.reply.body.count(b"<h1>") == 1


async def test_plots_have_their_numbers_in_words(pds: Pds) -> None:
    samples = pds.ctx.administration.sampler.samples
    for number in range(5):
        counts = Counts(number * 100, 0, 0, 0, subscribers=number, lag_events=7)
        samples.add(Sample(1000.0 + 10 * number, counts, 150_000_000, 10**12))
    page = await (await Administrator.signed_in(pds)).open("/admin")
    assert "Now 10; between 10 and 10. The upper edge is 10." in page.text
    assert "Now 4; between 0 and 4. The upper edge is 5." in page.text
    assert "150 MB" in page.text
    assert page.reply.body.count(b'role="img"') == 8
    assert b" style=" not in page.reply.body


async def test_the_numbers_are_loaded_again_by_a_script_of_this_server_only(pds: Pds) -> None:
    admin = await Administrator.signed_in(pds)
    page = await admin.open("/admin")
    policy = page.reply.headers["Content-Security-Policy"]
    assert f"script-src {pds.public_url}/admin/live.js;" in policy
    page = await admin.open("/admin/now")
    assert (page.status, "Accounts" in page.text) == (403, False)
    headers = {"Cookie": f"admin-session={admin.cookies['admin-session']}"}
    reply = await pds.request(
        "GET", "/admin/now", headers={**headers, "Sec-Fetch-Site": "same-origin"}
    )
    assert (reply.status, b"Newest event" in reply.body) == (200, True)
    assert (await pds.request("GET", "/admin/now")).status == 403


async def test_a_search_that_finds_more_than_a_page_goes_on(pds: Pds) -> None:
    db = pds.ctx.accounts.db
    with db.transaction():
        db.many(
            "INSERT INTO actor (did, handle, createdAt) VALUES (?, ?, ?)",
            (
                (f"did:plc:{n:024d}", f"user{n:03d}.test", f"2026-01-01T00:00:00.{n:03d}Z")
                for n in range(120)
            ),
        )
    admin = await Administrator.signed_in(pds)
    for path in ("/admin/accounts?q=user", "/admin/accounts?state=active"):
        seen: list[str] = []
        link: str | None = path
        while link is not None:
            page = await admin.open(link)
            seen += [word for word in page.text.split() if word.endswith(".test")]
            link = link_of(page, "Next page")
        assert len(seen) == len(set(seen)) == 120


async def test_invite_codes_are_made_listed_and_disabled(pds: Pds) -> None:
    alice = await pds.create_account("alice")
    admin = await Administrator.signed_in(pds)
    page = await admin.open("/admin/invites")
    page = await admin.enter(page, "/create", count="3", uses="2", account="@alice.test")
    assert "There are 3 new codes" in page.text
    codes = pds.ctx.accounts.invites.of_account(alice.did)
    assert [each.available for each in codes] == [2, 2, 2]
    assert all(each.code in page.text for each in codes)
    page = await admin.enter(page, "/disable", code=codes[0].code)
    assert f"The code {codes[0].code} cannot be used any more." in page.text
    assert [each.disabled for each in pds.ctx.accounts.invites.of_account(alice.did)].count(True)
    for wrong in (
        {"count": "0", "uses": "1", "account": ""},
        {"count": "101", "uses": "1", "account": ""},
        {"count": "1", "uses": "-1", "account": ""},
        {"count": "1", "uses": "²", "account": ""},
        {"count": "1", "uses": "1", "account": "nobody.test"},
    ):
        page = await admin.enter(await admin.open("/admin/invites"), "/create", **wrong)
        assert (page.status, len(pds.ctx.accounts.invites.of_account(alice.did))) == (400, 3)
    page = await admin.open("/admin/invites")
    assert (await admin.enter(page, "/disable", code="unknown")).status == 404


async def test_a_failing_server_says_so_on_the_first_page(pds: Pds) -> None:
    admin = await Administrator.signed_in(pds)
    await pds.ctx.unfinished.journal.add(Entry("damaged", Did("did:plc:broken"), "is empty"))
    page = await admin.open("/admin")
    assert "The data of one account is damaged." in page.text
    assert "did:plc:broken" in (await admin.open("/admin/health")).text


async def test_findings_of_an_examination_are_shown_escaped_with_their_remedies(pds: Pds) -> None:
    examinations = pds.ctx.administration.examinations
    admin = await Administrator.signed_in(pds)
    page = await admin.open("/admin/health")
    assert "run “pds doctor” yourself" in page.text
    examinations.environ = {}
    found = {
        "check": "repo",
        "subject": "<script>alert(1)</script>",
        "status": "error",
        "message": "bad\u202e",
        "remedy": "mend it",
    }
    report = orjson.dumps({"summary": {"error": 1}, "findings": [found]}).decode()
    examinations._command = ("/bin/sh", "-c", f"printf %s '{report}'")
    page = await admin.enter(await admin.open("/admin/health"), "/health", network="true")
    assert "The examination has begun." in page.text
    page = (
        await admin.enter(page, "/health")
        if any(each.action.endswith("/health") for each in page.forms)
        else page
    )
    await examinations.finished()
    page = await admin.open("/admin/health")
    assert "1 wrong" in page.text
    assert "→ mend it" in page.text
    assert b"<script>alert" not in page.reply.body
    assert "\u202e" not in page.text


async def test_a_log_that_cannot_be_written_does_not_undo_what_was_done(pds: Pds) -> None:
    actions = pds.ctx.administration.actions

    class Full:
        """A database on a full disk."""

        def transaction(self) -> None:
            raise DatabaseFull(pds.ctx.settings.account_db_path, "the disk is full")

    db, actions._db = actions._db, Full()  # type: ignore[assignment]
    await actions.note("takedown", "did:plc:x", address="127.0.0.1")
    actions._db = db
    assert actions.page(limit=1) == []
