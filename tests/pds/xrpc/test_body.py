"""Request bodies: what is refused before a handler sees it, and how much is read of it."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from pds.xrpc.body import JSON_LIMIT_BYTES, WRITE_LIMIT_BYTES
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.raw_http import exchange

LOGIN = "com.atproto.server.createSession"
CREATE = "com.atproto.repo.createRecord"
REFRESH = "com.atproto.server.refreshSession"
JSON = {"Content-Type": "application/json"}
NOBODY = {"identifier": "nobody.test", "password": "x"}
UNKNOWN = (401, "AuthenticationRequired")
"""What a well-formed login of nobody is answered."""


async def send(pds: Pds, data: Any, nsid: str = LOGIN, **headers: str) -> Reply:
    """Send bytes as JSON; `Content_Encoding` becomes a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await pds.request("POST", f"/xrpc/{nsid}", headers={**JSON, **named}, data=data)


def login_of_size(size: int) -> bytes:
    """A login whose body has `size` bytes."""
    empty = orjson.dumps({**NOBODY, "password": ""})
    return orjson.dumps({**NOBODY, "password": "x" * (size - len(empty))})


# --- What comes at all


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("Content-Type: application/json", "A request body is expected but none was provided"),
        ("Content-Length: 0", "Request encoding (Content-Type) required but not provided"),
        (
            "Content-Type:  \r\nContent-Length: 0",
            "Request encoding (Content-Type) required but not provided",
        ),
        (
            "Content-Type: text/plain\r\nContent-Length: 0",
            "Wrong request encoding (Content-Type): text/plain",
        ),
        (
            "Content-Type: application/json\r\nContent-Length: 0",
            'Missing required key "identifier" at $',
        ),
        (
            "Content-Type: Application/JSON; charset=utf-8\r\nContent-Length: 0",
            'Missing required key "identifier" at $',
        ),
    ],
)
async def test_the_headers_of_a_body_are_checked(pds: Pds, head: str, message: str) -> None:
    request = f"POST /xrpc/{LOGIN} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n\r\n"
    status, body = await exchange(pds, request.encode())
    assert status == 400
    assert orjson.loads(body) == {"error": "InvalidRequest", "message": message}


@pytest.mark.parametrize("length", ["abc", "-1", "1, 2", "0x10", "9" * 40])
async def test_lengths_that_are_none_are_refused(pds: Pds, length: str) -> None:
    request = (
        f"POST /xrpc/{LOGIN} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    status, _ = await exchange(pds, request.encode())
    assert status in (400, 413)


async def test_a_body_that_nobody_expects_is_refused(pds: Pds, alice: Account) -> None:
    unexpected = {
        "error": "InvalidRequest",
        "message": "A request body was provided when none was expected",
    }

    async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    data: Any
    for data in (b"{}", b"x", chunks(b"x")):
        reply = await pds.request("POST", f"/xrpc/{REFRESH}", headers=alice.refresh_auth, data=data)
        assert (reply.status, reply.json) == (400, unexpected)
    for data in (None, b"", chunks()):
        reply = await pds.request("POST", f"/xrpc/{REFRESH}", headers=alice.refresh_auth, data=data)
        assert reply.status == 200


# --- JSON


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"{'identifier': 1}",
        b'{"identifier": "a" "password": "b"}',
        b'{"identifier": NaN}',
        b'{"identifier": "\xff"}',
        b'{"identifier": "\x00"}',
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b"\x1f\x8b\x08",
    ],
)
async def test_text_that_is_not_json_is_a_syntax_error(pds: Pds, data: bytes) -> None:
    reply = await send(pds, data)
    assert reply.error == (400, "SyntaxError")
    assert reply.json["message"]


@pytest.mark.parametrize(("left", "right"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("depth", [1_024, 1_025, 10_000])
async def test_json_that_is_too_deep_is_an_invalid_request(
    pds: Pds, left: bytes, right: bytes, depth: int
) -> None:
    reply = await send(pds, left * depth + b"1" + right * depth)
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[1]", "Expected object value type (got [1]) at $"),
        (b"null", "Expected object value type (got null) at $"),
        (b'"x"', 'Expected object value type (got "x") at $'),
        (b"{}", 'Missing required key "identifier" at $'),
        (b'{"identifier":"a"}', 'Missing required key "password" at $'),
        (
            b'{"identifier":5,"password":"x"}',
            "Expected string value type (got 5) at $.identifier",
        ),
        (
            b'{"identifier":null,"password":"x"}',
            "Expected string value type (got null) at $.identifier",
        ),
        (
            b'{"identifier":"a","password":"x","allowTakendown":"yes"}',
            'Expected boolean value type (got "yes") at $.allowTakendown',
        ),
    ],
)
async def test_json_that_is_no_input_is_refused(pds: Pds, data: bytes, message: str) -> None:
    reply = await send(pds, data)
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == message


async def test_what_the_lexicon_does_not_know_is_ignored(pds: Pds, alice: Account) -> None:
    body = {
        "identifier": alice.handle,
        "password": alice.password,
        "authFactorToken": "x",
        "extra": {"deep": [1.5]},
    }
    assert (await send(pds, orjson.dumps(body))).status == 200


async def test_nesting_that_json_allows_does_no_harm(pds: Pds, alice: Account) -> None:
    for depth in (100, 900):
        nested = b'{"a":' * depth + b"1" + b"}" * depth
        data = b'{"repo":"%b","collection":"com.example.note","record":%b}' % (
            alice.did.encode(),
            nested,
        )
        reply = await send(pds, data, CREATE, **alice.auth)
        assert reply.status in (200, 400)


async def test_numbers_beyond_64_bits_are_no_integers(pds: Pds, alice: Account) -> None:
    data = b'{"repo":"%b","collection":"com.example.note","record":{"n":1%b}}' % (
        alice.did.encode(),
        b"0" * 30,
    )
    reply = await send(pds, data, CREATE, **alice.auth)
    assert reply.error == (400, "InvalidRequest")


# --- Size


async def test_the_size_of_json_is_limited(pds: Pds) -> None:
    assert (await send(pds, login_of_size(JSON_LIMIT_BYTES))).error == UNKNOWN
    reply = await send(pds, login_of_size(JSON_LIMIT_BYTES + 1))
    assert reply.status == 413
    assert reply.json == {
        "error": "PayloadTooLargeError",
        "message": "request entity too large",
    }


async def test_the_size_is_limited_where_nobody_tells_it(pds: Pds) -> None:
    async def chunks(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b" " * 10_000

    assert (await send(pds, chunks(JSON_LIMIT_BYTES // 10_000))).status == 400
    assert (await send(pds, chunks(JSON_LIMIT_BYTES // 10_000 + 1))).status == 413


async def test_writes_may_be_larger(pds: Pds, alice: Account) -> None:
    assert WRITE_LIMIT_BYTES == 1_000_000
    for nsid in (CREATE, "com.atproto.repo.putRecord", "com.atproto.repo.applyWrites"):
        for size, status in ((WRITE_LIMIT_BYTES, 400), (WRITE_LIMIT_BYTES + 1, 413)):
            reply = await send(pds, b" " * size, nsid, **alice.auth)
            assert reply.status == status


async def test_a_deletion_may_be_no_larger_than_other_bodies(pds: Pds, alice: Account) -> None:
    for size, status in ((JSON_LIMIT_BYTES, 400), (JSON_LIMIT_BYTES + 1, 413)):
        reply = await send(pds, b" " * size, "com.atproto.repo.deleteRecord", **alice.auth)
        assert reply.status == status


async def test_the_body_of_a_stranger_is_not_read(pds: Pds) -> None:
    reply = await send(pds, b" " * (WRITE_LIMIT_BYTES + 1), CREATE)
    assert reply.error == (401, "AuthMissing")


# --- Compression


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data)[2:-4]),
        ("identity", bytes),
    ],
    ids=["gzip", "GZIP", "gzip members", "deflate", "raw deflate", "identity"],
)
async def test_compressed_json_is_read(pds: Pds, encoding: str, pack: Any) -> None:
    reply = await send(pds, pack(orjson.dumps(NOBODY)), Content_Encoding=encoding)
    assert reply.error == UNKNOWN


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "x" * 1_000])
async def test_other_encodings_are_refused(pds: Pds, encoding: str) -> None:
    reply = await send(pds, orjson.dumps(NOBODY), Content_Encoding=encoding)
    assert reply.error == (415, "UnsupportedMediaTypeError")
    assert reply.json["message"] == f'unsupported content encoding "{encoding[:100]}"'


async def test_nothing_is_nothing_in_any_encoding(pds: Pds) -> None:
    reply = await send(pds, b"", Content_Encoding="gzip")
    assert reply.json["message"].startswith("Missing required key")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_small_body_does_not_unfold_to_a_huge_one(pds: Pds, encoding: str) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    packed = b"".join(packer.compress(b" " * 1_000_000) for _ in range(30)) + packer.flush()
    assert len(packed) < JSON_LIMIT_BYTES
    reply = await send(pds, packed, Content_Encoding=encoding)
    assert reply.error == (413, "PayloadTooLargeError")


async def test_a_write_that_unfolds_beyond_the_limit_is_refused(pds: Pds, alice: Account) -> None:
    packed = gzip.compress(b" " * 50_000_000, 9)
    assert len(packed) < JSON_LIMIT_BYTES
    reply = await send(pds, packed, CREATE, Content_Encoding="gzip", **alice.auth)
    assert reply.error == (413, "PayloadTooLargeError")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_damaged_compression_is_the_client_s_mistake(pds: Pds, encoding: str) -> None:
    good = gzip.compress(orjson.dumps(NOBODY))
    for data in (
        b"not compressed at all",
        orjson.dumps(NOBODY),
        good[:-6],
        good[:20],
        good[:-8] + b"\xff" * 8,
        good[:15] + b"\xff" * 30,
        good + b"more",
        zlib.compress(orjson.dumps(NOBODY)) + b"more",
    ):
        reply = await send(pds, data, Content_Encoding=encoding)
        assert 400 <= reply.status < 500, data
    assert (await pds.get("com.atproto.server.describeServer")).status == 200


async def test_a_client_that_leaves_in_the_middle_does_no_harm(pds: Pds) -> None:
    request = (
        f"POST /xrpc/{LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Length: 100\r\n\r\n{"
    )
    host, port = pds.url.removeprefix("http://").split(":")
    for _ in range(3):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(request.encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert (await pds.get("com.atproto.server.describeServer")).status == 200
