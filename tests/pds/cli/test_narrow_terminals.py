"""Tables and fields fit 80 columns, and no DID is broken; a pipe has whole rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pds.cli.output import packed
from tests.pds.cli.conftest import Operator

WIDTH = 80
LONG_HANDLE = "withalonghandle123.test"


@pytest.fixture(scope="module")
def did(files: Operator) -> str:
    """An account with a long handle, an invite code and a takedown."""
    made = files.run_json("account", "create", f"{'x' * 30}@mail.example.com", "terminal.test")
    files.run("account", "update-handle", made["did"], LONG_HANDLE)
    files.run("invite", "create", "--for", made["did"], "--uses", "5")
    files.run("account", "takedown", made["did"], "--ref", "report 17")
    return str(made["did"])


@pytest.mark.parametrize(
    "command",
    [
        ("account", "list"),
        ("account", "list", "--usage"),
        ("account", "show", LONG_HANDLE),
        ("account", "quota", LONG_HANDLE),
        ("invite", "list"),
        ("doctor", "--offline"),
    ],
    ids=" ".join,
)
def test_tables_and_fields_fit_80_columns(
    files: Operator, did: str, command: Sequence[str]
) -> None:
    narrow = replace(files, environ={**files.environ, "COLUMNS": str(WIDTH)})
    lines = narrow.run(*command).splitlines()
    # A path or an address that is longer stands alone and whole: it can be copied.
    too_wide = [line for line in lines if len(line) > WIDTH and " " in line.strip()]
    assert too_wide == []
    if command[0] == "account":
        assert any(did in line for line in lines)


@pytest.mark.parametrize(
    ("command", "cells"),
    [
        (("account", "list"), (LONG_HANDLE, "did:plc:", "@", "takendown", "20")),
        (("account", "list", "--usage"), (LONG_HANDLE, "did:plc:", "none (default)")),
        (("invite", "list"), (LONG_HANDLE, "0 of 5 used")),
    ],
    ids=lambda value: " ".join(value),
)
@pytest.mark.usefixtures("did")
def test_a_row_is_a_line_in_a_pipe(
    files: Operator, command: Sequence[str], cells: Sequence[str]
) -> None:
    (row,) = [line for line in files.run(*command).splitlines() if LONG_HANDLE in line]
    assert all(cell in row for cell in cells)


def test_nothing_is_lost_where_a_row_takes_some_lines(files: Operator, did: str) -> None:
    narrow = replace(files, environ={**files.environ, "COLUMNS": "40"})
    lines = narrow.run("account", "list").splitlines()
    start = lines.index(LONG_HANDLE)
    told = " ".join(lines[start : start + 5])
    account = files.show(did)
    for cell in (did, account["email"], "takendown", account["createdAt"]):
        assert cell in told


def test_items_share_lines_as_far_as_there_is_room() -> None:
    assert list(packed(["a", "b", "c" * 10, "d"], width=12)) == ["  a   b", "  cccccccccc", "  d"]
    assert list(packed(["x" * 30], width=12)) == [f"  {'x' * 30}"]
    assert list(packed([], width=12)) == []
