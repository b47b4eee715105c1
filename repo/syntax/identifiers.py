"""DIDs, handles, NSIDs, record keys and TIDs: the identifiers that name accounts and records.

Spec: https://atproto.com/specs/did, /handle, /nsid, /record-key and /tid
"""

from __future__ import annotations

import re
from typing import Final, NewType

from repo.syntax.errors import DisallowedHandleTld, InvalidSyntax

Did = NewType("Did", str)
Handle = NewType("Handle", str)
Nsid = NewType("Nsid", str)
Rkey = NewType("Rkey", str)

MAX_DID_LENGTH: Final = 2048
MAX_HANDLE_LENGTH: Final = 253
MAX_NSID_LENGTH: Final = 317
MAX_RKEY_LENGTH: Final = 512

# Lengths are checked before a pattern runs, and every pattern matches a text in only one way,
# so the time is linear in a bounded length.
_DID: Final = re.compile(r"did:[a-z]+:[A-Za-z0-9._:%-]++(?<![:%])").fullmatch
_HANDLE: Final = re.compile(
    r"(?:(?!-)[A-Za-z0-9-]{1,63}+(?<!-)\.)++[A-Za-z][A-Za-z0-9-]{0,62}+(?<!-)"
).fullmatch
_NSID: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9-]{0,62}+(?<!-)\."
    r"(?:(?!-)[A-Za-z0-9-]{1,63}+(?<!-)\.)+"
    r"[A-Za-z][A-Za-z0-9]{0,62}+"
).fullmatch
_RKEY: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_~.:-]{1,512}+").fullmatch
_TID: Final = re.compile(r"[2-7a-j][2-7a-z]{12}").fullmatch

_DISALLOWED_TLDS: Final = frozenset(
    ("local", "arpa", "invalid", "localhost", "internal", "example", "alt", "onion")
)


def parse_did(text: str) -> Did:
    """Check the general DID syntax; the rules of each DID method are not applied."""
    if len(text) > MAX_DID_LENGTH or _DID(text) is None:
        raise InvalidSyntax("DID", text)
    return Did(text)


def is_did(text: str) -> bool:
    """Whether `parse_did` accepts `text`."""
    return len(text) <= MAX_DID_LENGTH and _DID(text) is not None


def parse_handle(text: str) -> Handle:
    """Check a handle's syntax. Letter case is kept; see `normalize_handle`."""
    if len(text) > MAX_HANDLE_LENGTH or _HANDLE(text) is None:
        raise InvalidSyntax("handle", text)
    return Handle(text)


def normalize_handle(text: str) -> Handle:
    """Check a handle and return it in lower case, the form for storing and comparing."""
    return Handle(parse_handle(text).lower())


def ensure_allowed_handle_tld(handle: Handle) -> None:
    """Raise `DisallowedHandleTld` for a handle under a TLD that is reserved for other uses."""
    if handle.rpartition(".")[2].lower() in _DISALLOWED_TLDS:
        raise DisallowedHandleTld(handle)


def parse_at_identifier(text: str) -> Did | Handle:
    """Check an account identifier: a DID or a handle."""
    if text.startswith("did:"):
        if is_did(text):
            return Did(text)
    elif len(text) <= MAX_HANDLE_LENGTH and _HANDLE(text) is not None:
        return Handle(text)
    raise InvalidSyntax("AT identifier", text)


def has_lower_case_authority(nsid: str) -> bool:
    """Whether an NSID spells its case-insensitive authority in lower case, the canonical form."""
    authority = nsid[: nsid.rfind(".")]
    return authority == authority.lower()


def parse_nsid(text: str) -> Nsid:
    """Check a namespaced identifier, such as the name of a collection or a method."""
    if len(text) > MAX_NSID_LENGTH or _NSID(text) is None:
        raise InvalidSyntax("NSID", text)
    return Nsid(text)


def parse_rkey(text: str) -> Rkey:
    """Check a record key: 1 to 512 characters, neither `.` nor `..`."""
    if len(text) > MAX_RKEY_LENGTH or _RKEY(text) is None:
        raise InvalidSyntax("record key", text)
    return Rkey(text)


def parse_tid(text: str) -> str:
    """Check the 13 characters of a TID."""
    if len(text) != 13 or _TID(text) is None:
        raise InvalidSyntax("TID string", text)
    return text
