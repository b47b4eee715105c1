"""The S3 server beside a PDS, started with the command of its container."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from actor_store.blob_store.base import BlobStoreMisconfigured
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_location import S3Location
from tests.deploy.files import example_settings, services_of
from tests.processes import free_port
from tests.seaweedfs import PORTS

_READY_S = 60.0


@pytest.fixture
def location(tmp_path: Path) -> Iterator[S3Location]:
    """The bucket of the example, on a server that ends with the test."""
    service = dict(services_of("pds-s3"))["seaweedfs"]
    (tmp_path / "data").mkdir()
    ports = {name: free_port() for name in PORTS}
    # Of an option that is repeated, the last counts.
    moved = {"dir": tmp_path / "data", "ip": "127.0.0.1", "ip.bind": "127.0.0.1", **ports}
    moved |= {f"{part}.localSocket": tmp_path / part for part in ("filer", "s3")}
    command = [
        Path(sys.executable).with_name(*service["entrypoint"]),
        *service["command"],
        *(f"-{name}={value}" for name, value in moved.items()),
    ]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **service["environment"]}
    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen(command, env=env, cwd=tmp_path, stdout=log, stderr=log)  # noqa: S603
    try:
        endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        check = str(service["healthcheck"]["test"][-1])
        _wait_for(check.replace("http://127.0.0.1:8333", endpoint), process)
        settings = example_settings("pds-s3")
        assert settings["PDS_BLOBSTORE_S3_ENDPOINT"] == "http://seaweedfs:8333"
        yield S3Location(
            bucket=settings["PDS_BLOBSTORE_S3_BUCKET"],
            region=settings["PDS_BLOBSTORE_S3_REGION"],
            endpoint=endpoint,
            force_path_style=settings["PDS_BLOBSTORE_S3_FORCE_PATH_STYLE"] == "true",
            access_key_id=settings["PDS_BLOBSTORE_S3_ACCESS_KEY_ID"],
            secret_access_key=settings["PDS_BLOBSTORE_S3_SECRET_ACCESS_KEY"],
        )
    finally:
        process.kill()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        assert process.poll() is None
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline
            time.sleep(0.05)


async def test_it_has_the_bucket_for_who_has_the_secret_of_the_example_and_nobody_else(
    location: S3Location,
) -> None:
    bucket = S3Bucket(location)
    stranger = S3Bucket(replace(location, secret_access_key="guessed"))
    try:
        await bucket.put("blocks/a", b"a picture")
        stream = await bucket.get("blocks/a")
        assert stream is not None
        assert b"".join([chunk async for chunk in stream]) == b"a picture"
        with pytest.raises(BlobStoreMisconfigured):
            await stranger.get("blocks/a")
    finally:
        await bucket.close()
        await stranger.close()
    async with aiohttp.ClientSession() as http:
        without = await http.get(f"{location.endpoint}/{location.bucket}/blocks/a")
        assert without.status == 403
