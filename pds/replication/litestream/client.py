"""Telling a Litestream daemon which databases to replicate, over its control socket."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from pds.replication.errors import LitestreamFailed, Trouble
from pds.replication.litestream.aliases import Aliases
from pds.replication.litestream.messages import printable, trouble_of

CONCURRENCY: Final = 16
SYNC_S: Final = 60.0
"""How long the sync of a small database may take."""
_BYTES_A_S: Final = 256 << 10
"""How slowly a large one may reach the replica before that counts as a failure."""
_UNREGISTER_S: Final = 15.0
_QUICK_S: Final = 10.0
"""How long the daemon may take for what it does in memory."""
_GRACE_S: Final = 5.0
"""How much longer than the daemon's own bound an answer is waited for."""
_MAX_ANSWER_BYTES: Final = 64 * 1024
_OK: Final = 200

_FileId = tuple[int, int]


@dataclass(slots=True, frozen=True)
class Synced:
    """What a sync has found."""

    txid: int
    """The newest transaction, in Litestream's count."""
    replicated_txid: int
    """The newest that the replica has. Less than `txid` if another one was found meanwhile."""
    changed: bool
    """Whether the database had changed since the sync before."""


def patience_s(size: int, *, small_s: float = SYNC_S) -> float:
    """Return how long the sync of a database of some bytes may take, if a small one gets `small_s`.

    That is for all of it, which a sync may have to send at any time.
    """
    return small_s + size / _BYTES_A_S


class LitestreamClient:
    """The requests to one daemon, of which only some are under way at once.

    Each raises `LitestreamFailed`, whose `trouble` says what kind of failure it is.
    """

    def __init__(self, socket: Path, *, concurrency: int = CONCURRENCY) -> None:
        self._socket = socket
        self._aliases = Aliases(socket.parent)
        self._concurrency = concurrency
        self._turns = asyncio.Semaphore(concurrency)
        self._session: aiohttp.ClientSession | None = None
        self._files: dict[Path, _FileId | None] = {}
        """The file of each registered database, as it was when the daemon opened it."""

    async def register(self, path: Path, url: str) -> bool:
        """Make the daemon follow a database; return whether it did not before.

        The file is opened by the first sync. `url` is the place of this database in the replica.
        """
        _check(path)
        file_id = _file_id(path)
        if file_id is None:
            raise LitestreamFailed(f"there is no database {path}", Trouble.DATABASE_GONE)
        name = self._aliases.make(path)
        answer = await self._post("register", {"path": name, "replica_url": url}, _QUICK_S)
        is_new = answer.get("status") == "registered"
        if is_new or path not in self._files:
            # One that was registered by somebody else is taken to be the file of now.
            self._files[path] = file_id
        return is_new

    async def sync(self, path: Path, *, timeout_s: float = SYNC_S) -> Synced:
        """Send everything that is committed in a registered database to the replica.

        A failure with the trouble `DATABASE_REPLACED` or `NOT_REGISTERED` asks the caller to
        register the database again, the former after unregistering it.
        """
        self._check_file(path)
        name = self._aliases.name_of(path)
        body = {"path": name, "wait": True, "timeout": math.ceil(timeout_s)}
        answer = await self._post("sync", body, timeout_s + _GRACE_S)
        # Litestream has nothing to say of a file that has vanished since it was last opened.
        self._check_file(path)
        txid, replicated_txid = _number(answer, "txid"), _number(answer, "replicated_txid")
        if not replicated_txid:
            # Another upload of the daemon's has failed at the same moment.
            raise LitestreamFailed(
                f"{path}: what the replica has is unknown", Trouble.REPLICA_UNAVAILABLE
            )
        return Synced(txid, replicated_txid, changed=answer.get("status") != "no_change")

    async def unregister(self, path: Path, *, timeout_s: float = _UNREGISTER_S) -> int:
        """Make the daemon close a database after a last sync; return its newest local txid.

        That is 0 if the daemon did not know the database, and so has synced nothing.

        If this raises, the last sync has failed, but the daemon has closed the database, or does so
        within the time that `config` grants.
        """
        self._files.pop(path, None)
        body = {"path": self._aliases.name_of(path), "timeout": math.ceil(timeout_s)}
        try:
            return _number(await self._post("unregister", body, timeout_s + _GRACE_S), "txid")
        finally:
            self._aliases.drop(path)

    async def pid(self, *, timeout_s: float = _QUICK_S) -> int:
        """Ask the daemon for its process id. Waits for no other request."""
        return _number(await self._ask("GET", "info", None, timeout_s), "pid")

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """Let requests end, and hold back new ones until the body has run."""
        held = 0
        try:
            for _ in range(self._concurrency):
                await self._turns.acquire()
                held += 1
            yield
        finally:
            for _ in range(held):
                self._turns.release()

    def forget(self) -> None:
        """The daemon has started anew, and knows no database."""
        self._files.clear()

    async def close(self) -> None:
        """Close the connections. May be repeated; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _check_file(self, path: Path) -> None:
        """Raise if the file that the daemon has open is not the one with this name any more."""
        file_id = _file_id(path)
        if file_id is None:
            raise LitestreamFailed(f"{path} is not there any more", Trouble.DATABASE_GONE)
        if path not in self._files:
            raise LitestreamFailed(f"{path} is not registered", Trouble.NOT_REGISTERED)
        if self._files[path] != file_id:
            raise LitestreamFailed(f"{path} is another file now", Trouble.DATABASE_REPLACED)

    async def _post(
        self, name: str, body: Mapping[str, object], timeout_s: float
    ) -> dict[str, Any]:
        async with self._turns:
            return await self._ask("POST", name, body, timeout_s)

    async def _ask(
        self,
        method: str,
        name: str,
        body: Mapping[str, object] | None,
        timeout_s: float,
    ) -> dict[str, Any]:
        data = None if body is None else orjson.dumps(body)
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._opened().request(method, f"http://litestream/{name}", data=data) as response,
            ):
                content = b""
                while len(content) < _MAX_ANSWER_BYTES and not response.content.at_eof():
                    content += await response.content.read(_MAX_ANSWER_BYTES - len(content))
                status = response.status
        except TimeoutError as exc:
            raise LitestreamFailed(
                f"Litestream does not answer within {timeout_s:.0f} s", Trouble.TIMED_OUT
            ) from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise LitestreamFailed(
                f"Litestream does not answer: {exc or type(exc).__name__}", Trouble.DAEMON_AWAY
            ) from exc
        return _read_answer(status, content)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(self._socket), limit=0),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session


def _read_answer(status: int, content: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise LitestreamFailed(f"Litestream answers {status} without a reason")
    if status != _OK:
        message = str(answer.get("error", status))
        raise LitestreamFailed(printable(message), trouble_of(message))
    return answer


def _number(answer: Mapping[str, Any], name: str) -> int:
    value = answer.get(name)
    return value if isinstance(value, int) else 0


def _check(path: Path) -> None:
    if not path.is_absolute():
        raise ValueError(f"not an absolute path: {path}")


def _file_id(path: Path) -> _FileId | None:
    try:
        status = os.stat(path)  # noqa: PTH116 (twice as fast, once for each sync)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise LitestreamFailed(f"{path}: {exc.strerror or exc}", Trouble.FORBIDDEN) from exc
    return status.st_dev, status.st_ino
