"""A real server whose S3 does not answer: it starts, and says so."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.processes import clean_environment, free_port
from tests.warm_python import start_python

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60.0


def test_a_server_starts_without_its_bucket_and_logs_what_to_do(tmp_path: Path) -> None:
    env = clean_environment(
        {
            "PYTHONPATH": str(ROOT),
            "PDS_PORT": str(free_port()),
            "PDS_HOSTNAME": "localhost",
            "PDS_DEV_MODE": "true",
            "PDS_DATA_DIRECTORY": str(tmp_path / "data"),
            "PDS_JWT_SECRET": "jwt-secret",
            "PDS_ADMIN_PASSWORD": "admin-pass",
            "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": "11" * 32,
            "PDS_BLOBSTORE_S3_BUCKET": "blobs",
            "PDS_BLOBSTORE_S3_ENDPOINT": f"http://127.0.0.1:{free_port()}",
            "PDS_BLOBSTORE_S3_ACCESS_KEY_ID": "key",
            "PDS_BLOBSTORE_S3_SECRET_ACCESS_KEY": "secret-of-s3",
        }
    )
    log = tmp_path / "log"
    with log.open("wb") as file:
        server = start_python(
            [sys.executable, "-m", "pds", "serve"], env=env, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + READY_S
        while "ready" not in log.read_text() and time.monotonic() < deadline:
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)
        text = log.read_text()
    finally:
        server.terminate()
        assert server.wait(READY_S) == 0
    assert "blob bucket" in text
    assert "See that the S3 server runs" in text
    assert "in the bucket blobs" in text
    assert "secret-of-s3" not in text
