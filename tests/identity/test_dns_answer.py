"""Packets of name servers: those of honest ones, and what else strangers put into them."""

from __future__ import annotations

import struct
import time
from contextlib import suppress

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.dns_answer import (
    MAX_ALIASES,
    MAX_RECORDS,
    OtherAnswer,
    encode_question,
    parse_answer,
)

NAME = "a.example.com."
LONG_NAME = f"_atproto.{'a.' * 116}com."


def query(name: str = NAME, kind: str = "A") -> dns.message.QueryMessage:
    return dns.message.make_query(name, kind, use_edns=False)


def answer_to(asked: dns.message.Message, *records: str) -> dns.message.Message:
    """Each of `records` is an owner, a TTL, a kind, and the data."""
    answer = dns.message.make_response(asked)
    for record in records:
        owner, ttl, kind, data = record.split(" ", 3)
        answer.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, data))
    return answer


def wire_of(message: dns.message.Message) -> bytes:
    wire = message.to_wire()
    assert wire is not None
    return wire


def found(asked: dns.message.Message, wire: bytes) -> list[str]:
    return [record.to_text() for rrset in parse_answer(asked, wire).answer for record in rrset]


def test_a_question_is_what_any_name_server_reads() -> None:
    asked = query(LONG_NAME, "TXT")
    assert encode_question(asked) == wire_of(asked)


@pytest.mark.parametrize(
    ("records", "texts", "ttl"),
    [
        ([], [], None),
        ([f"{NAME} 60 A 192.0.2.1", f"{NAME} 60 A 192.0.2.2"], ["192.0.2.1", "192.0.2.2"], 60),
        (["A.EXAMPLE.com. 60 A 192.0.2.1"], ["192.0.2.1"], 60),
        (
            ["c.test. 9 A 192.0.2.1", f"{NAME} 5 CNAME b.test.", "b.test. 7 CNAME C.test."],
            ["192.0.2.1"],
            5,
        ),
        ([f"{NAME} 60 CNAME b.test."], [], None),
        (["b.test. 60 A 192.0.2.1", f"{NAME} 60 MX 1 b.test."], [], None),
        ([f"{NAME} {2**31 - 1} A 192.0.2.1"], ["192.0.2.1"], 2**31 - 1),
    ],
    ids=["nothing", "records", "cases", "aliases", "an end", "others", "a long time"],
)
def test_what_was_asked_for_is_read(records: list[str], texts: list[str], ttl: int | None) -> None:
    asked = query()
    wire = wire_of(answer_to(asked, *records))
    assert found(asked, wire) == texts
    assert [rrset.ttl for rrset in parse_answer(asked, wire).answer] == (
        [] if ttl is None else [ttl]
    )


@pytest.mark.parametrize("rcode", [dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_a_refusal_is_told(rcode: dns.rcode.Rcode) -> None:
    asked = query()
    answer = answer_to(asked)
    answer.set_rcode(rcode)
    assert parse_answer(asked, wire_of(answer)).rcode() == rcode


def test_an_answer_that_is_cut_is_told_from_others() -> None:
    asked = query()
    answer = answer_to(asked)
    answer.flags |= dns.flags.TC
    with pytest.raises(dns.message.Truncated):
        parse_answer(asked, wire_of(answer))


def test_an_answer_to_another_question_is_none() -> None:
    asked = query()
    other = query()
    other.id = asked.id ^ 1
    for wire in (
        b"",
        b"\0\0junk",
        wire_of(answer_to(asked))[:20],
        wire_of(answer_to(other)),
        encode_question(asked),
        wire_of(answer_to(query(kind="AAAA"))),
        encode_question(asked)[:2] + wire_of(answer_to(query("b.example.com.")))[2:],
        encode_question(asked)[:2] + wire_of(answer_to(query(kind="AAAA")))[2:],
    ):
        with pytest.raises(OtherAnswer):
            parse_answer(asked, wire)


def test_aliases_are_not_followed_for_ever() -> None:
    asked = query()
    chain = [f"n{n}.test. 60 CNAME n{n + 1}.test." for n in range(MAX_ALIASES)]
    loop = [f"{NAME} 60 CNAME b.test.", f"b.test. 60 CNAME {NAME}"]
    for records in ([f"{NAME} 60 CNAME n0.test.", *chain], loop):
        with pytest.raises(dns.exception.FormError, match="aliases"):
            parse_answer(asked, wire_of(answer_to(asked, *records)))


def hostile(asked: dns.message.Message, record: bytes, *, size: int = 8_192) -> bytes:
    """An answer of many times the same record."""
    question = encode_question(asked)
    number = (size - len(question)) // len(record)
    return (
        question[:2]
        + struct.pack("!HHHHH", dns.flags.QR, 1, number, 0, 0)
        + question[12:]
        + record * number
    )


@pytest.mark.parametrize(
    "record",
    [
        struct.pack("!HHHIHH", 0xC00C, 5, 1, 60, 2, 0xC00C),
        struct.pack("!HHHIHH", 0xC00C, 2, 1, 60, 2, 0xC00C),
        struct.pack("!HHHIHI", 0xC00C, 1, 1, 60, 4, 0x01020304),
        dns.name.from_text(LONG_NAME).to_digestable() + struct.pack("!HHIHI", 1, 1, 60, 4, 1),
    ],
    ids=["aliases", "servers", "addresses", "names in full"],
)
def test_no_answer_takes_long_to_read(record: bytes) -> None:
    asked = query(LONG_NAME)
    wire = hostile(asked, record)
    started = time.process_time()
    with suppress(dns.exception.DNSException):
        assert len(found(asked, wire)) <= MAX_RECORDS
    # A parser for all of DNS takes some two seconds for the first of them.
    assert time.process_time() - started < 1


@given(st.binary(max_size=300))
def test_bytes_are_an_answer_or_refused(tail: bytes) -> None:
    asked = query()
    question = encode_question(asked)
    for wire in (tail, question[:2] + tail, question[:2] + b"\x80\0" + tail):
        with suppress(dns.exception.FormError, dns.message.Truncated):
            assert parse_answer(asked, wire).question == asked.question
    wire = question[:2] + struct.pack("!HHHHH", 0x8000, 1, 50, 0, 0) + question[12:] + tail
    with suppress(dns.exception.FormError):
        assert parse_answer(asked, wire).question == asked.question
