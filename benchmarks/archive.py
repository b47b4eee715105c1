"""What is done with CAR files: moving one into a server, serving it read-only, looking into it."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import orjson

from benchmarks import load
from benchmarks.cars import Owner, write_car
from benchmarks.memory import memory_of
from benchmarks.scenarios import GET_RECORD
from benchmarks.seed import Repo, call, rkeys_of, send
from benchmarks.servers import PDS, Launch, Server, ServerFailed, readonly, started
from pds.service_auth.jwt import create_service_jwt

_LISTENING: Final = "Serving on"
_LOADED: Final = "1 loaded"
"""What the read-only server prints when it answers, and when it has loaded the one file."""
_LOAD_SECONDS: Final = 300
_LOOK_SECONDS: Final = 0.01
_LOOKS_PER_MEMORY: Final = 20
_IMPORT_SECONDS: Final = 1800


@dataclass(slots=True, frozen=True)
class Cars:
    """The files of a round, the same for every server."""

    owner: Owner
    loaded: Path
    """The one that is imported, loaded and inspected."""
    served: Path
    """The one that the read-only server is asked for records of."""
    served_records: int

    @classmethod
    def write(cls, directory: Path, name: str, *, loaded: int, served: int) -> Cars:
        """Make them, with so many records; they are somebody's who is called `name`."""
        owner = Owner.new(name)
        return cls(
            owner,
            write_car(directory / f"{name}-loaded.car", owner, loaded),
            write_car(directory / f"{name}-served.car", owner, served),
            served,
        )


@dataclass(slots=True)
class CarFigures:
    """What one server has done with the files, round by round. Only ours does all of it."""

    import_s: list[float] = field(default_factory=list)
    load_s: list[float] = field(default_factory=list)
    load_mib: list[float] = field(default_factory=list)
    """Resident memory of all processes together, at most, while the file was loaded."""
    inspect_s: list[float] = field(default_factory=list)
    reads_s: list[float] = field(default_factory=list)
    """Answers to getRecord in a second, from the read-only server."""


def measure_cars(server: Server, cars: Cars, figures: CarFigures, seconds: float) -> None:
    """Let a server import a file; if it is ours, do the rest, loads for `seconds`.

    Raises `RequestFailed`, `ServerFailed` and `LoadFailed`.
    """
    cars.owner.register(server)
    figures.import_s.append(_import(server, cars))
    if server.name == "holdfast":
        load_s, load_mib = _load(server, cars.loaded)
        figures.load_s.append(load_s)
        figures.load_mib.append(load_mib)
        figures.inspect_s.append(_inspect(cars.loaded))
        figures.reads_s.append(_read(server, cars, seconds).requests_s)


def _import(server: Server, cars: Cars) -> float:
    """Move the owner in. Return how many seconds the import of the repository took."""
    owner = cars.owner
    nsid = "com.atproto.server.createAccount"
    described = call(server, "com.atproto.server.describeServer")
    token = create_service_jwt(
        owner.key, iss=owner.did, aud=described["did"], now_s=int(time.time()), lxm=nsid
    )
    body: dict[str, object] = {
        "did": owner.did,
        "handle": owner.name + described["availableUserDomains"][0],
        "email": f"{owner.name}@example.com",
        "password": "correct-horse-battery",
    }
    session = call(server, nsid, body, token)
    request = urllib.request.Request(
        f"{server.url}/xrpc/com.atproto.repo.importRepo",
        data=cars.loaded.read_bytes(),
        headers={
            "content-type": "application/vnd.ipld.car",
            "authorization": f"Bearer {session['accessJwt']}",
        },
    )
    begun = time.monotonic()
    send(request, timeout_s=_IMPORT_SECONDS)
    return time.monotonic() - begun


def _load(server: Server, car: Path) -> tuple[float, float]:
    """Seconds in which a read-only server that answers loads a file, and its memory in MiB."""
    launch = readonly(car, plc_url=server.plc_url)
    with started(launch) as process:
        _wait_until_said(_LISTENING, launch, process)
        begun = time.monotonic()
        peak_mib = _wait_until_said(_LOADED, launch, process)
        return time.monotonic() - begun, peak_mib


def _wait_until_said(line: str, launch: Launch, process: subprocess.Popen[bytes]) -> float:
    """Return how much memory was resident at most meanwhile, in MiB."""
    deadline, peak_mib = time.monotonic() + _LOAD_SECONDS, 0.0
    for turn in count():
        if line in launch.log.read_text():
            return peak_mib
        if process.poll() is not None or time.monotonic() > deadline:
            break
        # Looked at now and then only, for looking takes time from what is measured.
        if turn % _LOOKS_PER_MEMORY == 0:
            peak_mib = max(peak_mib, memory_of(process.pid).now)
        time.sleep(_LOOK_SECONDS)
    raise ServerFailed(f"the read-only server has not said {line!r}; see {launch.log}")


def _inspect(car: Path) -> float:
    begun = time.monotonic()
    done = subprocess.run(
        [*PDS, "car", "inspect", "--json", str(car)], capture_output=True, check=True, timeout=300
    )
    seconds = time.monotonic() - begun
    orjson.loads(done.stdout)
    return seconds


def _read(server: Server, cars: Cars, seconds: float) -> load.Result:
    """getRecord from a read-only server, as from the full one."""
    repo = Repo(cars.owner.did, "", "", rkeys_of(cars.served_records), 0)
    launch = readonly(cars.served, plc_url=server.plc_url)
    with started(launch) as process:
        # It answers before it has loaded anything.
        _wait_until_said(_LOADED, launch, process)
        archive = Server(launch.name, launch.version, launch.url, launch.plc_url, process.pid)
        return load.run(archive, GET_RECORD, repo, seconds)
