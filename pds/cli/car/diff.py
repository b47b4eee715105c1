"""`pds car diff`: the changes of a repository between two CARs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import click

from pds.car.errors import CarToolError
from pds.cli.car.failures import explained, naming
from pds.cli.car.files import STANDARD, file_argument, open_repo, write_json_lines, write_lines
from pds.cli.failures import note
from pds.cli.progress import progress_bars

if TYPE_CHECKING:
    from pds.car.differences import Difference

_TROUBLE: Final = 2
_SIGNS: Final = {"create": "+", "update": "~", "delete": "-"}


@click.command()
@file_argument("a")
@file_argument("b")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
@explained(status=_TROUBLE)
def diff(a: str, b: str, as_json: bool) -> None:
    """Compare two CARs: which records were created, updated, deleted.

    A is the older, B the newer CAR. A line is + (created), ~ (updated) or - (deleted), the key of
    the record, and its CIDs. The exit status is 0 if the records are the same, 1 if they differ, 2
    if the comparison failed.

    \b
    Examples:
      pds car diff monday.car tuesday.car
      pds car diff monday.car tuesday.car --json | jq -r .action | sort | uniq -c
      pds car export alice.example.com - | pds car diff alice.car -
    """
    from pds.car.differences import iter_differences

    if a == b == STANDARD:
        raise CarToolError("Only one of the two can be standard input.")
    found = False

    def noticed(differences: Iterator[Difference]) -> Iterator[Difference]:
        nonlocal found
        for one in differences:
            found = True
            yield one

    with ExitStack() as stack:
        with progress_bars() as progress:
            with naming(a):
                old = stack.enter_context(open_repo(a, progress))
            with naming(b):
                new = stack.enter_context(open_repo(b, progress))
        if old.commit.did != new.commit.did:
            note(f"two accounts are compared, {old.commit.did} and {new.commit.did}")
        with naming(f"{a} or {b}"):
            differences = noticed(iter_differences(old, new))
            if as_json:
                write_json_lines(one.to_json() for one in differences)
            else:
                write_lines(map(_line, differences))
    sys.exit(1 if found else 0)


def _line(one: Difference) -> str:
    cids = " ".join(str(cid) for cid in (one.old, one.new) if cid is not None)
    return f"{_SIGNS[one.action]} {one.key} {cids}"
