"""Which handles accounts may have."""

from __future__ import annotations

import re

import pytest

from pds.accounts.email_rules import check_email
from pds.accounts.errors import (
    AccountError,
    EmailNotSupported,
    HandleNotAvailable,
    InvalidHandle,
    UnsupportedDomain,
)
from pds.accounts.handle_rules import check_handle, reserved_labels, service_domain_of

DOMAINS = (".test", ".pds.example.com")


def test_a_handle_on_a_service_domain_is_kept_in_lower_case() -> None:
    checked = check_handle("Alice.TEST", DOMAINS, did_known=False)
    assert checked.handle == "alice.test"
    assert not checked.is_external


def test_an_external_handle_needs_a_did_to_resolve_to() -> None:
    assert check_handle("alice.example.org", DOMAINS, did_known=True).is_external
    with pytest.raises(UnsupportedDomain, match="Not a supported handle domain"):
        check_handle("alice.example.org", DOMAINS, did_known=False)


@pytest.mark.parametrize(
    ("handle", "error", "message"),
    [
        ("alice", InvalidHandle, "Invalid handle"),
        ("al_ice.test", InvalidHandle, "Invalid handle"),
        ("-alice.test", InvalidHandle, "Invalid handle"),
        ("alice.123", InvalidHandle, "Invalid handle"),
        ("a" * 64 + ".test", InvalidHandle, "Invalid handle"),
        ("alice.local", InvalidHandle, "Handle TLD is invalid or disallowed"),
        ("alice.onion", InvalidHandle, "Handle TLD is invalid or disallowed"),
        ("al.ice.test", InvalidHandle, "Invalid characters in handle"),
        ("al.test", InvalidHandle, "Handle too short"),
        ("a" * 19 + ".test", InvalidHandle, "Handle too long"),
        ("admin.test", HandleNotAvailable, "Reserved handle"),
        ("Did.pds.example.com", HandleNotAvailable, "Reserved handle"),
    ],
)
def test_a_handle_that_breaks_a_rule_is_refused(
    handle: str, error: type[AccountError], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        check_handle(handle, DOMAINS, did_known=True)


@pytest.mark.parametrize("handle", ["abc.test", "a" * 18 + ".test", "a-1.pds.example.com"])
def test_a_label_of_3_to_18_characters_is_fine(handle: str) -> None:
    assert check_handle(handle, DOMAINS, did_known=False).handle == handle


def test_the_admin_may_give_out_a_reserved_label() -> None:
    assert check_handle("admin.test", DOMAINS, did_known=True, allow_reserved=True)


def test_reserved_labels_count_on_service_domains_only() -> None:
    assert check_handle("admin.example.org", DOMAINS, did_known=True).is_external


def test_the_service_domain_itself_is_an_external_handle() -> None:
    assert service_domain_of("pds.example.com", DOMAINS) is None


def test_the_reserved_labels_are_words_that_could_be_labels() -> None:
    labels = reserved_labels()
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{,16}[a-z0-9])?", label) for label in labels)


@pytest.mark.parametrize(
    "labels",
    [
        # The protocol, and the names that operators' own hosts and mailboxes have
        {"at", "atp", "plc", "pds", "did", "repo", "tid", "nsid", "xrpc", "lex", "lexicon"},
        {"bsky", "bluesky", "handle"},
        {"about", "admin", "api", "help", "login", "mail", "news", "root", "support", "www"},
        {"abuse", "hostmaster", "postmaster", "webmaster", "noreply", "mta", "autoconfig"},
        {"localhost", "wpad", "well-known", "nameserver", "mx1"},
        # Whom everyone knows
        {"google", "microsoft", "twitter", "wikipedia", "mastodon", "nytimes", "bbc"},
        {"whitehouse", "europol", "nasa", "unicef", "barackobama", "taylorswift"},
    ],
)
def test_names_that_would_deceive_are_reserved(labels: set[str]) -> None:
    assert labels <= reserved_labels()


def test_ordinary_names_are_not_reserved() -> None:
    ordinary = {"alice", "bob", "carol", "dana", "maria", "john-smith", "gardener", "astronomy"}
    assert not ordinary & reserved_labels()


@pytest.mark.parametrize(
    "email",
    ["a@b.co", "First.Last+tag@sub.example.com", "o'neil@example.org", "x@xn--bcher-kva.de"],
)
def test_an_address_is_kept_in_lower_case(email: str) -> None:
    assert check_email(email) == email.lower()


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a",
        "@b.co",
        "a@",
        "a@b",
        "a b@c.de",
        "a@b..de",
        ".a@b.de",
        "a.@b.de",
        "a..b@c.de",
        "a@-b.de",
        "a@b.de\nBcc: c@d.de",
        '"quoted"@b.de',
        "a@[127.0.0.1]",
        "a" * 65 + "@b.de",
        "a@" + "b" * 250 + ".de",
        "a@mailinator.com",
        "a@Mailinator.COM",
    ],
)
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(EmailNotSupported):
        check_email(email)


def test_the_first_domain_that_fits_counts_as_in_the_reference() -> None:
    specific_first = (".people.test", ".test")
    assert service_domain_of("alice.people.test", specific_first) == ".people.test"
    assert service_domain_of("alice.people.test", specific_first[::-1]) == ".test"
