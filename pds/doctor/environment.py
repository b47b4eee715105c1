"""Checks of settings and handle domains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from pds.config import (
    Settings,
    find_old_names,
    find_unknown,
    find_weak_secrets,
    find_without_effect,
)
from pds.config.handle_domains import find_domain_fault
from pds.config.reading import read_unchecked
from pds.doctor.finding import Finding

SETTINGS: Final = "settings"
HANDLE_DOMAINS: Final = "handle domains"
_DOMAINS_SETTING: Final = "PDS_SERVICE_HANDLE_DOMAINS"


def examine_settings(environ: Mapping[str, str]) -> tuple[Settings, list[Finding]]:
    """Return the settings, usable or not, and the findings on them.

    Paths are correct even if the settings could not start a server.
    """
    settings, problems = read_unchecked(environ)
    findings = [_problem(text) for text in problems]
    warnings = [*find_weak_secrets(settings), *find_old_names(settings), *find_unknown(environ)]
    domains = list(check_handle_domains(settings.service_handle_domains))
    if not findings:
        findings.append(Finding.ok(SETTINGS, settings.public_url, "the server can start with them"))
    findings += [_problem(text, Finding.warning) for text in warnings]
    findings += _without_effect(settings)
    return settings, [*findings, *domains]


def check_handle_domains(domains: Sequence[str]) -> Iterator[Finding]:
    """Check that handles can be created under each domain, which begins with a dot."""
    sound = []
    for domain in domains:
        # A domain without a leading dot is already reported with the settings.
        fault = find_domain_fault(domain) if domain.startswith(".") else None
        if fault is None:
            sound.append(domain)
            continue
        yield Finding.error(
            HANDLE_DOMAINS,
            domain,
            f"no handle can be made under it: {fault}",
            f"Set {_DOMAINS_SETTING} to domains such as .example.com, separated by commas.",
        )
    if sound:
        yield Finding.ok(HANDLE_DOMAINS, ",".join(sound), "handles can be made under them")


def _without_effect(settings: Settings) -> Iterator[Finding]:
    variables = find_without_effect(settings)
    if variables:
        yield Finding.warning(
            SETTINGS,
            settings.public_url,
            f"these are set and do nothing: {', '.join(variables)}",
            "docs/configuration.md says what is missing for each. They can stay.",
        )


def _problem(
    text: str, finding: Callable[[str, str, str, str], Finding] = Finding.error
) -> Finding:
    """Split a text from `find_problems` at the colon before the remedy."""
    message, _, remedy = text.partition(": ")
    variable = next((word for word in text.split() if word.startswith("PDS_")), "environment")
    remedy = f"{remedy[:1].upper()}{remedy[1:]}." if remedy else ""
    return finding(SETTINGS, variable, message, remedy)
