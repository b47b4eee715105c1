"""Hashes of passwords that a process of the suite has computed already.

A hash takes 40 ms of a core by design, and thousands of accounts of tests have the same few
passwords. So the same password gets the same salt, and the same hash is computed once. All of them
are real: a server in a process of its own, or the reference, accepts them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import pytest

from pds.accounts import hashing
from pds.accounts.hashing import Hashing

_patch = pytest.MonkeyPatch()
_scrypt = lru_cache(None)(hashing._scrypt)


def remember_hashes() -> None:
    """Compute each hash once from now on."""
    _patch.setattr(hashing, "_scrypt", _scrypt)
    _patch.setattr(Hashing, "hash", _hash)


@contextmanager
def unknown_passwords() -> Iterator[None]:
    """Hash with new salts, as servers do, within the block."""
    _patch.undo()
    try:
        yield
    finally:
        remember_hashes()


async def _hash(self: Hashing, password: str) -> str:
    return await self._run(password, hashlib.sha256(password.encode()).hexdigest()[:32])
