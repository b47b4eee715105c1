"""What a daemon gets of the server's environment."""

from __future__ import annotations

from pds.replication.litestream.environment import daemon_environment


def test_secrets_of_the_server_stay_with_it() -> None:
    environ = {
        "PDS_JWT_SECRET": "secret",
        "PDS_REPLICATION_KEY_PASSPHRASE": "secret",
        "DATABASE_PASSWORD": "secret",
        # It would change what the daemon logs.
        "LOG_LEVEL": "trace",
    }
    assert daemon_environment(environ) == {}


def test_credentials_and_the_way_to_the_replica_are_passed_on() -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": "id",
        "LITESTREAM_SECRET_ACCESS_KEY": "key",
        "HOME": "/home/holdfast",
        "HTTPS_PROXY": "http://proxy:3128",
        "no_proxy": "localhost",
        "SSL_CERT_FILE": "/etc/own.pem",
    }
    assert daemon_environment(environ) == environ


def test_certificates_for_amazons_libraries_are_given_to_go() -> None:
    """Litestream does not reach S3 at all where AWS_CA_BUNDLE is set."""
    assert daemon_environment({"AWS_CA_BUNDLE": "/etc/own.pem"}) == {
        "SSL_CERT_FILE": "/etc/own.pem"
    }
