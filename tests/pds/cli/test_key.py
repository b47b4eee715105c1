"""`pds key`: on a server that runs, and on the files of one that does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from repo.keys import K256PrivateKey
from tests.pds.cli.conftest import OperatedServer, Operator

NEW_KEY = "31" * 32


def plc_state(operator: Operator, did: str) -> Any:
    with urlopen(f"{operator.plc_url}/{did}/data", timeout=10) as response:  # noqa: S310
        return json.load(response)


def test_an_account_gets_a_new_signing_key(operator: Operator) -> None:
    did = operator.create("rekeyed")["did"]
    before = plc_state(operator, did)["verificationMethods"]["atproto"]
    rotated = operator.run_json("key", "rotate", did)
    assert rotated == {
        "did": did,
        "signingKey": plc_state(operator, did)["verificationMethods"]["atproto"],
    }
    assert rotated["signingKey"] != before
    assert f"({did}) signs with did:key:z" in operator.run("key", "rotate", did)
    assert operator.events_of(did)[-4:] == ["identity", "sync"] * 2


def test_a_new_rotation_key_comes_into_every_did(files: Operator, tmp_path: Path) -> None:
    made = [files.create(f"rotated{n}")["did"] for n in range(2)]
    settings = dict(
        line.split("=", 1)
        for line in files.server.server.env_file.read_text().splitlines()
        if "=" in line
    )
    variable = "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX"
    old_file = tmp_path / "old.key"
    old_file.write_text(settings[variable] + "\n")
    assert "Put a new key there first" in files.refuse(
        "key", "rotate-plc", "--old-key-file", str(old_file)
    )
    new = Operator(files.server, {**files.environ, variable: NEW_KEY}, files.data)
    new_did_key = K256PrivateKey.from_bytes(bytes.fromhex(NEW_KEY)).did_key
    # Until it is done, the server cannot change the DIDs, and doctor says so.
    assert new_did_key not in plc_state(files, made[0])["rotationKeys"]
    lines = new.run_lines("key", "rotate-plc", "--old-key-file", str(old_file))
    outcomes = {line["did"]: line["outcome"] for line in lines}
    assert [outcomes[did] for did in made] == ["replaced"] * 2
    for did in made:
        assert plc_state(files, did)["rotationKeys"] == [new_did_key]
    text = new.run("key", "rotate-plc", "--old-key-file", str(old_file))
    assert text.splitlines()[-1].startswith("0 DIDs changed, ")
    new.run("account", "update-handle", made[0], "rotated-again.test")


def test_what_is_no_key_is_named(files: Operator, tmp_path: Path) -> None:
    file = tmp_path / "old.key"
    assert str(file) in files.refuse("key", "rotate-plc", "--old-key-file", str(file))
    file.write_text("not hex")
    assert "64 hex digits" in files.refuse("key", "rotate-plc", "--old-key-file", str(file))


def test_dids_that_cannot_be_changed_are_named_and_fail_the_command(
    files: Operator, stopped: OperatedServer, tmp_path: Path
) -> None:
    file = tmp_path / "old.key"
    file.write_text("32" * 32)
    environ = {**files.environ, "PDS_DID_PLC_URL": "http://127.0.0.1:1"}
    done = Operator(stopped, environ, files.data)._invoke(
        ("key", "rotate-plc", "--old-key-file", str(file))
    )
    assert done.exit_code == 1
    assert "Keep the old key, and repeat the command" in done.stderr
    assert ": Unable to perform PLC operation" in done.stdout
