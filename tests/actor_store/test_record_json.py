"""Records as JSON: cached records take as much memory as they are counted with."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def test_small_records_take_no_more_memory_than_they_are_counted_with() -> None:
    # In a process of its own, for the allocator of this one has been used by many tests.
    script = """
        from pathlib import Path
        from actor_store.record_json import RecordJsonCache
        from repo import dagcbor
        from repo.cid import Cid

        def resident_mib():
            status = Path("/proc/self/status").read_text()
            return int(status.partition("VmRSS:")[2].split()[0]) / 1024

        cache = RecordJsonCache()
        before = resident_mib()
        for n in range(20_000):
            block = dagcbor.encode({"n": n, "text": "x" * 250})
            cache.render(Cid.of_dag_cbor(block), block)
        print(resident_mib() - before)
    """
    done = subprocess.run(  # noqa: S603 (our own script)
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 30
