"""Rules for the handles of accounts on this server.

They apply to the text alone; the caller checks that an external handle resolves to its DID.
Spec: https://atproto.com/specs/handle
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from pds.accounts.errors import HandleNotAvailable, InvalidHandle, UnsupportedDomain
from repo.syntax import (
    Handle,
    InvalidSyntax,
    ensure_allowed_handle_tld,
    normalize_handle,
)

MIN_LABEL_LENGTH: Final = 3
MAX_LABEL_LENGTH: Final = 18


@dataclass(frozen=True, slots=True)
class CheckedHandle:
    """A handle that complies with the rules."""

    handle: Handle
    """In lower case."""
    is_external: bool
    """Whether it is outside the service domains, and so must resolve to the account's DID."""


def check_handle(
    handle: str,
    service_domains: Sequence[str],
    *,
    did_known: bool,
    allow_reserved: bool = False,
) -> CheckedHandle:
    """Check a handle that an account is to receive.

    `service_domains` each start with a dot. `did_known` is true for a handle change or an account
    with an existing DID, and false for a new DID, which cannot have an external handle yet. Only
    the admin may assign reserved labels (`allow_reserved`).
    Raises `InvalidHandle`, `HandleNotAvailable` or `UnsupportedDomain`.
    """
    try:
        normalized = normalize_handle(handle)
        ensure_allowed_handle_tld(normalized)
    except InvalidSyntax as exc:
        raise InvalidHandle(str(exc)) from exc
    domain = service_domain_of(normalized, service_domains)
    if domain is not None:
        _check_label(normalized.removesuffix(domain), allow_reserved=allow_reserved)
        return CheckedHandle(normalized, is_external=False)
    if not did_known:
        raise UnsupportedDomain
    return CheckedHandle(normalized, is_external=True)


def service_domain_of(handle: str, service_domains: Sequence[str]) -> str | None:
    """Return the service domain of a lower-case handle, with its leading dot, or None.

    The first that fits counts, as in the reference: `.people.test` must come before `.test`.
    """
    return next((domain for domain in service_domains if handle.endswith(domain)), None)


@cache
def reserved_labels() -> frozenset[str]:
    """Return the labels that users cannot have on a service domain."""
    text = resources.files(__package__).joinpath("reserved_handles.txt").read_text("utf-8")
    lines = (line.partition("#")[0] for line in text.splitlines())
    return frozenset(word for line in lines for word in line.split())


def _check_label(label: str, *, allow_reserved: bool) -> None:
    """Check the part of a handle before the service domain."""
    if "." in label:
        raise InvalidHandle("Invalid characters in handle")
    if len(label) < MIN_LABEL_LENGTH:
        raise InvalidHandle("Handle too short")
    if len(label) > MAX_LABEL_LENGTH:
        raise InvalidHandle("Handle too long")
    if not allow_reserved and label in reserved_labels():
        raise HandleNotAvailable("Reserved handle")
