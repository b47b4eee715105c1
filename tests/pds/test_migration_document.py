"""docs/migrate-from-reference.md says rightly which commands of pdsadmin work."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

from pds.api import METHODS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "migrate-from-reference.md"
ROW = re.compile(r"^\| (`pdsadmin [^|]+) \| ([^|]+) \| (yes|not yet) \|$", re.MULTILINE)


def test_a_command_works_if_its_methods_are_served() -> None:
    served = {method.nsid for method in chain.from_iterable(METHODS)}
    rows = ROW.findall(DOCUMENT.read_text())
    assert len(rows) == 7
    for commands, needs, works in rows:
        ours = set(re.findall(r"`(com\.atproto\.[\w.]+)`", needs)) - {
            "com.atproto.sync.requestCrawl"  # served by relays
        }
        assert (ours <= served) == (works == "yes"), commands
