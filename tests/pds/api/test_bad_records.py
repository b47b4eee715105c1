"""Records, keys and repositories that cannot be: the right refusal, and nothing changed."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from repo.cid import Cid
from tests.pds.api.exports import export, nothing_changes
from tests.pds.api.records import (
    NOBODY,
    NOTE,
    POST,
    apply,
    create,
    creates,
    deactivate,
    delete,
    deletes,
    moderate,
    post,
    put,
    repo_subject,
    updates,
)
from tests.pds.conftest import Account, Pds, Reply

CID = str(Cid.of_raw(b"x"))
INVALID = (400, "InvalidRequest")
SYNTAX = (400, "SyntaxError")


async def write_raw(pds: Pds, account: Account, record: bytes, collection: str) -> list[Reply]:
    """Try to write a record, given as JSON text, by each of the three methods."""
    repo = b'"repo":"%b"' % account.did.encode()
    into = b'"collection":"%b"' % collection.encode()
    rkey = b'"rkey":"3kabcdefghijk"'
    kind = b'"$type":"com.atproto.repo.applyWrites#create"'
    bodies = {
        "createRecord": b"{%b,%b,%b,%b}" % (repo, into, rkey, b'"record":' + record),
        "putRecord": b"{%b,%b,%b,%b}" % (repo, into, rkey, b'"record":' + record),
        "applyWrites": b'{%b,"writes":[{%b,%b,%b,"value":%b}]}' % (repo, kind, into, rkey, record),
    }
    headers = {**account.auth, "Content-Type": "application/json"}
    return [
        await pds.request("POST", f"/xrpc/com.atproto.repo.{method}", headers=headers, data=body)
        for method, body in bodies.items()
    ]


async def check_refused(
    pds: Pds,
    account: Account,
    record: bytes,
    error: tuple[int, str] = INVALID,
    collection: str = NOTE,
    reason: str = "",
) -> None:
    async with nothing_changes(pds, account):
        for reply in await write_raw(pds, account, record, collection):
            assert reply.error == error, (record[:200], reply.body)
            assert reason in reply.json["message"]
            assert len(reply.json["message"]) < 2000


async def test_sound_record_passes_all_three(pds: Pds, alice: Account) -> None:
    for reply in await write_raw(pds, alice, b'{"a":[1,-1,null,true,"\\u0000"]}', NOTE):
        # The second is the first again, the third is created over both.
        assert reply.status == 200 or reply.error == (400, "RecordAlreadyExists")


async def test_numbers_outside_the_data_model(pds: Pds, alice: Account) -> None:
    for number in (b"1.5", b"-0.1", b"1e-1", b"1e300", b"18446744073709551616", b"1e19"):
        await check_refused(pds, alice, b'{"a":%b}' % number, reason="Expected one of null")
        await check_refused(pds, alice, b'{"a":[{"b":%b}]}' % number)
    # Beyond 2^53 - 1 the reference can neither read them nor write them again.
    for number in (b"9007199254740992", b"-9007199254740992", b"9223372036854775807"):
        await check_refused(pds, alice, b'{"a":%b}' % number, reason="beyond 2^53 - 1")
    for number in (b"9007199254740992.0", b"9223372036854775808", b"18446744073709551615"):
        await check_refused(pds, alice, b'{"a":%b}' % number)
    for number in (b"1e400", b"NaN", b"Infinity", b"01", b"0x1", b"1" * 5000):
        for reply in await write_raw(pds, alice, b'{"a":%b}' % number, NOTE):
            assert reply.error in (SYNTAX, INVALID), number


async def test_largest_integers_are_stored(pds: Pds, alice: Account) -> None:
    record = {"$type": NOTE, "max": 2**53 - 1, "min": 1 - 2**53}
    assert (await create(pds, alice, record, rkey="one")).status == 200
    assert (await export(pds, alice.did)).value(f"{NOTE}/one") == record


async def test_collections_whose_authority_is_not_in_lower_case(pds: Pds, alice: Account) -> None:
    for collection in ("App.bsky.feed.post", "com.EXAMPLE.note", "com.example.x.Y.note"):
        reason = "Upper-case letters in the authority of an NSID"
        await check_refused(pds, alice, b"{}", collection=collection, reason=reason)
    # The name has a letter case of its own.
    assert (await create(pds, alice, {}, collection="com.example.fooBar")).status == 200


async def test_text_that_is_no_unicode(pds: Pds, alice: Account) -> None:
    for text in (rb'"\ud800"', rb'"\udc00\ud800"', b'"\xed\xa0\x80"', b'"\xff"', b'"\xc0\x80"'):
        await check_refused(pds, alice, b'{"a":%b}' % text, SYNTAX)
        await check_refused(pds, alice, b"{%b:1}" % text, SYNTAX)
    await check_refused(pds, alice, b'{"a":"\x00"}', SYNTAX)


async def test_malformed_json(pds: Pds, alice: Account) -> None:
    for record in (b"{", b'{"a":}', b"{'a':1}", b'{"a":1,}', b"undefined", b"", b'{"a":1}}'):
        await check_refused(pds, alice, record, SYNTAX)


async def test_record_that_is_no_object(pds: Pds, alice: Account) -> None:
    for record in (b'"x"', b"[1]", b"5", b"true", b"null", b'{"$link":"%b"}' % CID.encode()):
        await check_refused(pds, alice, record)
    await check_refused(pds, alice, b'{"$bytes":"AA"}')


async def test_malformed_links_and_bytes(pds: Pds, alice: Account) -> None:
    cid = CID.encode()
    for value in (
        b'{"$link":"nope"}',
        b'{"$link":5}',
        b'{"$link":null}',
        b'{"$link":"%b","more":1}' % cid,
        b'{"$link":"%b "}' % cid,
        b'{"$link":"%b"}' % cid.upper(),
        b'{"$link":"QmY7Yh4UquoXHLPFo2XbhXkhBvFoPwmQUSa92pxnxjQuPU"}',
        b'{"$bytes":"!!"}',
        b'{"$bytes":5}',
        b'{"$bytes":"AA","more":1}',
        b'{"$bytes":"A"}',
        b'{"$bytes":"AA="}',
        b'{"$bytes":"AA==AA=="}',
        b'{"$bytes":"AA","$link":"%b"}' % cid,
    ):
        await check_refused(pds, alice, b'{"a":%b}' % value)
        await check_refused(pds, alice, b'{"a":[{"b":%b}]}' % value)


async def test_types_that_name_none_or_another(pds: Pds, alice: Account) -> None:
    for kind in (b"5", b"null", b'""', b"[]", b"{}", b"true"):
        await check_refused(pds, alice, b'{"$type":%b}' % kind)
        await check_refused(pds, alice, b'{"a":{"$type":%b}}' % kind)
    for kind in (b"com.example.other", b"com.example.note#main", b"com.example.Note", b"blob"):
        await check_refused(pds, alice, b'{"$type":"%b"}' % kind)
    long = b"x" * 100_000
    await check_refused(pds, alice, b'{"$type":"%b"}' % long, reason="Invalid $type")


async def test_blobs_that_are_none(pds: Pds, alice: Account) -> None:
    for fields in (
        b"",
        b',"ref":"%b","mimeType":"image/png","size":1' % CID.encode(),
        b',"ref":{"$link":"%b"},"size":1' % CID.encode(),
        b',"ref":{"$link":"%b"},"mimeType":"image/png"' % CID.encode(),
        b',"ref":{"$link":"%b"},"mimeType":"image/png","size":"1"' % CID.encode(),
        b',"ref":{"$link":"%b"},"mimeType":null,"size":1' % CID.encode(),
    ):
        await check_refused(pds, alice, b'{"a":{"$type":"blob"%b}}' % fields)
    legacy = b'{"cid":"%b","mimeType":"image/png"}' % CID.encode()
    await check_refused(
        pds, alice, b'{"a":[{"b":%b}]}' % legacy, reason=f"Legacy blobs are not allowed ({CID})"
    )


@pytest.mark.parametrize(("left", "right"), [(b"[", b"]"), (b'{"a":', b"}")])
async def test_nesting_without_end(pds: Pds, alice: Account, left: bytes, right: bytes) -> None:
    for depth in (128, 129, 1_000, 10_000):
        inner = left * depth + b"1" + right * depth
        async with nothing_changes(pds, alice):
            for reply in await write_raw(pds, alice, b'{"deep":%b}' % inner, NOTE):
                assert reply.error == INVALID, (depth, reply.body)


async def test_body_over_a_megabyte(pds: Pds, alice: Account) -> None:
    await check_refused(
        pds, alice, b'{"a":"%b"}' % (b"x" * 1_000_001), (413, "PayloadTooLargeError")
    )
    # One that just fits is stored, sent to the firehose and read back.
    text = "x" * 999_000
    assert (await create(pds, alice, {"a": text}, rkey="one")).status == 200
    assert (await export(pds, alice.did)).value(f"{NOTE}/one")["a"] == text


async def test_posts_that_break_their_lexicon(pds: Pds, alice: Account) -> None:
    reference = {"uri": f"at://{alice.did}/{POST}/3kabcdefghijk", "cid": CID}
    for fields, reason in (
        ({"text": None}, "Expected string value type (got null) at $."),
        ({"text": "x" * 3001}, "string too big (maximum 3000, got 3001)"),
        ({"text": "x" * 301}, "grapheme too big (maximum 300, got 301)"),
        ({"createdAt": "yesterday"}, 'Invalid datetime (got "yesterday")'),
        ({"createdAt": "2026-02-30T00:00:00Z"}, "Invalid datetime"),
        ({"langs": ["en"] * 4}, "array too big (maximum 3, got 4)"),
        ({"langs": ["not a language"]}, "Invalid language"),
        ({"langs": "en"}, "Expected array value type"),
        ({"tags": [""] * 9}, "array too big"),
        ({"reply": {"root": reference}}, 'Missing required key "parent"'),
        (
            {"reply": {"$type": NOTE, "root": reference, "parent": reference}},
            "reply.$type",
        ),
        ({"embed": {"no": "type"}}, '"$type"'),
        ({"embed": {"$type": "app.bsky.embed.images", "images": [{}]}}, "Missing required key"),
        ({"embed": {"$type": "app.bsky.embed.record", "record": {"uri": "x", "cid": CID}}}, "uri"),
        ({"facets": [{"index": {"byteStart": -1, "byteEnd": 0}, "features": []}]}, "byteStart"),
    ):
        record = orjson.dumps(post(**fields))
        await check_refused(pds, alice, record, INVALID, POST, reason)


async def test_fields_beyond_the_lexicon_are_let_pass(pds: Pds, alice: Account) -> None:
    record = post(extra={"deep": [1]}, embed={"$type": "com.example.embed", "x": 1})
    assert (await create(pds, alice, record, POST, rkey="3kabcdefghijk")).status == 200
    assert (await export(pds, alice.did)).value(f"{POST}/3kabcdefghijk") == record


async def test_impossible_record_keys(pds: Pds, alice: Account) -> None:
    for rkey in ("", ".", "..", "a/b", "a b", "é", "a#b", "a%41", "a\x00", "a\n", "x" * 513, 5):
        key: Any = rkey
        async with nothing_changes(pds, alice):
            for reply in (
                await create(pds, alice, {"n": 1}, rkey=key),
                await put(pds, alice, key, {"n": 1}),
                await delete(pds, alice, key),
                await apply(pds, alice, creates({"n": 1}, key)),
                await apply(pds, alice, updates(key, {"n": 1})),
                await apply(pds, alice, deletes(key)),
            ):
                assert reply.error == INVALID, (rkey, reply.body)


async def test_impossible_collections(pds: Pds, alice: Account) -> None:
    long = ".".join(["com", *(["x" * 60] * 6)])
    for collection in ("", "nope", "com.example", "com.example.note/x", "com..note", long, "é.b.c"):
        async with nothing_changes(pds, alice):
            for reply in (
                await create(pds, alice, {"n": 1}, collection),
                await put(pds, alice, "one", {"n": 1}, collection),
                await delete(pds, alice, "one", collection),
                await apply(pds, alice, creates({"n": 1}, "one", collection)),
            ):
                assert reply.error == INVALID, (collection, reply.body)


async def all_writes(pds: Pds, account: Account, **more: Any) -> list[Reply]:
    """One request of each method that would succeed for an account as it should be."""
    return [
        await create(pds, account, {"n": 1}, **more),
        await put(pds, account, "one", {"n": 2}, **more),
        await delete(pds, account, "one", **more),
        await apply(pds, account, creates({"n": 3}), **more),
    ]


async def test_repositories_that_are_not_the_callers(
    pds: Pds, alice: Account, bob: Account
) -> None:
    for repo, error in (
        (bob.did, (401, "AuthenticationRequired")),
        (bob.handle, (401, "AuthenticationRequired")),
        (NOBODY, (403, "AccountNotFound")),
        ("nobody.test", (403, "AccountNotFound")),
        ("xx", INVALID),
        ("", INVALID),
    ):
        async with nothing_changes(pds, alice, bob):
            for reply in await all_writes(pds, alice, repo=repo):
                assert reply.error == error, repo


async def test_writes_without_a_session(pds: Pds, alice: Account) -> None:
    body = {"repo": alice.did, "collection": NOTE, "rkey": "one", "record": {}, "writes": []}
    async with nothing_changes(pds, alice):
        for method in ("createRecord", "putRecord", "deleteRecord", "applyWrites"):
            nsid = f"com.atproto.repo.{method}"
            assert (await pds.post(nsid, body)).error == (401, "AuthMissing")
            assert (await pds.post(nsid, body, alice.refresh_auth)).error == (400, "InvalidToken")
            assert (await pds.post(nsid, body, pds.admin)).error == (400, "InvalidToken")


async def test_account_that_is_deactivated(pds: Pds, alice: Account) -> None:
    await deactivate(pds, alice)
    async with nothing_changes(pds, alice):
        for reply in await all_writes(pds, alice):
            assert reply.error == (401, "AccountDeactivated")


async def test_account_that_is_taken_down(pds: Pds, alice: Account) -> None:
    await moderate(pds, repo_subject(alice), takedown=True)
    async with nothing_changes(pds, alice):
        for reply in await all_writes(pds, alice):
            assert reply.error == (401, "AccountTakedown")


async def test_malformed_swaps(pds: Pds, alice: Account) -> None:
    async with nothing_changes(pds, alice):
        for swap in ("zzz", "", 5, CID.upper()):
            for reply in await all_writes(pds, alice, swapCommit=swap):
                assert reply.error == INVALID, swap
            assert (await put(pds, alice, "one", {}, swapRecord=swap)).error == INVALID
            assert (await delete(pds, alice, "one", swapRecord=swap)).error == INVALID
        # A CID of another kind is no malformed one, but never that of a commit.
        other = "QmY7Yh4UquoXHLPFo2XbhXkhBvFoPwmQUSa92pxnxjQuPU"
        assert (await create(pds, alice, {"n": 1}, swapCommit=other)).status == 400


async def test_one_rkey_created_twice_in_one_batch(pds: Pds, alice: Account) -> None:
    async with nothing_changes(pds, alice):
        reply = await apply(pds, alice, creates({"n": 1}, "one"), creates({"n": 2}, "one"))
        assert reply.error == (400, "RecordAlreadyExists")


async def test_event_over_two_megabytes(pds: Pds, alice: Account) -> None:
    """Keys that share nothing make large nodes, and an event holds all nodes it touches."""
    chance = random.Random(5)

    def letters(count: int) -> str:
        return "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=count))

    def key() -> tuple[str, str]:
        return ".".join(letters(60) for _ in range(5)), letters(512)

    keys = [key() for _ in range(2000)]
    for start in range(0, 2000, 200):
        batch = [creates({"n": 1}, rkey, nsid) for nsid, rkey in keys[start : start + 200]]
        assert (await apply(pds, alice, *batch)).status == 200
    async with nothing_changes(pds, alice):
        spread = sorted(keys)[::10]
        large = [updates(rkey, {"x": letters(3900)}, nsid) for nsid, rkey in spread]
        reply = await apply(pds, alice, *large)
        assert reply.error == INVALID
        assert reply.json["message"] == "Too many writes. Max event size: 2MB"
    assert (await apply(pds, alice, *large[:100])).status == 200
    await export(pds, alice.did)
