"""A real Caddy on loopback with the Caddyfile of deploy/, and clients that come through it."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.deploy.files import DEPLOY
from tests.processes import free_port

PROGRAM: Final = Path(sys.executable).parent / "caddy"
CADDYFILE: Final = DEPLOY / "Caddyfile"
_READY_S = 20.0


def caddy(
    *words: str, directory: Path, stdin: str | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of Caddy to its end. `directory` is where it keeps its files."""
    return subprocess.run(  # noqa: S603
        [PROGRAM, *words],
        env=_environment(directory, **environ),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _environment(directory: Path, **environ: str) -> dict[str, str]:
    homes = {name: str(directory) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    return {"PATH": os.environ["PATH"], **homes, **environ}


@dataclass(slots=True)
class Caddy:
    """A Caddy with an authority of its own for certificates, in front of a server."""

    hostname: str
    directory: Path
    http_port: int
    https_port: int
    process: subprocess.Popen[bytes]

    @classmethod
    @contextmanager
    def start(cls, directory: Path, *, hostname: str, upstream: str) -> Iterator[Caddy]:
        """Run it until the block ends. Only what cannot be had on loopback is set differently."""
        http_port, https_port = free_port(), free_port()
        options = (
            f"http_port {http_port}",
            f"https_port {https_port}",
            "default_bind 127.0.0.1",
            "admin off",
            "local_certs",
            "skip_install_trust",
        )
        environ = {
            "PDS_HOSTNAME": hostname,
            "UPSTREAM": upstream,
            "CADDY_GLOBAL_OPTIONS": "\n".join(options),
        }
        with (directory / "caddy.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603
                [PROGRAM, "run", "--config", CADDYFILE, "--adapter", "caddyfile"],
                env=_environment(directory, **environ),
                stdout=log,
                stderr=log,
            )
        one = cls(hostname, directory, http_port, https_port, process)
        try:
            one._wait_until_ready()
            yield one
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_READY_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def url(self) -> str:
        return self.url_of(self.hostname)

    def url_of(self, name: str) -> str:
        """The address of a name, such as a handle, that this Caddy may have a certificate for."""
        return f"https://{name}:{self.https_port}"

    def client(self, address: str = "127.0.0.1") -> aiohttp.ClientSession:
        """A client at an address of loopback; it trusts Caddy's authority and no other."""
        connector = aiohttp.TCPConnector(
            resolver=_Loopback(),
            ssl=ssl.create_default_context(cafile=str(self._authority)),
            local_addr=(address, 0),
        )
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60))

    def log(self) -> str:
        """What the process has printed so far."""
        return (self.directory / "caddy.log").read_text(errors="replace")

    @property
    def _authority(self) -> Path:
        return self.directory / "caddy" / "pki" / "authorities" / "local" / "root.crt"

    def _wait_until_ready(self) -> None:
        """Until it has the certificate of its first name, which it gets before any request."""
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"Caddy ended early:\n{self.log()}")
            try:
                context = ssl.create_default_context(cafile=str(self._authority))
                with (
                    socket.create_connection(("127.0.0.1", self.https_port), timeout=5) as raw,
                    context.wrap_socket(raw, server_hostname=self.hostname),
                ):
                    return
            except OSError:
                time.sleep(0.02)
        raise TimeoutError(f"Caddy was not ready in time:\n{self.log()}")


class _Loopback(AbstractResolver):
    """Finds every name on this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


async def call(
    http: aiohttp.ClientSession, url: str, nsid: str, *, token: str = "", **body: Any
) -> Any:
    """Call a procedure, which must succeed. Returns the JSON of the answer."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with http.post(f"{url}/xrpc/{nsid}", json=body, headers=headers) as response:
        answer = await response.json()
        assert response.status == 200, answer
        return answer
