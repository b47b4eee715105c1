"""A hold and a PDS as two processes, a registry between them, and S3 or the disk below."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from repo.keys import parse_did_key
from tests.e2e.checked_repo import SigningKey, check_export
from tests.e2e.forked import ForkedServer, Zygote
from tests.e2e.promises import Person, sign_up
from tests.e2e.registry import PART_BYTES, Image, Registry, digest_of
from tests.pds.api.firehose import Message, Mirror
from tests.pds.readonly import conftest as readonly
from tests.processes import (
    ServerProcess,
    free_port,
    run_pds,
    serve,
)
from tests.seaweedfs import SeaweedFs

IMAGE: Final = Image.make("my-image", 2 * PART_BYTES + 1000, 300, PART_BYTES + 7)
CREW: Final = "io.atcr.hold.crew"
STATS: Final = "io.atcr.hold.stats"
LAYER: Final = "io.atcr.hold.layer"
GET_BLOB: Final = "com.atproto.sync.getBlob"
_PATIENCE_S: Final = 20.0


@dataclass(slots=True)
class HoldProcess:
    """A server that is nothing but a hold, and its settings."""

    env: dict[str, str]
    port: int
    log_file: Path
    process: ServerProcess

    @classmethod
    def start(cls, directory: Path, *, port: int, env: dict[str, str]) -> HoldProcess:
        """Start it, and write its settings to a file for commands."""
        directory.mkdir(exist_ok=True)
        lines = "".join(f"{name}={value}\n" for name, value in env.items())
        (directory / "pds.env").write_text(lines + f"PDS_PORT={port}\n")
        log_file = directory / "hold.log"
        return cls(env, port, log_file, serve(env, port=port, log_file=log_file))

    def start_again(self) -> None:
        """Start it on the same data, after it has ended."""
        self.process = serve(self.env, port=self.port, log_file=self.log_file)

    def run(self, *args: str) -> str:
        """Run `pds hold …` with its settings to its success; return its output."""
        done = run_pds("hold", *args, "--env-file", str(self.log_file.with_name("pds.env")))
        assert done.returncode == 0, done.stderr
        return done.stdout


@dataclass(slots=True)
class Network:
    """A PDS with its users, a private hold that everybody may join, and a registry."""

    users: ForkedServer
    hold: HoldProcess
    registry: Registry
    captain: Person

    async def sign_up(self, name: str) -> Person:
        """Make an account on the PDS."""
        return await sign_up(self.users, self.registry.http, name)

    def restart_after_a_crash(self) -> None:
        """Kill both processes at once, and start them on the same data."""
        self.users.kill()
        self.hold.process.kill()
        self.users.start()
        self.hold.start_again()


@pytest.fixture
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The variables of a place for blobs: a real S3 server, or a directory."""
    if request.param == "disk":
        return {"PDS_BLOBSTORE_DISK_LOCATION": str(tmp_path / "hold" / "blobs")}
    seaweedfs: SeaweedFs = request.getfixturevalue("seaweedfs")
    return seaweedfs.environ((await seaweedfs.create_bucket()).bucket)


@pytest.fixture
def users(forking: Zygote, tmp_path: Path) -> Iterator[ForkedServer]:
    """A PDS with its PLC directory, which the test may kill and start again."""
    server = ForkedServer(forking, tmp_path / "users", free_port(), free_port())
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def network(
    users: ForkedServer, storage: dict[str, str], tmp_path: Path
) -> AsyncIterator[Network]:
    port = free_port()
    url, did = f"http://localhost:{port}", f"did:web:localhost%3A{port}"
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        registry = Registry(http, users.url, url, did)
        captain = await sign_up(users, http, "skipper")
        env = {
            "PDS_HOSTNAME": "localhost",
            "PDS_DEV_MODE": "true",
            "PDS_DATA_DIRECTORY": str(tmp_path / "hold"),
            "PDS_DID_PLC_URL": f"http://localhost:{users.plc_port}",
            "PDS_HOLD_ENABLED": "true",
            "PDS_HOLD_OWNER": captain.did,
            "PDS_HOLD_PUBLIC_URL": url,
            "PDS_HOLD_ALLOW_ALL_CREW": "true",
            "PDS_HOLD_STATS_INTERVAL": "100",
            **storage,
        }
        hold = HoldProcess.start(tmp_path / "hold", port=port, env=env)
        network = Network(users, hold, registry, captain)
        yield network
        network.users.kill()
        network.hold.process.kill()
        assert "Traceback" not in hold.process.log()


async def stats_records(registry: Registry) -> list[dict[str, Any]]:
    """The stats in the hold's repository."""
    listed = await registry.get(
        "com.atproto.repo.listRecords", repo=registry.hold_did, collection=STATS
    )
    return [each["value"] for each in listed.body["records"]]


async def wait_for_stats(registry: Registry, *, pulls: int, pushes: int) -> dict[str, Any]:
    """Poll until the counts are in the repository; return their record."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            records = await stats_records(registry)
            counts = [(each["pullCount"], each["pushCount"]) for each in records]
            if counts == [(pulls, pushes)]:
                return records[0]
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("storage", ["s3", "disk"], indirect=True)
async def test_an_image_is_pushed_and_pulled_and_its_stats_outlive_a_crash(
    network: Network,
) -> None:
    registry = network.registry
    pusher, puller = await network.sign_up("pusher"), await network.sign_up("puller")

    first, second = await registry.request_crew(pusher), await registry.request_crew(pusher)
    assert (first.status, first.body["status"]) == (201, "created")
    assert (second.status, second.body["status"]) == (200, "already_member")
    assert (await registry.request_crew(puller)).status == 201

    pushed = await registry.push(pusher, IMAGE)
    assert pushed.status == 200, pushed
    assert (pushed.body["operation"], pushed.body["layersCreated"]) == ("push", 3)
    assert await registry.pull(puller, pusher, IMAGE) == list(IMAGE.blobs)
    assert await registry.pull(network.captain, pusher, IMAGE) == list(IMAGE.blobs)

    record = await wait_for_stats(registry, pulls=2, pushes=1)
    assert (record["ownerDid"], record["repository"]) == (pusher.did, IMAGE.repository)

    network.restart_after_a_crash()

    assert await stats_records(registry) == [record]
    asked = {"did": pusher.did, "repo": IMAGE.repository}
    told = (await registry.get("io.atcr.hold.getStats", **asked)).body
    assert (told["pullCount"], told["pushCount"]) == (2, 1)
    assert await registry.pull(puller, pusher, IMAGE) == list(IMAGE.blobs)
    assert (await wait_for_stats(registry, pulls=3, pushes=1))["lastPull"] > record["lastPull"]
    quota = (await registry.get("io.atcr.hold.getQuota", userDid=pusher.did)).body
    assert (quota["uniqueBlobs"], quota["totalSize"]) == (3, sum(map(len, IMAGE.layers)))


@pytest.mark.parametrize("storage", ["disk"], indirect=True)
async def test_an_outsider_learns_nothing_until_the_captain_adds_them(network: Network) -> None:
    registry, digest = network.registry, digest_of(IMAGE.config)
    outsider = await network.sign_up("outsider")
    await registry.push_blob(network.captain, IMAGE.config)

    for cid in (digest, digest_of(b"nothing like it")):
        asked = {"did": network.captain.did, "cid": cid}
        assert (await registry.get(GET_BLOB, outsider, **asked)).error == (403, "Forbidden")
        assert (await registry.get(GET_BLOB, **asked)).status == 401
    refused = await registry.post("io.atcr.hold.initiateUpload", outsider, digest="temp")
    assert refused.error == (403, "Forbidden")
    assert refused.body["message"] == (
        "access denied for blob:write: user is not a crew member (required: blob:write)"
    )

    added = json.loads(
        network.hold.run("crew", "add", outsider.did, "--permissions", "read", "--json")
    )
    assert (added["change"], added["permissions"]) == ("created", ["blob:read"])

    assert await registry.pull_blob(outsider, network.captain, digest) == IMAGE.config
    refused = await registry.post("io.atcr.hold.initiateUpload", outsider, digest="temp")
    assert "crew member lacks permission" in refused.body["message"]

    network.hold.run("crew", "remove", outsider.did, "--yes")
    asked = {"did": network.captain.did, "cid": digest}
    assert (await registry.get(GET_BLOB, outsider, **asked)).error == (403, "Forbidden")


@pytest.mark.parametrize("storage", ["s3"], indirect=True)
async def test_its_repository_is_like_any_other(network: Network, tmp_path: Path) -> None:
    registry = network.registry
    await registry.push(network.captain, IMAGE)
    await wait_for_stats(registry, pulls=0, pushes=1)

    async with registry.http.get(f"{registry.hold}/.well-known/did.json") as response:
        document = await response.json()
    key = SigningKey.of_document(document)
    (method,) = document["verificationMethod"]
    mirror = Mirror(parse_did_key(f"did:key:{method['publicKeyMultibase']}"))
    car = (await registry.get("com.atproto.sync.getRepo", did=registry.hold_did)).body
    exported = check_export(car, key)
    await follow(registry, mirror, until_rev=exported.commit.rev)

    assert {path: cid.raw for path, cid in mirror.records.items()} == exported.records
    collections = [path.partition("/")[0] for path in exported.records]
    assert [collections.count(name) for name in (CREW, LAYER, STATS)] == [1, 3, 1]
    (member,) = (exported.value(path) for path in exported.records if path.startswith(CREW))
    assert (member["member"], member["role"]) == (network.captain.did, "owner")

    (tmp_path / "cars").mkdir()
    (tmp_path / "cars" / "hold.car").write_bytes(car)
    archive = readonly.start(tmp_path / "cars", tmp_path / "archive.log", *readonly.OFFLINE)
    try:
        url = f"{archive.process.url}/xrpc/com.atproto.repo.listRecords"
        params = {"repo": registry.hold_did, "collection": CREW}
        async with registry.http.get(url, params=params) as response:
            served = await response.json()
        listed = await registry.get("com.atproto.repo.listRecords", **params)
        assert served["records"] == listed.body["records"]
    finally:
        archive.process.kill()


async def follow(registry: Registry, mirror: Mirror, *, until_rev: str) -> None:
    """Follow the firehose from its start until a commit, checking each."""
    url = f"{registry.hold}/xrpc/com.atproto.sync.subscribeRepos"
    async with registry.http.ws_connect(url, params={"cursor": "0"}, max_msg_size=0) as socket:
        while mirror.rev != until_rev:
            message = Message.parse(await socket.receive_bytes(timeout=_PATIENCE_S))
            mirror.follow(message)


@pytest.mark.parametrize("storage", ["disk"], indirect=True)
async def test_commands_and_page_tell_of_the_hold(network: Network) -> None:
    registry = network.registry
    await registry.push(network.captain, IMAGE)
    await wait_for_stats(registry, pulls=0, pushes=1)

    status = json.loads(network.hold.run("status", "--json"))
    assert (status["did"], status["url"]) == (registry.hold_did, registry.hold)
    assert (status["reachable"], status["fault"]) == (True, None)
    assert status["captain"]["did"] == network.captain.did
    assert (status["blobs"], status["bytes"]) == (4, sum(map(len, IMAGE.blobs)))
    (member,) = map(json.loads, network.hold.run("crew", "list", "--json").splitlines())
    assert member["did"] == network.captain.did
    (stats,) = map(json.loads, network.hold.run("stats", "--json").splitlines())
    assert (stats["repository"], stats["pushCount"]) == (IMAGE.repository, 1)
    async with registry.http.get(f"{registry.hold}/hold") as response:
        page = await response.text()
    assert "This hold is private." in page
    assert network.captain.did not in page

    assert network.hold.process.stop() == 0
    (stats_of_files,) = map(json.loads, network.hold.run("stats", "--json").splitlines())
    assert stats_of_files == stats
    status = json.loads(network.hold.run("status", "--json"))
    assert (status["did"], status["reachable"]) == (registry.hold_did, False)
