"""The client for an S3 server, before it sends anything."""

from __future__ import annotations

import pytest
from botocore.loaders import JSONFileLoader

from actor_store.blob_store.s3_client import S3Client
from actor_store.blob_store.s3_location import S3Location

LOCATION = S3Location("photos", access_key_id="key", secret_access_key="secret")


async def test_a_second_client_reads_no_megabytes_of_descriptions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = S3Client(LOCATION), S3Client(LOCATION)
    one = await first.calls()

    def read(_loader: JSONFileLoader, path: str) -> None:
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr(JSONFileLoader, "load_file", read)
    two = await second.calls()
    assert two is not one
    await first.close()
    await second.close()
