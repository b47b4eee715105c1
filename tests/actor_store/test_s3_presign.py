"""Presigned URLs, used by a client that knows nothing of S3."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from yarl import URL

from actor_store.blob_store.base import BlobStoreMisconfigured
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_location import S3Location
from actor_store.blob_store.s3_objects import S3Part
from tests.actor_store.support import collect
from tests.seaweedfs import SeaweedFs

KEYS = ("plain", "blocks/did:plc:abc/bafy", "a key+with &?=%25/ä~'(1)")
TYPE = {"response-content-type": "application/octet-stream"}


_PROGRAM = """
import datetime, json, pathlib, sys
count = pathlib.Path(sys.argv[1])
key = f"key{len(count.read_bytes()) if count.exists() else 0}"
with count.open("ab") as file:
    file.write(b"x")
ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)
print(json.dumps({"Version": 1, "AccessKeyId": key, "SecretAccessKey": "secret",
                  "SessionToken": f"token-{key}", "Expiration": ends.isoformat()}))
"""


async def ask(
    url: str,
    method: str = "GET",
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes, Any]:
    target = URL(url, encoded=True)
    async with (
        ClientSession() as client,
        client.request(method, target, data=data, headers=headers) as answer,
    ):
        return answer.status, await answer.read(), answer.headers


def _server(handler: Callable[[web.Request], Awaitable[web.Response]]) -> TestServer:
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    return TestServer(app)


@pytest.mark.parametrize("key", KEYS)
async def test_get_and_head_work_for_their_method_only(bucket: S3Bucket, key: str) -> None:
    await bucket.put(key, b"some bytes")
    get = await bucket.presign("GET", key, expires_s=60, query=TYPE)
    head = await bucket.presign("HEAD", key, expires_s=60)
    status, body, headers = await ask(get)
    assert (status, body, headers["Content-Type"]) == (
        200,
        b"some bytes",
        TYPE["response-content-type"],
    )
    status, _, headers = await ask(head, "HEAD")
    assert (status, headers["Content-Length"]) == (200, "10")
    assert (await ask(head))[0] == 403


async def test_a_part_is_uploaded_through_a_url(bucket: S3Bucket) -> None:
    upload_id = await bucket.uploads.create("up/key")
    query = {"partNumber": "1", "uploadId": upload_id}
    url = await bucket.presign("PUT", "up/key", expires_s=60, query=query)
    status, _, headers = await ask(url, "PUT", b"the part")
    assert status == 200
    await bucket.uploads.complete("up/key", upload_id, [S3Part(1, headers["ETag"])])
    stream = await bucket.get("up/key")
    assert stream is not None
    assert await collect(aiter(stream)) == b"the part"


async def test_a_url_that_was_changed_is_refused(bucket: S3Bucket) -> None:
    await bucket.put("a", b"x")
    await bucket.put("b", b"y")
    url = await bucket.presign("GET", "a", expires_s=60)
    assert (await ask(url.replace("/a?", "/b?")))[0] == 403
    assert (await ask(url.replace("Expires=60", "Expires=90")))[0] == 403


async def _base_of(location: S3Location) -> str:
    bucket = S3Bucket(location)
    try:
        return (await bucket.presign("GET", "key", expires_s=60)).partition("?")[0]
    finally:
        await bucket.close()


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "https://photos.s3.eu-west-1.amazonaws.com/key"),
        ({"force_path_style": True}, "https://s3.eu-west-1.amazonaws.com/photos/key"),
        ({"endpoint": "https://s3.example:9000"}, "https://photos.s3.example:9000/key"),
        (
            {"endpoint": "https://s3.example:9000/pre/", "force_path_style": True},
            "https://s3.example:9000/pre/photos/key",
        ),
        ({"endpoint": "https://s3.example/pre"}, "https://photos.s3.example/pre/key"),
        # Neither of these can be a host name.
        ({"endpoint": "http://127.0.0.1:9000"}, "http://127.0.0.1:9000/photos/key"),
        (
            {"bucket": "Old_Bucket", "endpoint": "https://s3.example"},
            "https://s3.example/Old_Bucket/key",
        ),
    ],
)
async def test_the_bucket_stands_where_the_server_looks_for_it(
    settings: dict[str, Any], url: str
) -> None:
    location = S3Location("photos", "eu-west-1", access_key_id="k", secret_access_key="s")
    assert await _base_of(replace(location, **settings)) == url


async def test_a_bucket_in_the_host_name_accepts_the_signature(tmp_path: Path) -> None:
    server = SeaweedFs.start(tmp_path, "-s3.domainName=s3.localhost")
    try:
        location = await server.create_bucket()
        endpoint = f"http://s3.localhost:{server.port}"
        bucket = S3Bucket(replace(location, endpoint=endpoint, force_path_style=False))
        url = await bucket.presign("PUT", KEYS[2], expires_s=60)
        await bucket.close()
        host = urlsplit(url).netloc
        assert host == f"{location.bucket}.s3.localhost:{server.port}"
        # Not every machine resolves names below localhost.
        at_loopback = url.replace(host, f"127.0.0.1:{server.port}")
        assert (await ask(at_loopback, "PUT", b"x", {"Host": host}))[0] == 200
    finally:
        server.kill()


async def test_an_endpoint_with_a_path_accepts_the_signature(
    bucket_location: S3Location, bucket: S3Bucket
) -> None:
    # Behind a proxy, SeaweedFS verifies a decoded path, which differs for other keys.
    await bucket.put(KEYS[0], b"below a path")

    async def strip(request: web.Request) -> web.Response:
        path = request.raw_path.removeprefix("/s3")
        headers = {"Host": request.host, "X-Forwarded-Prefix": "/s3"}
        status, body, _ = await ask(f"{bucket_location.endpoint}{path}", headers=headers)
        return web.Response(status=status, body=body)

    async with _server(strip) as proxy:
        endpoint = str(proxy.make_url("/s3"))
        below = S3Bucket(replace(bucket_location, endpoint=endpoint))
        url = await below.presign("GET", KEYS[0], expires_s=60)
        await below.close()
        assert url.startswith(f"{endpoint}/{bucket_location.bucket}/")
        assert (await ask(url))[:2] == (200, b"below a path")


async def test_a_cdn_takes_the_place_of_the_host_and_asks_the_bucket(
    bucket_location: S3Location,
) -> None:
    """The CDN is a proxy that asks under the server's own name, as one is set up."""

    async def pull(request: web.Request) -> web.Response:
        status, body, _ = await ask(f"{bucket_location.endpoint}{request.raw_path}")
        return web.Response(status=status, body=body)

    async with _server(pull) as cdn:
        bucket = S3Bucket(bucket_location, cdn_url=str(cdn.make_url("/")))
        await bucket.put(KEYS[2], b"through the cdn")
        url = await bucket.presign_download(KEYS[2], expires_s=60, query=TYPE)
        await bucket.close()
        assert url.startswith(f"http://127.0.0.1:{cdn.port}/{bucket_location.bucket}/")
        assert (await ask(url))[:2] == (200, b"through the cdn")


@pytest.fixture
def no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without credentials; returns the file in which a profile may have some."""
    config = tmp_path / "aws-config"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return config


@pytest.fixture
def short_credentials(no_credentials: Path, tmp_path: Path) -> None:
    program = tmp_path / "credentials.py"
    program.write_text(_PROGRAM)
    no_credentials.write_text(
        f"[default]\ncredential_process = {sys.executable} {program} {tmp_path / 'count'}\n"
    )


@pytest.mark.usefixtures("short_credentials")
async def test_credentials_that_expire_are_renewed(bucket_location: S3Location) -> None:
    """A program gives credentials that last a minute: each signature needs new ones."""
    unset = replace(bucket_location, access_key_id=None, secret_access_key=None)
    bucket = S3Bucket(unset)
    try:
        urls = [await bucket.presign("GET", "a", expires_s=60) for _ in range(2)]
    finally:
        await bucket.close()
    found = [parse_qs(urlsplit(url).query) for url in urls]
    keys = [one["X-Amz-Credential"][0].partition("/")[0] for one in found]
    assert keys[0] != keys[1]
    assert [one["X-Amz-Security-Token"][0] for one in found] == [f"token-{key}" for key in keys]


@pytest.mark.usefixtures("no_credentials")
async def test_missing_credentials_are_said(bucket_location: S3Location) -> None:
    unset = replace(bucket_location, access_key_id=None, secret_access_key=None)
    bucket = S3Bucket(unset)
    try:
        for call in (bucket.presign("GET", "a", expires_s=60), bucket.put("a", b"x")):
            with pytest.raises(BlobStoreMisconfigured, match="PDS_BLOBSTORE_S3_ACCESS_KEY_ID"):
                await call
    finally:
        await bucket.close()
