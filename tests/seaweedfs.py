"""A real S3 server for tests: SeaweedFS on free ports of loopback, in a directory of its own."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from botocore.retries.standard import ExponentialBackoff

from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_location import S3Location
from tests.processes import free_port
from tests.tcp_proxy import TcpProxy

_WEED = Path(sys.executable).with_name("weed")
_READY_S = 30.0
PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port"),
    *("filer.port.grpc", "s3.port", "s3.port.grpc", "admin.port", "admin.port.grpc"),
)
_OPTIONS = (
    *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-admin.ui=false"),
    *("-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"),
    # Each bucket has volumes of its own; by default, the free disk space limits their number.
    "-volume.max=10000",
)
_numbers = itertools.count(1)


@dataclass
class SeaweedFs:
    """A SeaweedFS process. Its data outlive it, in `directory`."""

    directory: Path
    ports: dict[str, int]
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] = field(init=False)
    free: list[str] = field(default_factory=list)
    """Empty buckets that tests have used; a new one takes half a second, and volumes of its own."""
    lent: list[str] = field(default_factory=list)
    access_key_id: str = "test-key"
    secret_access_key: str = "test-secret"
    read_only_key_id: str = "test-reader"
    """With the same secret: may list and read, and no more."""

    @classmethod
    def start(cls, directory: Path, *options: str) -> SeaweedFs:
        """Start a server in an empty directory, with more options, and wait until it answers."""
        server = cls(directory, {name: free_port() for name in PORTS}, options)
        server.start_again()
        return server

    @property
    def port(self) -> int:
        """The port of the S3 API."""
        return self.ports["s3.port"]

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def location(self, bucket: str) -> S3Location:
        """A bucket of this server, which need not exist."""
        return S3Location(
            bucket=bucket,
            region="us-east-1",
            endpoint=self.url,
            force_path_style=True,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
        )

    def environ(self, bucket: str) -> dict[str, str]:
        """The variables that make a PDS keep its blobs in a bucket of this server."""
        return {
            "PDS_BLOBSTORE_S3_BUCKET": bucket,
            "PDS_BLOBSTORE_S3_REGION": "us-east-1",
            "PDS_BLOBSTORE_S3_ENDPOINT": self.url,
            "PDS_BLOBSTORE_S3_FORCE_PATH_STYLE": "true",
            "PDS_BLOBSTORE_S3_ACCESS_KEY_ID": self.access_key_id,
            "PDS_BLOBSTORE_S3_SECRET_ACCESS_KEY": self.secret_access_key,
        }

    @property
    def credentials(self) -> dict[str, str]:
        """The variables by which a replica in a bucket of this server is reached."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }

    def replica_url(self, bucket: str, *, port: int | None = None) -> str:
        """The URL of a replica in a bucket, which is reached by another port if that is given."""
        endpoint = f"http://127.0.0.1:{port or self.port}"
        return f"s3://{bucket}/pds?endpoint={endpoint}&region=us-east-1&force-path-style=true"

    def start_again(self) -> None:
        """Start the process anew on the same ports and data, after it has ended."""
        config = self.directory / "identities.json"
        config.write_text(json.dumps({"identities": self._identities()}))
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 (a server of our own)
                [
                    *(str(_WEED), "-logtostderr=true", "mini", f"-dir={data}", *_OPTIONS),
                    *(f"-{name}={port}" for name, port in self.ports.items()),
                    *(f"-s3.config={config}", f"-filer.localSocket={self.directory / 'filer'}"),
                    *(f"-s3.localSocket={self.directory / 's3'}", *self.options),
                ],
                cwd=self.directory,
                env={
                    **os.environ,
                    "HOME": str(self.directory),
                    "TMPDIR": str(self.directory),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait_until_ready()

    def pause(self) -> None:
        """Hang: connections are taken, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End at once. Harmless once it has ended."""
        self.process.kill()
        self.process.wait(_READY_S)
        for port in self.ports.values():
            for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 (its own)
                socket.unlink(missing_ok=True)

    async def create_bucket(self, name: str | None = None) -> S3Location:
        """Create a bucket; without a name, it may be one that an earlier test has used."""
        if name is None and self.free:
            self.lent.append(self.free.pop())
            return self.location(self.lent[-1])
        location = self.location(name or f"bucket-{os.getpid()}-{next(_numbers)}")
        bucket = S3Bucket(location)
        try:
            async with bucket._client.calling() as calls:
                await calls.create_bucket(Bucket=location.bucket)
        finally:
            await bucket.close()
        if name is None:
            self.lent.append(location.bucket)
        return location

    def take_back(self) -> None:
        """Empty the buckets that are in use, for the tests to come."""
        while self.lent:
            name = self.lent.pop()
            with suppress(urllib.error.URLError, OSError):
                self._empty(name)
                self.free.append(name)

    def _empty(self, bucket: str) -> None:
        """Remove everything in a bucket, unfinished uploads included, behind the S3 API."""
        directory = f"http://127.0.0.1:{self.ports['filer.port']}/buckets/{bucket}/"
        while True:
            request = urllib.request.Request(directory, headers={"Accept": "application/json"})
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                entries = json.load(answer)["Entries"] or ()
            if not entries:
                return
            for entry in entries:
                name = urllib.parse.quote(entry["FullPath"].rpartition("/")[2])
                url = f"{directory}{name}?recursive=true&ignoreRecursiveError=true"
                with urllib.request.urlopen(  # noqa: S310
                    urllib.request.Request(url, method="DELETE"),  # noqa: S310
                    timeout=10,
                ):
                    pass

    def _identities(self) -> list[dict[str, object]]:
        may: dict[str, tuple[str, list[str]]] = {
            "test": (self.access_key_id, ["Admin", "Read", "Write", "List", "Tagging"]),
            "reader": (self.read_only_key_id, ["Read", "List"]),
        }
        return [
            {
                "name": name,
                "credentials": [{"accessKey": key_id, "secretKey": self.secret_access_key}],
                "actions": actions,
            }
            for name, (key_id, actions) in may.items()
        ]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/status", timeout=1):  # noqa: S310
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
        self.kill()
        log = (self.directory / "log").read_text(errors="replace")
        raise TimeoutError(f"SeaweedFS was not ready in time:\n{log[-3000:]}")


@pytest.fixture
def seaweedfs(seaweedfs_process: SeaweedFs) -> Iterator[SeaweedFs]:
    """A server that the tests of this process share. Who stops it, starts one of his own."""
    yield seaweedfs_process
    seaweedfs_process.take_back()


@pytest.fixture(scope="session")
def seaweedfs_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFs]:
    """The server for a session, whose named buckets stay as they are between tests."""
    server = SeaweedFs.start(tmp_path_factory.mktemp("seaweedfs"))
    yield server
    server.kill()


@pytest.fixture
async def bucket_location(seaweedfs: SeaweedFs) -> S3Location:
    """A new, empty bucket."""
    return await seaweedfs.create_bucket()


@pytest.fixture
async def bucket(bucket_location: S3Location) -> AsyncIterator[S3Bucket]:
    """A new, empty bucket, opened."""
    bucket = S3Bucket(bucket_location)
    yield bucket
    await bucket.close()


@pytest.fixture
def quick_s3_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes clients ask again 20 times as soon."""
    delay_amount = ExponentialBackoff.delay_amount

    def delay_a_little(self: ExponentialBackoff, context: object) -> float:
        return float(delay_amount(self, context)) / 20

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", delay_a_little)


@pytest.fixture
async def proxy(
    seaweedfs: SeaweedFs,
    quick_s3_retries: None,
) -> AsyncIterator[TcpProxy]:
    """What a test may reach the server through, with clients that ask again 20 times as soon."""
    async with TcpProxy(seaweedfs.port).running() as proxy:
        yield proxy
