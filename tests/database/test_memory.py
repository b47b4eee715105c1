"""How much memory there is, and how little of it SQLite takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from database.memory import memory_bytes

_GIB = 1 << 30
_MACHINE = {"proc/meminfo": "MemTotal:       4194304 kB\nMemFree:         100 kB\n"}
_UNLIMITED_V1 = "9223372036854771712\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(_MACHINE, 4 * _GIB, id="no cgroups"),
        pytest.param({}, _GIB, id="nothing is told"),
        pytest.param(
            _MACHINE
            | {
                "proc/self/cgroup": "0::/system.slice/holdfast.service\n",
                "sys/fs/cgroup/system.slice/holdfast.service/memory.max": f"{2 * _GIB}\n",
                "sys/fs/cgroup/system.slice/memory.max": "max\n",
            },
            2 * _GIB,
            id="v2: the group's",
        ),
        pytest.param(
            _MACHINE
            | {
                "proc/self/cgroup": "0::/system.slice/holdfast.service\n",
                "sys/fs/cgroup/system.slice/holdfast.service/memory.max": "max\n",
                "sys/fs/cgroup/system.slice/memory.max": f"{_GIB}\n",
            },
            _GIB,
            id="v2: a group's around it",
        ),
        pytest.param(
            _MACHINE
            | {
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": "max\n",
                "sys/fs/cgroup/memory.high": f"{_GIB}\n",
            },
            _GIB,
            id="v2: in a container, from where it is slowed down",
        ),
        pytest.param(
            _MACHINE
            | {
                "proc/self/cgroup": "5:cpu,memory:/docker/abc\n4:cpuset:/x\n0::/\n",
                "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": f"{3 * _GIB}\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": _UNLIMITED_V1,
            },
            3 * _GIB,
            id="v1: the group's",
        ),
        pytest.param(
            _MACHINE
            | {
                "proc/self/cgroup": "4:memory:/docker/of-the-host\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{_GIB}\n",
            },
            _GIB,
            id="v1: in a container",
        ),
        pytest.param(
            _MACHINE
            | {
                "proc/self/cgroup": "0::/../../outside\n",
                "sys/fs/cgroup/memory.max": f"{8 * _GIB}\n",
            },
            4 * _GIB,
            id="a limit above what the machine has",
        ),
    ],
)
def test_memory_is_that_of_the_machine_or_of_the_narrowest_cgroup(
    tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert memory_bytes(tmp_path) == expected


def test_this_machine_has_memory() -> None:
    assert memory_bytes() > 16 * 1024 * 1024


_CONNECTIONS = """
import sys
from pathlib import Path

import apsw

from database.memory import use_memory_sparingly
from database.opening import open_database

if sys.argv[1] == "sparingly":
    use_memory_sparingly(1 << 30)
dbs = [open_database(Path(sys.argv[2]) / str(number)) for number in range(5)]
print(apsw.memory_used())
"""

_SCAN = """
import sys
from pathlib import Path

import apsw

from database.memory import use_memory_sparingly
from database.opening import open_database

db = open_database(Path(sys.argv[2]) / "large", cache_kib=64_000)
db.run("CREATE TABLE t (v BLOB)")
with db.transaction():
    db.many("INSERT INTO t VALUES (zeroblob(3000))", [()] * 4_000)
db.release_memory()
if sys.argv[1] == "sparingly":
    use_memory_sparingly(16_000_000)
assert db.value("SELECT count(*) FROM t WHERE substr(v, 1, 1) = x'00'") == 4_000
print(apsw.memory_used())
"""


def test_a_connection_takes_no_memory_in_advance(tmp_path: Path) -> None:
    usual, sparing = (_memory_used(_CONNECTIONS, how, tmp_path) for how in ("usual", "sparingly"))
    assert usual - sparing > 5 * 40_000


def test_page_caches_stop_growing_at_their_share_of_the_memory(tmp_path: Path) -> None:
    """Even with a connection open already, as in a process that also does something else."""
    (tmp_path / "usual").mkdir()
    (tmp_path / "sparingly").mkdir()
    assert _memory_used(_SCAN, "usual", tmp_path / "usual") > 12_000_000
    assert _memory_used(_SCAN, "sparingly", tmp_path / "sparingly") < 4_100_000


def _memory_used(script: str, how: str, directory: Path) -> int:
    """Bytes that SQLite has allocated in a process of its own, whose settings it may change."""
    command = [sys.executable, "-c", script, how, str(directory)]
    return int(subprocess.check_output(command))  # noqa: S603 - the interpreter
