"""URLs of replicas: what they mean, which are refused and why, and that they show no secret."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from pds.replication.errors import InvalidReplicaUrl, ReplicaRefused
from pds.replication.replica.file_url import FileAddress
from pds.replication.replica.s3_url import S3Address
from pds.replication.replica.sftp_url import BridgeAddress, SftpAddress
from pds.replication.replica.url import ReplicaUrl

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI+/x="


def s3(text: str, **environ: str) -> S3Address:
    address = ReplicaUrl.parse(text, environ=environ).address
    assert isinstance(address, S3Address)
    return address


def sftp(text: str) -> SftpAddress:
    address = ReplicaUrl.parse(text, environ={}).address
    assert isinstance(address, SftpAddress)
    return address


def test_a_directory_is_absolute() -> None:
    url = ReplicaUrl.parse("file:///srv/backup/pds/")
    assert url.address == FileAddress(Path("/srv/backup/pds"))
    assert str(url) == "file:///srv/backup/pds"
    assert url.for_litestream("actors/ab/did:web:a=3A1/store.sqlite") == (
        "file:///srv/backup/pds/actors/ab/did:web:a=3A1/store.sqlite"
    )


def test_a_bucket_has_the_options_that_litestream_takes() -> None:
    address = s3(
        "s3://pds-backup/a/b/?endpoint=https://s3.example.com/&region=eu&forcePathStyle=no"
        "&skip-verify=true&partSize=10485760&storage-class=STANDARD_IA"
    )
    location = address.location({"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "hidden"})
    assert (location.bucket, address.prefix) == ("pds-backup", "a/b/")
    assert (location.endpoint, location.region) == ("https://s3.example.com", "eu")
    assert (location.force_path_style, location.verify_tls) == (False, False)
    told = parse_qs(urlsplit(address.for_litestream("account.sqlite")).query)
    assert told == {
        "endpoint": ["https://s3.example.com"],
        "region": ["eu"],
        "force-path-style": ["false"],
        "skip-verify": ["true"],
        "part-size": ["10485760"],
        "storage-class": ["STANDARD_IA"],
    }


def test_litestream_is_told_what_it_would_else_decide_by_itself() -> None:
    url = s3("s3://pds-backup", LITESTREAM_S3_ENDPOINT="localhost:8333").for_litestream("x.sqlite")
    assert url.startswith("s3://pds-backup/x.sqlite?")
    assert parse_qs(urlsplit(url).query) == {
        "endpoint": ["http://localhost:8333"],
        "region": ["us-east-1"],
        "force-path-style": ["true"],
    }
    assert s3("s3://pds-backup/p").options == {"force-path-style": "false"}


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("s3.example.com", "https://s3.example.com"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("192.168.7.1", "http://192.168.7.1"),
        ("[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_an_endpoint_without_scheme_is_plain_only_nearby(endpoint: str, url: str) -> None:
    assert s3(f"s3://pds-backup/p?endpoint={endpoint}").options["endpoint"] == url


def test_credentials_come_from_the_environment_as_litestream_takes_them() -> None:
    address = s3("s3://pds-backup/p")
    both = {
        "AWS_ACCESS_KEY_ID": "aws",
        "LITESTREAM_ACCESS_KEY_ID": "litestream",
        "LITESTREAM_SECRET_ACCESS_KEY": "hidden",
    }
    location = address.location(both)
    assert (location.access_key_id, location.secret_access_key) == ("aws", "hidden")
    alone = address.location({"AWS_ACCESS_KEY_ID": "aws"})
    assert (alone.access_key_id, alone.secret_access_key) == (None, None)
    assert "hidden" not in f"{location!r} {location}"


def test_an_ssh_server_has_a_user_a_directory_and_keys() -> None:
    address = sftp(
        "sftp://back%40up:p%40ss@[2001:db8::1]:2222/srv/pds%20x/"
        f"?key-path=/etc/key&host-key={HOST_KEY.replace(' ', '%20')}"
    )
    assert (address.host, address.port) == ("2001:db8::1", 2222)
    assert (address.user, address.password) == ("back@up", "p@ss")
    assert (address.directory, address.key_path) == ("/srv/pds x", Path("/etc/key"))
    assert address.host_key == HOST_KEY
    assert sftp("sftp://u@host/~/backup").directory == "backup"
    assert sftp("sftp://u@host/backup").port == 22


def test_litestream_reaches_an_ssh_server_through_a_bridge_only() -> None:
    with pytest.raises(ReplicaRefused, match="sftp_bridge"):
        ReplicaUrl.parse("sftp://u:secret@host/x").for_litestream("account.sqlite")
    url = ReplicaUrl(BridgeAddress(2022, "secret"))
    assert url.most_databases == 200
    assert ReplicaUrl.parse("file:///srv/backup").most_databases is None
    assert url.for_litestream("a b.sqlite") == "sftp://holdfast:secret@127.0.0.1:2022/a%20b.sqlite"


@pytest.mark.parametrize(
    "url",
    [
        ReplicaUrl.parse("sftp://u:secret@host:23/~/x"),
        ReplicaUrl.parse("sftp://u:secret@host/x"),
        ReplicaUrl(BridgeAddress(2022, "secret")),
    ],
)
def test_no_text_of_a_url_shows_a_secret(url: ReplicaUrl) -> None:
    assert "secret" not in f"{url} {url!r}"
    assert str(url).startswith("sftp://")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "of no kind that is known"),
        ("/srv/backup", "of no kind that is known"),
        ("ftp://user:secret@host/x", "of no kind that is known"),
        ("gs://bucket/x", "storage.googleapis.com"),
        ("oss://bucket/x", "aliyuncs"),
        ("abs://account@container/x", "rclone"),
        ("webdavs://user:secret@host/x", "rclone"),
        ("nats://host/x", "rclone"),
        ("https://bucket.s3.amazonaws.com/x", "endpoint=https://server"),
        ("s3://bucket/x\n", "one line"),
        ("s3://bucket/" + "x" * 5000, "one line"),
        ("s3://bucket/a#b", "%23"),
        ("sftp://u:secret#x@host/x", "%23"),
        ("s3://[::1/x", "is none"),
        ("sftp://u@host:port/x", "the port"),
        ("sftp://u:secret/x@host/x", "%2F"),
        ("sftp://u:secret\u2100@host/x", "is none"),
        ("file:relative", "absolute path"),
        ("file://localhost/srv", "absolute path"),
        ("file:/srv", "absolute path"),
        ("file:///srv?x=1", "no options"),
        ("file:///srv/with space", "symbolic link"),
        ("file:///srv/100%25", "symbolic link"),
        ("file:///srv/über", "symbolic link"),
        ("file:///", "symbolic link"),
        ("file:///srv/../etc", "dots"),
        ("file:///srv//x", "dots"),
        ("s3://key:secret@bucket/x", "LITESTREAM_SECRET_ACCESS_KEY"),
        ("s3:///x", "no name of a bucket"),
        ("s3://b/x", "no name of a bucket"),
        ("s3://bucket.localhost:9000/x", "not the name of a bucket alone"),
        ("s3://bucket.s3.eu-central-1.amazonaws.com/x", "not the name of a bucket alone"),
        ("s3://bucket.fra1.digitaloceanspaces.com/x", "not the name of a bucket alone"),
        ("s3://arn:aws:s3:eu-central-1:1:accesspoint/x", "not the name of a bucket alone"),
        ("s3://bucket/a/../b", "dots"),
        ("s3://bucket/a//b", "dots"),
        ("s3://bucket/100%", "%25"),
        ("s3://bucket/%ff", "not UTF-8"),
        ("s3://bucket/a%0Ab", "cannot be seen"),
        ("s3://bucket/" + "ü" * 300, "500 bytes"),
        ("s3://bucket/x?end-point=http://x", "none of concurrency, endpoint"),
        ("s3://bucket/x?endpoint=", "is empty"),
        ("s3://bucket/x?region=a&region=b", "twice"),
        ("s3://bucket/x?force-path-style=maybe", "true or false"),
        ("s3://bucket/x?part-size=100", "at least 5242880"),
        ("s3://bucket/x?concurrency=-1", "at least 1"),
        ("s3://bucket/x?storage-class=GLACIER", "GLACIER_IR"),
        ("s3://bucket/x?sse-customer-key=c2VjcmV0", "encryption of the bucket"),
        ("s3://bucket/x?sseKmsKeyId=alias", "encryption of the bucket"),
        ("s3://bucket/x?endpoint=https://u:secret@host", "an S3 server alone"),
        ("s3://bucket/x?endpoint=https://host/?a=b", "an S3 server alone"),
        ("s3://bucket/x?endpoint=ftp://host", "an S3 server alone"),
        ("s3://bucket/x?endpoint=http://host:x", "an S3 server alone"),
        ("sftp://host/x", "a user and a host"),
        ("sftp://u@/x", "a user and a host"),
        ("sftp://u@host", "names a directory"),
        ("sftp://u@host/", "names a directory"),
        ("sftp://u@host/a/../b", "names a directory"),
        ("sftp://u:100%@host/x", "%25"),
        ("sftp://u:%00secret@host/x", "cannot be seen"),
        ("sftp://u@host/x?keypath=/a", "none of key-path and host-key"),
        ("sftp://u@host/x?key-path=relative", "absolute path"),
        ("sftp://u@host/x?key-path=", "empty or twice"),
        ("sftp://u@host/x?host-key=SHA256:abc", "ssh-keyscan"),
    ],
)
def test_a_url_that_names_no_place_is_refused_with_what_to_write_instead(
    text: str, reason: str
) -> None:
    with pytest.raises(InvalidReplicaUrl) as raised:
        ReplicaUrl.parse(text, environ={})
    assert reason in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "c2VjcmV0" not in str(raised.value)


@pytest.mark.parametrize("name", ["../x", "", "a//b", ".hidden"])
def test_a_name_that_leads_out_of_the_replica_is_refused(name: str) -> None:
    with pytest.raises(ReplicaRefused):
        ReplicaUrl.parse("file:///srv/backup").for_litestream(name)


def test_a_name_that_litestream_would_encode_is_refused_below_a_directory() -> None:
    with pytest.raises(InvalidReplicaUrl):
        ReplicaUrl.parse("file:///srv/backup").for_litestream("with space.sqlite")
