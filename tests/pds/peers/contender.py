"""One of several processes that write to the same service database and DID cache, all at once."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from identity.did_cache import DidCache
from identity.did_document import DidDocument
from pds.accounts.email_tokens import EmailTokenPurpose, EmailTokens
from pds.accounts.schema import open_account_database
from repo.syntax import Did

AT_ONCE = 8


async def contend(directory: Path, name: str, rounds: int) -> float:
    """Write `rounds` times, `AT_ONCE` at a time; return the longest wait in seconds."""
    db = open_account_database(directory / "account.sqlite")
    tokens = EmailTokens(db, clock=time.time)
    cache = DidCache.open(directory / "did_cache.sqlite", is_shared=True)
    slowest_s = 0.0

    async def write(number: int) -> None:
        nonlocal slowest_s
        for n in range(rounds // AT_ONCE):
            started = time.monotonic()
            did = Did(f"did:web:{name}-{number}-{n}.example.com")
            await tokens.create(did, EmailTokenPurpose.CONFIRM_EMAIL)
            await cache.put(DidDocument.parse({"id": did}, did), updated_at_ms=n)
            slowest_s = max(slowest_s, time.monotonic() - started)
            await asyncio.sleep(0)

    await asyncio.gather(*map(write, range(AT_ONCE)))
    cache.close()
    db.close()
    return slowest_s


if __name__ == "__main__":
    sys.stdout.write(str(asyncio.run(contend(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))))
