"""What a running server may show of itself while it writes, and what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pds.doctor.finding import Finding
from pds.doctor.heads import Standing, judge
from pds.doctor.repo import RepoHead

_LOG, _ACCOUNTS, _STORE = Path("/log"), Path("/accounts"), Path("/store")
_CHECK = Path("/data/holdfast.check")


def told(standing: Standing, *, is_unclean: bool) -> Finding | None:
    return judge(standing, log=_LOG, accounts=_ACCOUNTS, check_file=_CHECK, is_unclean=is_unclean)


def head(rev: str) -> RepoHead:
    return RepoHead(f"cid-{rev}", rev)


@pytest.mark.parametrize(
    ("before", "log", "root", "now", "status"),
    [
        ("1", "1", "1", "1", None),
        # It has gone on while it was looked at.
        ("1", "2", "1", "3", None),
        ("1", "1", "1", "2", None),
        ("1", "3", "2", "3", None),
        # What was there at first has not arrived.
        ("2", "1", "2", "2", "error"),
        ("2", "2", "1", "2", "warning"),
        # What has arrived is not there.
        ("1", "3", "1", "2", "error"),
        ("1", "1", "3", "2", "error"),
    ],
)
def test_log_and_list_have_what_was_there_and_nothing_that_is_not(
    before: str, log: str, root: str, now: str, status: str | None
) -> None:
    standing = Standing("did:plc:x", _STORE, head(before), head(now), log, head(root))
    finding = told(standing, is_unclean=False)
    assert (None if finding is None else finding.status) == status
    if finding is not None:
        assert finding.subject == str(_STORE)


def test_a_lost_store_is_told_once_although_log_and_list_are_ahead() -> None:
    standing = Standing("did:plc:x", _STORE, head("1"), head("1"), "3", head("3"))
    finding = told(standing, is_unclean=True)
    assert finding is not None
    assert "writes are lost" in finding.message


def test_an_old_head_in_the_list_has_a_remedy_that_works_also_after_an_orderly_stop() -> None:
    standing = Standing("did:plc:x", _STORE, head("2"), head("2"), "2", head("1"))
    finding = told(standing, is_unclean=False)
    assert finding is not None
    assert f"touch {_CHECK}" in (finding.remedy or "")
