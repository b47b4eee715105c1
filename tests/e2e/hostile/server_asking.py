"""A `pds` command whose server asks one name server on loopback: `PORT COMMAND...`.

The system's is on port 53, where a test may not listen.
"""

from __future__ import annotations

import sys

import dns.asyncresolver

from identity.nameservers import SystemNameservers, make_client
from pds.cli import main


def _ask(port: int) -> None:
    def client(self: SystemNameservers) -> dns.asyncresolver.Resolver:
        return make_client([("127.0.0.1", port)], timeout_s=self._timeout_s)

    SystemNameservers.client = client  # type: ignore[method-assign]  # the edge is the network


if __name__ == "__main__":
    _ask(int(sys.argv.pop(1)))
    main()
