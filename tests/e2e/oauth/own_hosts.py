"""A `pds` command that knows the addresses of hosts from a file of the test.

`python -m tests.e2e.oauth.own_hosts <file> <arguments of pds…>`
"""

from __future__ import annotations

import sys
from pathlib import Path

from identity.hosts_file import HostsFile


def use(file: Path) -> None:
    """Let `file` be the hosts file of this process."""
    HostsFile.__init__.__defaults__ = (file,)


if __name__ == "__main__":
    use(Path(sys.argv[1]))
    from pds.cli import main

    main(sys.argv[2:])
