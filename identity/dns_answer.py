"""DNS packets: encoding questions, and parsing the requested records from answers.

Strangers write these answers. A full DNS parser takes two seconds for eight kilobytes of long names
that refer to each other. This one takes a few milliseconds: it examines few records, follows each
name once, and skips records that were not requested.

Format: https://www.rfc-editor.org/rfc/rfc1035#section-4
"""

from __future__ import annotations

import struct
from collections import defaultdict
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdata
import dns.rdatatype

MAX_RECORDS: Final = 100
"""Records that are examined; a packet may have more."""
MAX_ALIASES: Final = 16

_HEAD: Final = struct.Struct("!HHHHHH")
_QUESTION: Final = struct.Struct("!HH")
_RECORD: Final = struct.Struct("!HHIH")
_OPCODE: Final = 0x7800
_RCODE: Final = 0xF
_WITHOUT_QUESTION: Final = frozenset(
    (dns.rcode.FORMERR, dns.rcode.SERVFAIL, dns.rcode.NOTIMP, dns.rcode.REFUSED)
)
"""Response codes of servers that may not have read the question."""
_POINTER: Final = 0xC0
_MAX_LABEL: Final = 63
_MAX_NAME_BYTES: Final = 255


class OtherAnswer(dns.exception.FormError):
    """The packet answers another question, or is not an answer."""


def encode_question(query: dns.message.Message) -> bytes:
    """Encode the single question of `query` as a packet."""
    (asked,) = query.question
    head = _HEAD.pack(query.id, dns.flags.RD, 1, 0, 0, 0)
    return head + asked.name.to_digestable() + _QUESTION.pack(asked.rdtype, asked.rdclass)


def parse_answer(query: dns.message.Message, wire: bytes) -> dns.message.Message:
    """Parse the answer to the single question of `query`, with aliases already resolved.

    Raises `OtherAnswer`, `dns.exception.FormError` for a malformed answer, and
    `dns.message.Truncated`.
    """
    try:
        return _parse(query, wire)
    except (struct.error, IndexError, ValueError) as exc:
        raise _malformed(str(exc)) from exc


def _parse(query: dns.message.Message, wire: bytes) -> dns.message.Message:
    (asked,) = query.question
    if len(wire) < _HEAD.size:
        raise OtherAnswer
    number, flags, questions, answers, _, _ = _HEAD.unpack_from(wire)
    if number != query.id or not flags & dns.flags.QR or flags & _OPCODE:
        raise OtherAnswer
    answer = dns.message.make_response(query)
    answer.set_rcode(dns.rcode.Rcode(flags & _RCODE))
    if not questions and answer.rcode() in _WITHOUT_QUESTION:
        return answer
    question = encode_question(query)[_HEAD.size :]
    at = _HEAD.size + len(question)
    # Lower-casing does not change the type and class: their bytes are not letters.
    if questions != 1 or wire[_HEAD.size : at].lower() != question:
        raise OtherAnswer
    if flags & dns.flags.TC:
        raise dns.message.Truncated(message=answer)  # type: ignore[no-untyped-call]
    aliases: dict[bytes, tuple[bytes, int]] = {}
    found: defaultdict[bytes, list[tuple[int, int, int]]] = defaultdict(list)
    names = _Names(wire)
    for _ in range(min(answers, MAX_RECORDS)):
        owner, at = names.read(at)
        kind, place, ttl, size = _RECORD.unpack_from(wire, at)
        at += _RECORD.size
        if at + size > len(wire):
            raise _malformed("cut off")
        if (kind, place) == (asked.rdtype, asked.rdclass):
            found[owner].append((ttl, at, size))
        elif (kind, place) == (dns.rdatatype.CNAME, asked.rdclass):
            aliases.setdefault(owner, (names.read(at)[0], ttl))
        at += size
    _fill(answer, wire, *_follow(asked.name.to_digestable(), aliases), found)
    return answer


def _follow(name: bytes, aliases: dict[bytes, tuple[bytes, int]]) -> tuple[bytes, list[int]]:
    """Follow the aliases of a name. Return the final name and the TTL of each alias."""
    ttls: list[int] = []
    while name in aliases:
        name, ttl = aliases[name]
        ttls.append(ttl)
        if len(ttls) > MAX_ALIASES:
            raise _malformed("too many aliases")
    return name, ttls


def _fill(
    answer: dns.message.Message,
    wire: bytes,
    name: bytes,
    ttls: list[int],
    found: dict[bytes, list[tuple[int, int, int]]],
) -> None:
    """Add the records of `name` to the answer, under the name in the question."""
    if name not in found:
        return
    (asked,) = answer.question
    records = answer.find_rrset(answer.answer, asked.name, asked.rdclass, asked.rdtype, create=True)
    for ttl, at, size in found[name]:
        record = dns.rdata.from_wire(asked.rdclass, asked.rdtype, wire, at, size)
        # A TTL with the top bit set counts as 0: https://www.rfc-editor.org/rfc/rfc2181#section-8
        records.add(record, min(0 if each >> 31 else each for each in (ttl, *ttls)))


class _Names:
    """The names in a packet, in lower case and without pointers. Each pointer is followed once."""

    def __init__(self, wire: bytes) -> None:
        self._wire = wire
        self._known: dict[int, bytes] = {}

    def read(self, at: int) -> tuple[bytes, int]:
        """Return the name at `at`, and where it ends. Raises `FormError` or `IndexError`."""
        if self._wire[at] < _POINTER:
            return self._follow(at)
        target, end = self._target(at), at + 2
        known = self._known.get(target)
        if known is None:
            known = self._known[target] = self._follow(target)[0]
        return known, end

    def _follow(self, at: int) -> tuple[bytes, int]:
        wire, labels, size = self._wire, [], 1
        end: int | None = None
        while length := wire[at]:
            if length >= _POINTER:
                end = at + 2 if end is None else end
                at = self._target(at)
                continue
            size += 1 + length
            if length > _MAX_LABEL or size > _MAX_NAME_BYTES:
                raise _malformed("a name is too long")
            labels.append(wire[at : at + 1 + length])
            at += 1 + length
        # Lower-casing does not change the length bytes, which are not letters.
        return b"".join(labels).lower() + b"\0", at + 1 if end is None else end

    def _target(self, at: int) -> int:
        target = (self._wire[at] & ~_POINTER) << 8 | self._wire[at + 1]
        if target >= at:
            raise _malformed("a pointer leads forward")
        return target


def _malformed(reason: str) -> dns.exception.FormError:
    return dns.exception.FormError(reason)  # type: ignore[no-untyped-call]
