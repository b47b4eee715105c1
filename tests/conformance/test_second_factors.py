"""A directory with second factors, taken to the reference: the password alone signs in there."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from database.opening import open_database
from pds.dev.plc_store import PlcStore
from repo.syntax import Did
from tests.conformance.client import Client, basic
from tests.processes import free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

_FACTOR = "INSERT INTO holdfast_email_factor (did, isOn, changedAt) VALUES (?, 1, '2026-01-01')"
_LEFT = "SELECT count(*) FROM holdfast_email_factor WHERE did = ?"


def test_the_reference_takes_the_password_and_deletes_factors_with_the_account(
    reference: Reference, tmp_path: Path
) -> None:
    port = free_port()
    store = PlcStore(tmp_path / "plc.sqlite")
    plc.import_logs(store)
    accounts = data.manifest()["accounts"]
    for account in accounts.values():
        plc.move(store, Did(account["did"]), f"http://localhost:{port}")
    store.close()
    did, password = accounts["alice"]["did"], accounts["alice"]["password"]
    login = {"identifier": did, "password": password}
    client = Client(f"http://localhost:{port}")
    directory = data.unpack(tmp_path / "data")
    database = directory / "account.sqlite"
    with plc.directory_of(tmp_path / "plc.sqlite") as plc_url:
        env = data.environment(directory) | {"PDS_DID_PLC_URL": plc_url}
        server = serve(env, port=port, log_file=tmp_path / "holdfast.log")
        try:
            with closing(open_database(database)) as db:
                db.run(_FACTOR, (did,))
            refused = client.post("com.atproto.server.createSession", login)
            assert (refused.status, refused.json["error"]) == (401, "AuthFactorTokenRequired")
        finally:
            assert server.stop() == 0, server.log()
        server = reference.serve(env, port=port, log_file=tmp_path / "reference.log")
        try:
            assert client.post("com.atproto.server.createSession", login).status == 200
            admin = basic("admin", env["PDS_ADMIN_PASSWORD"])
            gone = client.post("com.atproto.admin.deleteAccount", {"did": did}, admin)
            assert gone.status == 200
        finally:
            server.stop()
    with closing(open_database(database, read_only=True)) as db:
        assert db.value(_LEFT, (did,)) == 0
