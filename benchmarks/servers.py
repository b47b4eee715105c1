"""Starting and ending the two servers: on loopback, with fresh data, by pid."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from pds import DISTRIBUTION
from tests.reference.install import copy_scripts, installed_version, node_program

WORK: Final = Path(__file__).parent / ".work"
_START_SECONDS: Final = 600
_STOP_SECONDS: Final = 30

SECRET: Final = "11" * 32
"""Of the administrator, and for everything else."""


def _program() -> tuple[str, ...]:
    script = Path(sys.executable).with_name("pds")
    return (str(script),) if script.exists() else (sys.executable, "-m", "pds")


PDS: Final = _program()
"""The words that run `pds`, with the interpreter that runs this program."""


class ServerFailed(Exception):
    """A server did not start; the message says where its log is."""


@dataclass(slots=True, frozen=True)
class Launch:
    """How to start a server."""

    name: str
    version: str
    command: tuple[str, ...]
    environment: dict[str, str]
    url: str
    plc_url: str
    data: Path
    keeps_data: bool = False

    @property
    def log(self) -> Path:
        """Where it writes what it prints."""
        return self.data.with_suffix(".log")


@dataclass(slots=True, frozen=True)
class Server:
    """A server that answers requests."""

    name: str
    version: str
    url: str
    plc_url: str
    pid: int


def reference(directory: Path) -> Launch:
    """The reference PDS in `directory`, with our own boot script. Raises `InstallFailed`."""
    version = installed_version(directory)
    data, port, plc_port = _fresh_data("reference"), _free_port(), _free_port()
    boot = _boot_directory(directory)
    return Launch(
        "reference",
        f"@atproto/pds {version}",
        (str(node_program(directory)), str(boot / "serve.mjs")),
        _environment(data, port, plc_port),
        f"http://127.0.0.1:{port}",
        f"http://127.0.0.1:{plc_port}",
        data,
    )


def holdfast() -> Launch:
    """Holdfast from this tree, with the interpreter that runs this program."""
    data, port, plc_port = _fresh_data("holdfast"), _free_port(), _free_port()
    options = ("--port", str(port), "--plc-port", str(plc_port), "--data", str(data))
    return Launch(
        "holdfast",
        _our_version(),
        (*PDS, "dev", *options),
        _environment(data, port, plc_port),
        f"http://127.0.0.1:{port}",
        f"http://127.0.0.1:{plc_port}",
        data,
    )


def on_directory(data: Path) -> Launch:
    """Holdfast on a data directory that is there already, and stays."""
    port = _free_port()
    return Launch(
        "holdfast",
        _our_version(),
        (*PDS, "serve", "--env-file", os.devnull),
        _environment(data, port, _free_port()),
        f"http://127.0.0.1:{port}",
        "",
        data,
        keeps_data=True,
    )


def hold(owner: str, *, plc_url: str, storage: dict[str, str]) -> Launch:
    """A private hold of `owner`, which is nothing else, with its layers in `storage`."""
    data, port = _fresh_data("hold"), _free_port()
    environment = _environment(data, port, 0)
    del environment["PDS_BLOBSTORE_DISK_LOCATION"]
    url = f"http://localhost:{port}"  # A did:web has no addresses.
    return Launch(
        "hold",
        _our_version(),
        (*PDS, "serve", "--env-file", os.devnull),
        environment
        | storage
        | {
            "PDS_DID_PLC_URL": plc_url,
            "PDS_HOLD_ENABLED": "true",
            "PDS_HOLD_OWNER": owner,
            "PDS_HOLD_PUBLIC_URL": url,
            "PDS_HOLD_STATS_INTERVAL": "2000",
        },
        url,
        plc_url,
        data,
    )


def readonly(car: Path, *, plc_url: str) -> Launch:
    """Our read-only server on a CAR file that was never loaded, every signature verified."""
    data, port = _fresh_data("readonly"), _free_port()
    options = ("--car", str(car), "--data", str(data), "--port", str(port), "--verify", "strict")
    own = {"PDS_DID_PLC_URL": plc_url, "PDS_DISABLE_SSRF_PROTECTION": "true"}
    return Launch(
        "readonly",
        _our_version(),
        (*PDS, "readonly", *options),
        {**_caller(), **own, "LOG_ENABLED": "false"},
        f"http://127.0.0.1:{port}",
        plc_url,
        data,
    )


def _our_version() -> str:
    python = ".".join(map(str, sys.version_info[:3]))
    return f"Holdfast {metadata.version(DISTRIBUTION)}, Python {python}"


@contextlib.contextmanager
def running(launch: Launch) -> Iterator[Server]:
    """Start a server, wait until it answers, and end it at the end of the block."""
    with started(launch) as process:
        wait_until_ready(process, launch)
        yield Server(launch.name, launch.version, launch.url, launch.plc_url, process.pid)


@contextlib.contextmanager
def started(launch: Launch) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server, and end it with SIGTERM at the end of the block. Most data is deleted."""
    with launch.log.open("wb") as output:
        process = subprocess.Popen(
            launch.command,
            env=launch.environment,
            cwd=WORK.parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)
        if not launch.keeps_data:
            shutil.rmtree(launch.data, ignore_errors=True)


def _environment(data: Path, port: int, plc_port: int) -> dict[str, str]:
    """Both servers as in production: neither dev mode nor logs, which would slow them down."""
    return _caller() | {
        "NODE_ENV": "production",
        "LOG_ENABLED": "false",
        "PLC_PORT": str(plc_port),
        "PDS_PORT": str(port),
        "PDS_HOSTNAME": "pds.test",
        "PDS_SERVICE_HANDLE_DOMAINS": ".test",
        "PDS_DATA_DIRECTORY": str(data),
        "PDS_BLOBSTORE_DISK_LOCATION": str(data / "blobs"),
        "PDS_DID_PLC_URL": f"http://localhost:{plc_port}",
        "PDS_DISABLE_SSRF_PROTECTION": "true",
        "PDS_INVITE_REQUIRED": "false",
        "PDS_MAX_REPO_IMPORT_SIZE": str(1024**3),
        "PDS_JWT_SECRET": SECRET,
        "PDS_ADMIN_PASSWORD": SECRET,
        "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": SECRET,
    }


def _caller() -> dict[str, str]:
    """The caller's environment, without what would change one of the servers."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PDS_", "LOG_", "NODE_"))}


def _boot_directory(directory: Path) -> Path:
    """A directory with our boot script beside the packages."""
    boot = WORK / "boot"
    shutil.rmtree(boot, ignore_errors=True)
    copy_scripts(directory, boot)
    return boot


def _fresh_data(name: str) -> Path:
    data = WORK / name
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    return data


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(process: subprocess.Popen[bytes], launch: Launch) -> None:
    """Wait for the first answer. Raises `ServerFailed`."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerFailed(f"{launch.name} ended with {process.returncode}; see {launch.log}")
        if _answers(launch.url):
            return
        time.sleep(0.01)
    raise ServerFailed(f"{launch.name} does not answer; see {launch.log}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/xrpc/_health", timeout=2):
            return True
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
