"""Warnings at start about settings that the server can start with."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from pds.config import (
    Settings,
    find_old_names,
    find_unknown,
    find_weak_secrets,
    find_without_effect,
)
from pds.config.handle_domains import find_domain_fault
from pds.config.hold.original_names import translate_hold_names

_log = structlog.get_logger(__name__)


def warn_of_settings(settings: Settings, environ: Mapping[str, str]) -> None:
    """Log a line for everything in `environ` that an operator should look at."""
    for text in find_unknown(environ):
        _warn("a variable is not a setting", text)
    taken = translate_hold_names(environ).taken
    if taken:
        _log.info("settings of the original hold are taken over", taken=taken)
    for text in find_weak_secrets(settings):
        _warn("a secret is weak", text)
    for text in find_old_names(settings):
        _warn("a setting has been renamed", text)
    for domain in settings.service_handle_domains:
        fault = find_domain_fault(domain)
        if fault is not None:
            _log.warning(
                "a domain cannot have handles",
                domain=domain,
                reason=fault,
                remedy="set PDS_SERVICE_HANDLE_DOMAINS to domains such as .example.com",
            )
    variables = find_without_effect(settings)
    if variables:
        _log.warning(
            "settings without effect", variables=variables, explained_in="docs/configuration.md"
        )


def _warn(event: str, text: str) -> None:
    what, _, remedy = text.partition(": ")
    _log.warning(event, what=what, remedy=remedy)
