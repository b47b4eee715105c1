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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

from pds.api import METHODS
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
*full* for the account's own. *Admin* is HTTP Basic with `PDS_ADMIN_PASSWORD`. Some methods look at
the state of the account, too.
"""


@dataclass(slots=True)
class Coverage:
    """What tests have seen of one method."""

    tests: Counter[str] = field(default_factory=Counter)
    """How many tests of each file have called it with success."""
    errors: set[str] = field(default_factory=set)


def all_methods() -> list[XrpcMethod]:
    """Every method that is served, in the order of the document."""
    return sorted(chain.from_iterable(METHODS), key=lambda method: method.nsid.lower())


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


def render(coverage: Mapping[str, Coverage]) -> str:
    """The whole document."""
    lines = [_HEAD, "| Method | HTTP | Who | Tests | Errors |", "|---|---|---|---|---|"]
    for method in all_methods():
        seen = coverage.get(method.nsid, Coverage())
        # Among equals the first by name, so that two runs give the same document.
        best = sorted(seen.tests, key=lambda path: (-seen.tests[path], path))[:2]
        tests = ", ".join(f"[{Path(path).stem}](../{path})" for path in best)
        errors = ", ".join(f"`{name}`" for name in sorted(seen.errors))
        lines.append(f"{start_of_row(method)} {tests} | {errors} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the tests of the server and write the document."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "tests/pds"]
        environment = {**os.environ, VARIABLE: directory}
        subprocess.run(command, env=environment, cwd=ROOT, check=True)  # noqa: S603 (our tests)
        DOCUMENT.write_text(render(coverage_of(read_calls(Path(directory)))), "utf-8")


if __name__ == "__main__":
    main()
