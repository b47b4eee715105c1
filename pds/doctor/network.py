"""Checks of what the server needs from the network, and how it appears from there."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from identity.addresses import is_public_address
from identity.http import FetchedResponse, FetchError, SafeHttp
from pds.config.mail_url import InvalidMailUrl, Sendmail, SmtpServer, parse_mail_url
from pds.doctor.finding import Finding
from pds.mail.remedies import greets_in_the_clear, not_reached, not_trusted, starts_with_tls

PLC: Final = "PLC directory"
ENTRYWAY: Final = "entryway"
CLOCK: Final = "clock"
HOSTNAME: Final = "host name"
CERTIFICATE: Final = "TLS certificate"
SMTP: Final = "SMTP"
HANDLE_DNS: Final = "handle DNS"

MAX_SKEW_S: Final = 60
_OK: Final = 200
_TIMEOUT_S: Final = 5.0
_EXPIRES_SOON_S: Final = 7 * 24 * 3600
_PROBE_LABEL: Final = "holdfast-doctor-probe"


async def check_plc(http: SafeHttp, url: str, *, now: datetime) -> list[Finding]:
    """Check that the directory answers, and that this machine's clock agrees with it."""
    try:
        answer = await http.get(f"{url.rstrip('/')}/_health", trusted=True)
    except FetchError as exc:
        remedy = (
            "Check PDS_DID_PLC_URL and the way out of this machine. The directory of `pds dev` "
            "runs inside that server. --offline leaves this out."
        )
        return [Finding.error(PLC, url, f"does not answer: {exc.reason}", remedy)]
    return [Finding.ok(PLC, url, "answers"), check_clock(answer, now)]


async def check_entryway(http: SafeHttp, url: str) -> Finding:
    """Check that the entryway answers: without it nobody can log in."""
    remedy = "Check PDS_ENTRYWAY_URL, the way out of this machine, and the entryway itself."
    try:
        answer = await http.get(f"{url}/xrpc/_health", trusted=True)
    except FetchError as exc:
        return Finding.error(ENTRYWAY, url, f"does not answer: {exc.reason}", remedy)
    if answer.status != _OK:
        return Finding.error(ENTRYWAY, url, f"answers with status {answer.status}", remedy)
    return Finding.ok(ENTRYWAY, url, "answers")


def check_clock(answer: FetchedResponse, now: datetime) -> Finding:
    """Compare the clock with the Date header of a response."""
    try:
        theirs = parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, ValueError):
        return Finding.skipped(CLOCK, answer.url, "the answer has no date to compare with")
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    skew_s = (now - theirs).total_seconds()
    if abs(skew_s) <= MAX_SKEW_S:
        return Finding.ok(CLOCK, answer.url, f"within {MAX_SKEW_S} s of this server's")
    side = "ahead of" if skew_s > 0 else "behind"
    return Finding.warning(
        CLOCK,
        answer.url,
        f"this machine is {abs(skew_s):,.0f} s {side} it: tokens and revs get wrong times",
        "Keep the clock right with an NTP service (timedatectl set-ntp true).",
    )


async def check_hostname(hostname: str) -> Finding:
    """Check that the public name resolves to a public address."""
    addresses = await _addresses(hostname)
    if not addresses:
        return Finding.error(
            HOSTNAME,
            hostname,
            "has no address in DNS",
            "Make an A or AAAA record for it, or correct PDS_HOSTNAME.",
        )
    private = [address for address in addresses if not is_public_address(address)]
    if private:
        return Finding.warning(
            HOSTNAME,
            hostname,
            f"leads from here to {', '.join(private)}, which is not on the public internet",
            "See that the rest of the world gets a public address for it.",
        )
    return Finding.ok(HOSTNAME, hostname, f"leads to {', '.join(addresses)}")


async def check_handle_dns(domain: str) -> Finding:
    """Check that names under a handle domain (with its leading dot) have an address."""
    if await _addresses(_PROBE_LABEL + domain):
        return Finding.ok(HANDLE_DNS, f"*{domain}", "has an address")
    return Finding.warning(
        HANDLE_DNS,
        f"*{domain}",
        "has no address in DNS: handles under it cannot be verified by others",
        f"Make a wildcard record *{domain} that leads to this server.",
    )


async def check_certificate(
    hostname: str, *, port: int = 443, context: ssl.SSLContext | None = None, now: datetime
) -> Finding:
    """Check that `hostname` has a trusted certificate of its own that does not expire soon."""
    subject = f"https://{hostname}"
    remedy = "Renew or correct the certificate of the proxy in front of the server."
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            expires = await _certificate_end(
                hostname, port, context or ssl.create_default_context()
            )
    except ssl.SSLCertVerificationError as exc:
        return Finding.error(CERTIFICATE, subject, exc.verify_message, remedy)
    except (OSError, TimeoutError) as exc:
        return Finding.error(
            CERTIFICATE,
            subject,
            f"port {port} does not answer with TLS: {_reason(exc)}",
            "Start the proxy that ends TLS, and open the port in the firewall.",
        )
    left_s = expires.timestamp() - now.timestamp()
    if left_s < _EXPIRES_SOON_S:
        message = f"expires in {left_s / 3600:,.0f} hours"
        return Finding.warning(CERTIFICATE, subject, message, remedy)
    return Finding.ok(CERTIFICATE, subject, f"valid until {expires:%Y-%m-%d}")


async def check_smtp(setting: str, url: str, *, context: ssl.SSLContext | None = None) -> Finding:
    """Check that the mail server at a URL exists. Nothing is sent."""
    try:
        route = parse_mail_url(url)
    except InvalidMailUrl as exc:
        # Already reported with the settings.
        return Finding.skipped(SMTP, setting, f"not asked, as it {exc}")
    if isinstance(route, Sendmail):
        return _check_sendmail(setting, route)
    where = route.address
    tls = (context or route.tls_context()) if route.tls == "from the start" else None
    try:
        greeting = await _greeting(route.host, route.port, tls)
    except ssl.SSLCertVerificationError as exc:
        return Finding.error(SMTP, setting, f"{where}: {_reason(exc)}", not_trusted(setting))
    except (OSError, TimeoutError) as exc:
        return await _no_mail(setting, route, f"{where} does not answer: {_reason(exc)}")
    if not greeting.startswith(b"220"):
        message = f"{where} does not greet as a mail server does"
        return await _no_mail(setting, route, message)
    return Finding.ok(SMTP, setting, f"{where} answers")


def _check_sendmail(setting: str, route: Sendmail) -> Finding:
    if shutil.which(route.program) is None:
        return Finding.error(
            SMTP,
            setting,
            f"there is no program {route.program} for the user of this process",
            f"Install it, or name its path in {setting}.",
        )
    return Finding.ok(SMTP, setting, f"mails go through {route.program}")


async def _no_mail(setting: str, route: SmtpServer, message: str) -> Finding:
    """Return the finding, after testing whether the TLS mode is the cause."""
    other: ssl.SSLContext | None = None
    if route.tls != "from the start":
        other = ssl.create_default_context()
        other.check_hostname, other.verify_mode = False, ssl.CERT_NONE
    remedy = not_reached(setting)
    with suppress(OSError, TimeoutError):
        if (await _greeting(route.host, route.port, other)).startswith(b"220"):
            remedy = (greets_in_the_clear if other is None else starts_with_tls)(setting)
    return Finding.error(SMTP, setting, message, remedy)


async def _addresses(name: str) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


async def _certificate_end(hostname: str, port: int, context: ssl.SSLContext) -> datetime:
    _, writer = await asyncio.open_connection(hostname, port, ssl=context)
    try:
        certificate = writer.get_extra_info("ssl_object").getpeercert()
    finally:
        await _closed(writer)
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)


async def _greeting(host: str, port: int, tls: ssl.SSLContext | None) -> bytes:
    async with asyncio.timeout(_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        try:
            return await reader.read(3)
        finally:
            await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    # The result is known; errors of the other side on closing do not matter.
    with suppress(OSError):
        await writer.wait_closed()


def _reason(exc: OSError | TimeoutError) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return exc.verify_message
    return exc.strerror or str(exc) or f"no answer within {_TIMEOUT_S:g} s"
