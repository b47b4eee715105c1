"""What administrators did, mails and crawl requests: kept, bounded, and without secrets."""

from __future__ import annotations

import pytest

from database.connection import Database
from pds.administration import action_log, crawl_log, mail_log
from pds.administration.action_log import ActionLog
from pds.administration.crawl_log import CrawlLog
from pds.administration.mail_log import MailLog
from pds.mail.mailer import Mailer, MailOutcome
from pds.mail.message import Mail
from pds.mail.texts import Branding
from pds.mail.transport import LogTransport, MailNotSent, MailTransport
from tests.pds.accounts.conftest import FakeClock

MAIL = Mail("alice@example.com", "Hello", "text with a code", "<p>text with a code</p>")


async def test_the_log_is_read_from_the_newest_entry_on(db: Database, clock: FakeClock) -> None:
    log = ActionLog(db, clock=clock)
    for number in range(5):
        await log.note("takedown", f"did:plc:{number}", "reason", address="192.0.2.1")
    first = log.page(limit=2)
    second = log.page(limit=2, before=first[-1].id)
    assert [each.subject for each in first + second] == [f"did:plc:{n}" for n in (4, 3, 2, 1)]
    assert log.about("did:plc:3", limit=5)[0].detail == "reason"


async def test_the_log_keeps_the_newest_entries_and_shortens_texts(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_log, "KEPT", 3)
    log = ActionLog(db)
    for number in range(6):
        await log.note("delete", str(number), "x" * 10_000, address="192.0.2.1")
    entries = log.page(limit=100)
    assert [each.subject for each in entries] == ["5", "4", "3"]
    assert len(entries[0].detail) == 500


class Refusing:
    """A transport whose server takes nothing."""

    async def send(self, mail: Mail) -> None:
        raise MailNotSent("smtp.example.com: 550 no such user")


class Taking:
    """A transport whose server takes everything."""

    async def send(self, mail: Mail) -> None:
        """Take it."""


@pytest.mark.parametrize(
    ("transport", "state", "reason"),
    [
        (Taking(), "sent", ""),
        (LogTransport("PDS_MODERATION_EMAIL_SMTP_URL", shows=False), "unsent", ""),
        (Refusing(), "failed", "smtp.example.com: 550 no such user"),
    ],
)
async def test_every_mail_is_counted_with_what_became_of_it(
    db: Database, transport: MailTransport, state: str, reason: str
) -> None:
    log = MailLog(db)
    mailer = Mailer(Branding("Holdfast", "https://x"), accounts=transport, moderation=transport)
    mailer.on_outcome = log.note
    try:
        await mailer.send_from_moderation("alice@example.com", subject="Hi", html="<p>code 123</p>")
    except MailNotSent:
        assert state == "failed"
    (logged,) = log.page(limit=10)
    assert (logged.state, logged.reason, logged.subject) == (state, reason, "Hi")
    assert logged.recipient == "a…@example.com"
    assert log.counts(seconds=60) == {state: 1}
    assert "123" not in repr(db.all("SELECT * FROM holdfast_mail"))


async def test_an_address_that_a_mail_server_repeats_is_not_kept(db: Database) -> None:
    log = MailLog(db)
    await log.note(MailOutcome(MAIL, "failed", "550 <alice@example.com>: no such mailbox"))
    assert log.page(limit=1)[0].reason == "550 <a…@example.com>: no such mailbox"


async def test_mails_are_kept_for_a_month_and_in_a_bounded_number(
    db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_log, "KEPT", 4)
    log = MailLog(db, clock=clock)
    for _ in range(6):
        await log.note(MailOutcome(MAIL, "sent"))
    assert len(log.page(limit=100)) == 4
    clock.now_s += mail_log.KEPT_S + 1
    await log.note(MailOutcome(MAIL, "failed", "x" * 1000))
    (left,) = log.page(limit=100)
    assert len(left.reason) == 300
    assert log.page(limit=100, state="sent") == []


async def test_hosts_are_listed_with_their_last_answer(db: Database, clock: FakeClock) -> None:
    log = CrawlLog(db, ["https://relay.example", "https://other.example"], clock=clock)
    await log.note("https://relay.example", "")
    clock.now_s += 60
    await log.note("https://relay.example", "status 500")
    await log.note("https://typed.example", "")
    relay, other, typed = log.hosts()
    assert (relay.url, relay.is_configured, relay.reason) == (
        "https://relay.example",
        True,
        "status 500",
    )
    assert relay.accepted_at is not None
    assert relay.asked_at is not None
    assert relay.accepted_at < relay.asked_at
    assert (other.asked_at, other.is_configured) == (None, True)
    assert (typed.url, typed.is_configured) == ("https://typed.example", False)


async def test_the_list_of_hosts_is_bounded(
    db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crawl_log, "KEPT", 2)
    log = CrawlLog(db, [], clock=clock)
    for number in range(4):
        clock.now_s += 1
        await log.note(f"https://{number}.example", "")
    assert [each.url for each in log.hosts()] == ["https://3.example", "https://2.example"]
