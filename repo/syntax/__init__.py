"""Syntax of atproto's identifiers and string formats.

Each `parse_…` returns the text, typed, or raises `InvalidSyntax`.
Spec: https://atproto.com/specs/lexicon#string-formats
"""

from repo.syntax.at_uri import AtUri, parse_at_uri
from repo.syntax.datetime import parse_datetime
from repo.syntax.errors import DisallowedHandleTld, InvalidSyntax, quoted
from repo.syntax.identifiers import (
    Did,
    Handle,
    Nsid,
    Rkey,
    ensure_allowed_handle_tld,
    has_lower_case_authority,
    is_did,
    normalize_handle,
    parse_at_identifier,
    parse_did,
    parse_handle,
    parse_nsid,
    parse_rkey,
    parse_tid,
)
from repo.syntax.language import parse_language
from repo.syntax.reference import parse_uri

__all__ = [
    "AtUri",
    "Did",
    "DisallowedHandleTld",
    "Handle",
    "InvalidSyntax",
    "Nsid",
    "Rkey",
    "ensure_allowed_handle_tld",
    "has_lower_case_authority",
    "is_did",
    "normalize_handle",
    "parse_at_identifier",
    "parse_at_uri",
    "parse_datetime",
    "parse_did",
    "parse_handle",
    "parse_language",
    "parse_nsid",
    "parse_rkey",
    "parse_tid",
    "parse_uri",
    "quoted",
]
