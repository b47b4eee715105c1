"""docs/endpoints.md, made from the code and from a run of the tests.

`python -m tests.endpoints` runs the tests of the server, sees which methods they call and how
those answer, and writes the file. A test compares the rest of it with the code.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

from pds.api import METHODS
from pds.hold.methods import HOLD_METHODS
from pds.xrpc.methods import XrpcMethod
from repo.lexicon import default_lexicons
from tests.calls import VARIABLE, Call, read_calls

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENT: Final = ROOT / "docs" / "endpoints.md"

_VERBS: Final = {"query": "GET", "procedure": "POST", "subscription": "WebSocket"}
_HEAD: Final = """\
# Endpoints

Every method that this server answers itself, who may call it, the tests that call it most, and
the errors that tests have seen it answer with. Any other method goes to the AppView,
or to the service that the `atproto-proxy` header names.

[Behind an entryway](entryway.md) it answers some of the methods.

Made by `make endpoints`; do not edit.

A session is opened with a password: *any* password, *privileged* for all but plain app passwords,
*full* for the account's own. *OAuth* says which scopes an [OAuth client](oauth.md) needs beside
`atproto`. *Admin* is HTTP Basic with `PDS_ADMIN_PASSWORD`. Some methods look at the state of the
account, too.
"""
_HOLD: Final = """\

## On a hold

A [hold](hold.md) also answers the methods of `io.atcr.hold`, and answers some of those above
differently, which are listed again. A *service token* is signed with the key of the caller's
DID, as a rule by the caller's own server, for the DID of the hold. [hold.md](hold.md#crew) says
what members of the crew may do.
"""
_TABLE: Final = ("| Method | HTTP | Who | Tests | Errors |", "|---|---|---|---|---|")
_HOLD_TESTS: Final = "tests/pds/hold/"


@dataclass(slots=True)
class Coverage:
    """What tests have seen of one method."""

    tests: Counter[str] = field(default_factory=Counter)
    """How many tests of each file have called it with success."""
    errors: set[str] = field(default_factory=set)


def all_methods() -> list[XrpcMethod]:
    """Every method of a server that is no hold, in the order of the document."""
    return sorted(chain.from_iterable(METHODS), key=lambda method: method.nsid.lower())


def hold_methods() -> list[XrpcMethod]:
    """The methods that a hold adds or replaces, in the order of the document."""
    return sorted(chain.from_iterable(HOLD_METHODS), key=lambda method: method.nsid.lower())


def start_of_row(method: XrpcMethod) -> str:
    """The part of a row that follows from the code alone."""
    schema = default_lexicons().method(method.nsid)
    assert schema is not None, method.nsid
    who = method.auth.demands if method.auth else "anyone"
    return f"| `{method.nsid}` | {_VERBS[schema.kind]} | {who} |"


def coverage_of(calls: Iterable[Call]) -> dict[str, Coverage]:
    """Put calls together by method."""
    found: dict[str, Coverage] = defaultdict(Coverage)
    succeeded = set()
    for call in calls:
        if call.error:
            found[call.nsid].errors.add(call.error)
        if call.status < 400:
            succeeded.add((call.nsid, call.test))
    for nsid, test in succeeded:
        found[nsid].tests[test.partition("::")[0]] += 1
    return found


def render(calls: Iterable[Call]) -> str:
    """The whole document."""
    of_hold = {method.nsid for method in hold_methods()}
    everywhere: list[Call] = []
    on_hold: list[Call] = []
    for call in calls:
        is_on_hold = call.nsid in of_hold and call.test.startswith(_HOLD_TESTS)
        (on_hold if is_on_hold else everywhere).append(call)
    lines = [_HEAD, *_rows(all_methods(), coverage_of(everywhere))]
    lines += [_HOLD, *_rows(hold_methods(), coverage_of(on_hold))]
    return "\n".join(lines) + "\n"


def _rows(methods: Iterable[XrpcMethod], coverage: Mapping[str, Coverage]) -> Iterator[str]:
    yield from _TABLE
    for method in methods:
        seen = coverage.get(method.nsid, Coverage())
        # Among equals the first by name, so that two runs give the same document.
        best = sorted(seen.tests, key=lambda path: (-seen.tests[path], path))[:2]
        tests = ", ".join(f"[{Path(path).stem}](../{path})" for path in best)
        errors = ", ".join(f"`{name}`" for name in sorted(seen.errors))
        yield f"{start_of_row(method)} {tests} | {errors} |"


def main() -> None:
    """Run the tests of the server and write the document."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "tests/pds"]
        environment = {**os.environ, VARIABLE: directory}
        subprocess.run(command, env=environment, cwd=ROOT, check=True)  # noqa: S603 (our tests)
        DOCUMENT.write_text(render(read_calls(Path(directory))), "utf-8")


if __name__ == "__main__":
    main()
