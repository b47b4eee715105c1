"""The real Litestream: a daemon that does as it is told, and the commands that read a replica."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import apsw

from pds.replication.litestream.environment import daemon_environment
from pds.replication.litestream.program import find_program
from pds.replication.ltx.names import LtxFile, parse_ltx
from pds.replication.ltx.reading import LtxSource
from pds.replication.replica.place import StoredFile
from tests.typed import ROOT

_READY_S: Final = 30.0
_CONFIG: Final = """
socket: {{enabled: true, path: {socket}}}
logging: {{level: error}}
l0-retention: 10000h
snapshot: {{interval: 10000h, retention: 100000h}}
levels: [{{interval: 10000h}}]
"""


@cache
def find_litestream() -> str:
    """The program that the extra `test` brings."""
    return str(find_program().path)


def start_plainly(
    data: Path, environ: Mapping[str, str], log: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start Litestream with Holdfast's litestream.yml, and with what stands in litestream.env."""
    with (log or Path(os.devnull)).open("ab") as output:
        return subprocess.Popen(  # noqa: S603 (Litestream)
            [find_litestream(), "replicate", "-config", str(ROOT / "litestream.yml")],
            env={**daemon_environment(os.environ), **environ, "PDS_DATA_DIRECTORY": str(data)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


@dataclass(slots=True)
class Litestream:
    """A running daemon whose own compaction and snapshots never come about."""

    socket: Path
    url: Callable[[str], str]
    """The replica URL of a database."""
    registered: set[Path] = field(default_factory=set)

    def sync(self, path: Path, database: str) -> int:
        """Register a database if need be, upload its changes, and return its transaction."""
        if path not in self.registered:
            self._post("register", path=str(path), replica_url=self.url(database))
            self.registered.add(path)
        answer = self._post("sync", path=str(path), wait=True, timeout=30)
        assert answer["txid"] == answer["replicated_txid"]
        return int(answer["txid"])

    def unregister(self, path: Path) -> None:
        """Make it forget a database, but not the files beside it."""
        self._post("unregister", path=str(path), timeout=30)
        self.registered.discard(path)

    def _post(self, method: str, **body: object) -> dict[str, Any]:
        connection = _Unix(self.socket)
        try:
            connection.request("POST", f"/{method}", json.dumps(body))
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
            parsed: dict[str, Any] = json.loads(text)
            return parsed
        finally:
            connection.close()


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._socket_path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._socket_path)


@contextmanager
def running_litestream(
    url: Callable[[str], str], environ: Mapping[str, str] | None = None
) -> Iterator[Litestream]:
    """Run a daemon that replicates each database to the URL that `url` tells for its name."""
    # The path of a Unix socket must be short, which those of pytest are not.
    with tempfile.TemporaryDirectory(prefix="ls-") as directory:
        path = Path(directory, "s")
        config = Path(directory, "litestream.yml")
        config.write_text(_CONFIG.format(socket=path))
        with Path(directory, "log").open("w+b") as log:
            process = subprocess.Popen(  # noqa: S603 (Litestream)
                [find_litestream(), "replicate", "-config", str(config)],
                env={"PATH": os.environ["PATH"], **(environ or {})},
                stdout=log,
                stderr=log,
            )
            try:
                _wait_for(path, process, log.name)
                yield Litestream(path, url)
            finally:
                process.terminate()
                process.wait(timeout=30)


def _wait_for(path: Path, process: subprocess.Popen[bytes], log: str) -> None:
    end = time.monotonic() + _READY_S
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            return
        time.sleep(0.02)
    raise AssertionError(f"Litestream does not answer: {Path(log).read_text()}")


def in_directory(replica: Path) -> Callable[[str], str]:
    """The URLs of databases in a directory."""
    return lambda database: f"file://{replica / database}"


def restore_file(
    url: str, path: Path, *options: str, environ: Mapping[str, str] | None = None
) -> Path:
    """Restore a database with Litestream in the place of what is there, and return its path."""
    done = try_to_restore(url, path, *options, environ=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    return path


def try_to_restore(
    url: str, path: Path, *options: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """As `restore_file`, for a database that may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return subprocess.run(  # noqa: S603 (Litestream)
        [find_litestream(), "restore", *options, "-o", str(path), url],
        env=daemon_environment({**os.environ, **(environ or {})}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def restore(url: str, path: Path, *options: str, environ: Mapping[str, str] | None = None) -> bytes:
    """Restore a database with Litestream, check it wholly, and return its bytes."""
    restore_file(url, path, *options, environ=environ)
    # Its own check opens the database and with it may change the file.
    data = path.read_bytes()
    with apsw.Connection(f"file:{path}?immutable=1", flags=_READ_ONLY) as db:
        assert db.execute("PRAGMA integrity_check").get == "ok"
    path.unlink()
    return data


_READ_ONLY: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


def list_files(url: str) -> list[tuple[int, int, int]]:
    """Level, first and last transaction of all files of a database, as Litestream lists them."""
    done = subprocess.run(  # noqa: S603 (Litestream)
        [find_litestream(), "ltx", "-level", "all", "-json", url],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [
        (one["level"], int(one["min_txid"], 16), int(one["max_txid"], 16))
        for one in json.loads(done.stdout)
    ]


def stored_files(replica: Path) -> list[LtxFile]:
    """The LTX files in a directory of a replica."""
    found = [
        parse_ltx(
            StoredFile(
                str(path.relative_to(replica)), path.stat().st_size, path.stat().st_mtime_ns / 1e9
            )
        )
        for path in sorted(replica.rglob("*.ltx"))
    ]
    return [file for file in found if file is not None]


def sources(replica: Path, files: list[LtxFile] | tuple[LtxFile, ...]) -> list[LtxSource]:
    """What those files have."""
    return [LtxSource(file.path, replica / file.path, file.name) for file in files]
