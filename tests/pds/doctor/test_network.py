"""The network around the server, played by servers on loopback."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web

from identity.http import SafeHttp
from pds.doctor import network
from pds.doctor.network import (
    check_certificate,
    check_entryway,
    check_handle_dns,
    check_hostname,
    check_plc,
    check_smtp,
)
from tests.entryway import answering, run_entryway
from tests.tls import certificate_of_localhost

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_MAIL = b"220 mail.test ESMTP\r\n"


@asynccontextmanager
async def listening(greeting: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A TCP server on a free port that greets and waits for the client to go."""
    clients: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.add(asyncio.create_task(serve(reader, writer)))

    async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*clients)


@asynccontextmanager
async def directory(date: datetime | None) -> AsyncIterator[str]:
    """A PLC directory with a clock of its own; without `date` it tells none."""

    async def health(_: web.Request) -> web.Response:
        headers = {} if date is None else {"Date": format_datetime(date, usegmt=True)}
        return web.Response(text="{}", headers=headers or {"Date": "never"})

    app = web.Application()
    app.router.add_get("/_health", health)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[SafeHttp]:
    async with SafeHttp() as client:
        yield client


@pytest.mark.parametrize(
    ("skew_s", "status", "words"),
    [
        (0, "ok", "within 60 s"),
        (59, "ok", "within 60 s"),
        (3600, "warning", "3,600 s behind"),
        (-90, "warning", "90 s ahead of"),
    ],
)
async def test_the_clock_is_compared_with_the_directory(
    http: SafeHttp, skew_s: int, status: str, words: str
) -> None:
    async with directory(_NOW + timedelta(seconds=skew_s)) as url:
        reached, clock = await check_plc(http, url, now=_NOW)
    assert reached.status == "ok"
    assert (clock.check, clock.status) == ("clock", status)
    assert words in clock.message


async def test_a_directory_without_a_date_is_no_clock(http: SafeHttp) -> None:
    async with directory(None) as url:
        _, clock = await check_plc(http, url, now=_NOW)
    assert clock.status == "skipped"


async def test_a_directory_that_does_not_answer_is_an_error(http: SafeHttp) -> None:
    (finding,) = await check_plc(http, "http://127.0.0.1:1", now=_NOW)
    assert (finding.status, finding.subject) == ("error", "http://127.0.0.1:1")
    assert "PDS_DID_PLC_URL" in finding.remedy


@pytest.mark.parametrize(
    ("answer", "status"), [(None, "error"), ({"status": 200}, "ok"), ({"status": 503}, "error")]
)
async def test_an_entryway_has_to_answer(
    http: SafeHttp, answer: dict[str, int] | None, status: str
) -> None:
    url = "http://127.0.0.1:1"
    async with run_entryway() as entryway:
        if answer is not None:
            url = entryway.url
            entryway.answer = answering(**answer)
        finding = await check_entryway(http, url)
    assert (finding.check, finding.subject, finding.status) == ("entryway", url, status)
    assert status == "ok" or "PDS_ENTRYWAY_URL" in str(finding.remedy)


async def test_a_name_without_address_is_an_error() -> None:
    finding = await check_hostname("nowhere.invalid")
    assert (finding.status, finding.subject) == ("error", "nowhere.invalid")
    assert "PDS_HOSTNAME" in finding.remedy


async def test_a_name_that_leads_home_is_a_warning() -> None:
    finding = await check_hostname("localhost")
    assert finding.status == "warning"
    assert "127.0.0.1" in finding.message or "::1" in finding.message


async def test_a_public_address_is_fine() -> None:
    assert (await check_hostname("8.8.8.8")).status == "ok"


async def test_handles_without_dns_are_a_warning() -> None:
    finding = await check_handle_dns(".invalid")
    assert (finding.status, finding.subject) == ("warning", "*.invalid")
    assert "wildcard" in finding.remedy


@pytest.mark.parametrize(
    ("greeting", "status"), [(_MAIL, "ok"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "error")]
)
async def test_a_mail_server_has_to_greet(greeting: bytes, status: str) -> None:
    async with listening(greeting) as port:
        finding = await check_smtp("PDS_EMAIL_SMTP_URL", f"smtp://user:secret@127.0.0.1:{port}")
    assert (finding.status, finding.subject) == (status, "PDS_EMAIL_SMTP_URL")
    assert f"127.0.0.1:{port}" in finding.message
    assert "secret" not in finding.message + finding.remedy


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("smtp://127.0.0.1:1", "error"),
        ("http://127.0.0.1", "skipped"),
        ("smtps://", "skipped"),
        ("smtp://host:port", "skipped"),
        ("smtp:///?sendmail=true&path=/bin/true", "ok"),
        ("smtp:///?sendmail=true&path=/nowhere/sendmail", "error"),
    ],
)
async def test_unusable_mail_servers_are_told(url: str, status: str) -> None:
    finding = await check_smtp("PDS_EMAIL_SMTP_URL", url)
    assert finding.status == status


@pytest.mark.parametrize(("wrong", "right"), [("smtp", "smtps"), ("smtps", "smtp")])
async def test_tls_that_is_used_wrongly_is_told_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, right: str
) -> None:
    monkeypatch.setattr(network, "_TIMEOUT_S", 0.5)
    certificate = certificate_of_localhost(tmp_path)
    async with listening(_MAIL, certificate.server if right == "smtps" else None) as port:
        finding = await check_smtp("PDS_EMAIL_SMTP_URL", f"{wrong}://localhost:{port}")
        assert f"write {right}:// in place of {wrong}:// in PDS_EMAIL_SMTP_URL" in finding.remedy
        monkeypatch.setattr(network, "_TIMEOUT_S", 20.0)
        mended = f"{right}://localhost:{port}"
        finding = await check_smtp("PDS_EMAIL_SMTP_URL", mended, context=certificate.trust)
        assert finding.status == "ok"


async def test_a_certificate_of_a_mail_server_that_is_not_trusted_is_told(tmp_path: Path) -> None:
    async with tls_server(tmp_path, days=60) as (port, _):
        url = f"smtps://localhost:{port}"
        finding = await check_smtp("PDS_EMAIL_SMTP_URL", url)
        assert finding.status == "error"
        (option,) = re.findall(r"append (\S+)\.$", finding.remedy)
        assert (await check_smtp("PDS_EMAIL_SMTP_URL", f"{url}/{option}")).status == "ok"


@asynccontextmanager
async def tls_server(tmp_path: Path, *, days: float) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """A TLS server for `localhost`: its port, and a context that trusts it."""
    certificate = certificate_of_localhost(tmp_path, days=days)
    async with listening(_MAIL, certificate.server) as port:
        yield port, certificate.trust


async def test_a_valid_certificate_is_fine(tmp_path: Path) -> None:
    async with tls_server(tmp_path, days=60) as (port, trust):
        finding = await check_certificate(
            "localhost", port=port, context=trust, now=datetime.now(UTC)
        )
        mail = await check_smtp("PDS_EMAIL_SMTP_URL", f"smtps://localhost:{port}", context=trust)
    assert finding.status == "ok"
    assert mail.status == "ok"


async def test_a_certificate_that_expires_soon_is_a_warning(tmp_path: Path) -> None:
    async with tls_server(tmp_path, days=2) as (port, trust):
        finding = await check_certificate(
            "localhost", port=port, context=trust, now=datetime.now(UTC)
        )
    assert finding.status == "warning"
    assert "hours" in finding.message


@pytest.mark.parametrize("days", [60, -1])
async def test_a_certificate_that_is_not_trusted_is_an_error(tmp_path: Path, days: float) -> None:
    async with tls_server(tmp_path, days=days) as (port, trust):
        context = trust if days < 0 else None
        finding = await check_certificate(
            "localhost", port=port, context=context, now=datetime.now(UTC)
        )
    assert (finding.status, finding.subject) == ("error", "https://localhost")
    assert ("expired" if days < 0 else "self-signed") in finding.message


async def test_a_port_without_tls_is_an_error() -> None:
    finding = await check_certificate("localhost", port=1, now=_NOW)
    assert finding.status == "error"
    assert "port 1" in finding.message
