"""A clock that tests set, and `account.sqlite` in `tmp_path`."""

from __future__ import annotations

from tests.pds.accounts.conftest import clock
from tests.pds.oauth.conftest import db

__all__ = ["clock", "db"]
