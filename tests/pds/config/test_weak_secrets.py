"""Secrets that can be guessed: the server starts with them, and tells."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from pds.config import find_weak_secrets, read_settings
from tests.pds.config.test_settings import WORKING

NAMES = ("PDS_JWT_SECRET", "PDS_ADMIN_PASSWORD", "PDS_RATE_LIMIT_BYPASS_KEY")
STRONG = dict.fromkeys(NAMES, "f3a9c41b7d20e865")


def weak_with(**secrets: str) -> list[str]:
    return find_weak_secrets(read_settings(WORKING | STRONG | secrets))


def test_random_secrets_are_fine() -> None:
    assert weak_with() == []
    assert weak_with(PDS_RATE_LIMIT_BYPASS_KEY="") == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("secret", ["a", "f3a9c41b7d20e86", "a" * 32, "abcabcabcabcabcabc"])
def test_what_is_short_or_simple_is_told_with_its_remedy_and_not_repeated(
    name: str, secret: str
) -> None:
    (told,) = weak_with(**{name: secret})
    assert told.startswith(f"{name} is short or simple")
    assert "openssl rand --hex 16" in told
    if len(secret) > 1:
        assert secret not in told


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_what_the_remedy_makes_is_strong() -> None:
    (told,) = weak_with(PDS_JWT_SECRET="secret")
    command = re.search(r"openssl rand --hex \d+", told)
    assert command
    made = subprocess.run(command[0].split(), capture_output=True, text=True, check=True)  # noqa: S603
    assert weak_with(PDS_JWT_SECRET=made.stdout.strip()) == []
