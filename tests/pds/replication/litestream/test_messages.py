"""What Litestream's messages are taken to mean: each below was seen."""

from __future__ import annotations

import pytest

from pds.replication.errors import Trouble
from pds.replication.litestream.messages import printable, trouble_of

_LIST = "sync database: db sync: check database behind replica: get replica position: "
_S3 = f"{_LIST}operation error S3: ListObjectsV2, "

SEEN = [
    ("database not found: /pds/account.sqlite", Trouble.NOT_REGISTERED),
    ("sync database: replica sync: no position, waiting for data", Trouble.DATABASE_GONE),
    (
        (
            "failed to unregister database: close db: cannot verify wal state: open wal file:"
            " stat /pds/x.sqlite-wal: no such file or directory"
        ),
        Trouble.DATABASE_GONE,
    ),
    (
        (
            "sync database: db sync: check database behind replica: get database position:"
            " verify ltx file /pds/.x-litestream/ltx/0/0000000000000002-0000000000000002.ltx:"
            " ltx file corrupted: decode page 0: invalid page header flags: 0x5858"
        ),
        Trouble.LOCAL_STATE_DAMAGED,
    ),
    (
        (
            "sync database: db sync: cannot verify wal state: open ltx file /pds/1.ltx:"
            " open /pds/1.ltx: no such file or directory"
        ),
        Trouble.LOCAL_STATE_DAMAGED,
    ),
    ("sync database: db sync: file is not a database (26)", Trouble.DATABASE_DAMAGED),
    ("sync database: db sync: database disk image is malformed (11)", Trouble.DATABASE_DAMAGED),
    (
        (
            "sync database: db sync: create _litestream_seq table: database is locked (5)"
            " (SQLITE_BUSY)"
        ),
        Trouble.DATABASE_BUSY,
    ),
    (
        (
            "sync database: db sync: sync: stage-write ltx file /pds/1.ltx.tmp: disk full:"
            " write /pds/1.ltx.tmp: no space left on device"
        ),
        Trouble.DISK_FULL,
    ),
    (
        (
            "sync database: replica sync: write ltx file: write /backup/1.ltx.tmp:"
            " no space left on device"
        ),
        Trouble.REPLICA_FULL,
    ),
    (
        (
            f"{_S3}https response error StatusCode: 404, RequestID: 1, HostID: ,"
            " NoSuchBucket: The specified bucket does not exist"
        ),
        Trouble.REPLICA_REFUSED,
    ),
    (
        (
            f"{_S3}https response error StatusCode: 403, RequestID: 1, HostID: ,"
            " api error SignatureDoesNotMatch: Check your key"
        ),
        Trouble.REPLICA_REFUSED,
    ),
    (
        (
            f"{_S3}get identity: get credentials: failed to refresh cached credentials,"
            " no EC2 IMDS role found, operation error ec2imds: GetMetadata"
        ),
        Trouble.REPLICA_REFUSED,
    ),
    (f"{_LIST}open /etc/passwd/x/ltx/0: not a directory", Trouble.REPLICA_REFUSED),
    ('invalid replica url: unsupported replica URL scheme: "foo"', Trouble.REPLICA_REFUSED),
    (
        (
            f"{_S3}https response error StatusCode: 0, RequestID: , HostID: , canceled,"
            " context deadline exceeded"
        ),
        Trouble.REPLICA_UNAVAILABLE,
    ),
    (
        (
            f"{_S3}https response error StatusCode: 503, RequestID: 1, HostID: ,"
            " api error SlowDown: Please reduce your request rate"
        ),
        Trouble.REPLICA_UNAVAILABLE,
    ),
    ("sync database: db sync: open /pds/x.sqlite: permission denied", Trouble.FORBIDDEN),
    ("sync database: wait for db sync executor: context deadline exceeded", Trouble.TIMED_OUT),
    ("something new", Trouble.OTHER),
]


@pytest.mark.parametrize(("message", "trouble"), SEEN)
def test_a_message_is_recognised(message: str, trouble: Trouble) -> None:
    assert trouble_of(message) is trouble


def test_passwords_in_urls_are_not_printed() -> None:
    message = "invalid replica url: sftp://user:p%40ss@host/x and https://user:other@host"
    assert printable(message) == (
        "invalid replica url: sftp://user:***@host/x and https://user:***@host"
    )


def test_a_message_has_a_bounded_length() -> None:
    assert len(printable("x" * 10_000)) < 1000
