"""Processes with official clients for Node, ordered about by tests."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.e2e.oauth.installed import node
from tests.processes import DevServer

_ANSWER_S = 30.0


class AppError(Exception):
    """The client raises an error; the message is its own."""


@dataclass
class NodeScript:
    """A process that obeys orders."""

    process: asyncio.subprocess.Process

    @classmethod
    async def run(cls, installation: Path, script: str, **config: Any) -> Self:
        """Start one of the scripts."""
        return cls(
            await asyncio.create_subprocess_exec(
                node(installation),
                str(installation / script),
                json.dumps(config),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        )

    async def order(self, order: str, **more: Any) -> Any:
        """Have something done. Raises `AppError`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"order": order, **more}).encode() + b"\n")
        line = await asyncio.wait_for(self.process.stdout.readline(), _ANSWER_S)
        assert line, "the app has ended"
        answer = json.loads(line)
        if "error" in answer:
            raise AppError(f"{answer['error']}: {answer['message']}")
        return answer

    async def stop(self) -> None:
        """End the process."""
        self.process.kill()
        await self.process.communicate()


class NodeApp(NodeScript):
    """An app whose sessions live as long as its process."""

    @classmethod
    async def start(
        cls,
        installation: Path,
        server: DevServer,
        metadata: str | dict[str, Any],
        *,
        confidential: bool = False,
    ) -> NodeApp:
        """Start an app that finds people by `server` and its PLC directory.

        `metadata` is only the id for a loopback client. A confidential one makes itself a key.
        """
        return await cls.run(
            installation,
            "app.mjs",
            pds=server.url,
            plc=f"http://localhost:{server.plc_port}",
            metadata=metadata,
            confidential=confidential,
        )

    async def call(self, did: str, method: str, path: str, body: object = None) -> Any:
        """Call the server of a person who is signed in; returns `status` and `body`."""
        return await self.order("call", did=did, method=method, path=path, body=body)
