"""The error tree covers everything that apsw raises."""

from __future__ import annotations

import errno

import apsw
import pytest

from database.errors import (
    DatabaseError,
    DatabaseForbidden,
    DatabaseFull,
    DatabaseIoFailed,
    DatabaseMissing,
    DatabaseOutOfFiles,
    StatementFailed,
    map_error,
)

_APSW_ERRORS = sorted(
    (
        member
        for member in vars(apsw).values()
        if isinstance(member, type) and issubclass(member, apsw.Error)
    ),
    key=lambda member: member.__name__,
)


@pytest.mark.parametrize("kind", _APSW_ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_apsw_has_a_place(kind: type[apsw.Error]) -> None:
    mapped = map_error(kind("reason"), "x.sqlite")
    assert isinstance(mapped, DatabaseError)
    assert type(mapped) is not DatabaseError
    assert str(mapped).startswith("x.sqlite: reason")


@pytest.mark.parametrize(
    ("error", "os_errno", "expected"),
    [
        (apsw.CantOpenError(), 0, DatabaseMissing),
        (apsw.CantOpenError(), errno.EACCES, DatabaseForbidden),
        (apsw.CantOpenError(), errno.EROFS, DatabaseForbidden),
        (apsw.CantOpenError(), errno.EMFILE, DatabaseOutOfFiles),
        (apsw.CantOpenError(), errno.ENFILE, DatabaseOutOfFiles),
        (apsw.IOError(), errno.EMFILE, DatabaseOutOfFiles),
        (apsw.IOError(), 0, DatabaseIoFailed),
        (apsw.IOError(), errno.ENOSPC, DatabaseFull),
        (apsw.SQLError(), errno.ENOSPC, StatementFailed),
    ],
)
def test_one_code_of_sqlite_is_told_apart_by_errno(
    error: apsw.Error, os_errno: int, expected: type[DatabaseError]
) -> None:
    assert type(map_error(error, "x.sqlite", os_errno=os_errno)) is expected


def test_too_many_open_files_are_not_taken_for_a_failing_disk() -> None:
    error = map_error(apsw.CantOpenError("unable to open"), "x.sqlite", os_errno=errno.EMFILE)
    assert "limit of open files" in str(error)
    assert "LimitNOFILE" in str(error)
    assert "disk" not in str(error)


def test_operator_is_told_what_to_do() -> None:
    for kind in (apsw.CantOpenError, apsw.CorruptError, apsw.FullError, apsw.BusyError):
        error = map_error(kind("reason"), "x.sqlite")
        assert error.hint
        assert error.hint in str(error)
