"""A `pds` command whose leases are renewed every second, so that tests need not wait for them.

`python -m tests.e2e.quick_leases <arguments of pds…>`
"""

from __future__ import annotations

import dataclasses
import sys

from pds.replication.replica.lease import LeaseTimes

RENEW_S = 1.0

if __name__ == "__main__":
    times = dataclasses.replace(LeaseTimes(), renew_s=RENEW_S)
    LeaseTimes.__init__.__defaults__ = dataclasses.astuple(times)
    from pds.cli import main

    main(sys.argv[1:])
