"""Headers of any bytes: what is answered where they are echoed, looked up or verified."""

from __future__ import annotations

import json

import pytest

from tests.pds.conftest import Account, Pds
from tests.pds.raw_http import exchange

SESSION = "GET /xrpc/com.atproto.server.getSession"
UPLOAD = "POST /xrpc/com.atproto.repo.uploadBlob"
LOGIN = "POST /xrpc/com.atproto.server.createSession"


async def send(pds: Pds, line: str, *headers: bytes) -> tuple[int, bytes]:
    """Send a request whose body, if it is a POST, is an empty object."""
    lines = [f"{line} HTTP/1.1".encode(), *headers, b"Connection: close"]
    if not any(header.startswith(b"Host:") for header in headers):
        lines.append(b"Host: localhost")
    if line.startswith("POST"):
        lines.append(b"Content-Length: 2")
        if not any(header.startswith(b"Content-Type:") for header in headers):
            lines.append(b"Content-Type: application/json")
    body = b"{}" if line.startswith("POST") else b""
    return await exchange(pds, b"\r\n".join([*lines, b"", body]))


@pytest.mark.parametrize(
    ("line", "header", "status", "error"),
    [
        (SESSION, b"Authorization: \xff\xfe x", 400, "InvalidToken"),
        (SESSION, b"Authorization: Bearer \xff\xfe", 400, "InvalidToken"),
        (UPLOAD, b"Authorization: Bearer \xff\xfe", 400, "InvalidToken"),
        (
            "POST /xrpc/com.atproto.server.createInviteCode",
            b"Authorization: Basic \xff\xfe",
            401,
            "AuthenticationRequired",
        ),
        (LOGIN, b"Content-Type: \xff\xfe", 400, "InvalidRequest"),
        (LOGIN, b"Content-Encoding: \xff\xfe", 415, "UnsupportedMediaTypeError"),
    ],
)
async def test_bytes_that_are_not_utf8_are_a_fault_of_the_request(
    pds: Pds, line: str, header: bytes, status: int, error: str
) -> None:
    answered, body = await send(pds, line, header)
    assert (answered, json.loads(body)["error"]) == (status, error)


async def test_no_handle_is_found_under_a_host_that_is_not_utf8(pds: Pds) -> None:
    for header in (b"Host: \xff\xfe.test", b"X-Forwarded-Host: \xff\xfe.test"):
        answered, body = await send(pds, "GET /.well-known/atproto-did", header)
        assert (answered, body) == (404, b"User not found")


async def test_an_expectation_that_is_not_utf8_cannot_be_met(pds: Pds) -> None:
    for line in (SESSION, LOGIN, "GET /", "OPTIONS /xrpc/x"):
        answered, _ = await send(pds, line, b"Expect: \xff\xfe")
        assert answered == 417


async def test_a_blob_of_a_type_that_is_not_utf8_is_stored_all_the_same(
    pds: Pds, alice: Account
) -> None:
    authorization = f"Authorization: Bearer {alice.access_jwt}".encode()
    answered, body = await send(pds, UPLOAD, authorization, b"Content-Type: text/\xff\xfe")
    assert answered == 200
    assert json.loads(body)["blob"]["mimeType"] == "text/\ufffd\ufffd"


async def test_headers_in_utf8_stay_as_they_are(pds: Pds, alice: Account) -> None:
    authorization = f"Authorization: Bearer {alice.access_jwt}".encode()
    other = "X-Names: Zoë".encode()
    answered, _ = await send(pds, SESSION, authorization, other, b"Cookie: \xff\xfe")
    assert answered == 200
    answered, body = await send(pds, LOGIN, "Content-Type: é".encode())
    assert (answered, json.loads(body)["message"]) == (
        400,
        "Wrong request encoding (Content-Type): é",
    )
