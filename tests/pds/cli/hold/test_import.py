"""`pds car import` of a hold's repository: what is told, and that the next start takes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from pds.cli import main
from pds.hold.records import CREW
from repo.keys import K256PrivateKey
from repo.syntax import Did
from tests.pds.api.imports import Repo
from tests.pds.cli.hold.conftest import HoldOperator

MEMBER = "did:plc:memberaaaaaaaaaaaaaaaaaa"


def import_car(operator: HoldOperator, car: Path, *options: str) -> str:
    """Import a CAR of any signature, as somebody who moves over does."""
    command = ["car", "import", str(car), "--ignore-signature", *options]
    done = CliRunner().invoke(main, [*command, "--env-file", str(operator.env_file)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_a_hold_is_told_that_its_start_activates_it(beginner: HoldOperator, tmp_path: Path) -> None:
    member = {"$type": CREW, "member": MEMBER, "role": "member", "permissions": ["blob:read"]}
    car = tmp_path / "hold.car"
    key = K256PrivateKey.generate()
    repo = Repo.of(Did("did:web:hold.example.com"), key, {f"{CREW}/3aaaaaaaaaa2a": member})
    car.write_bytes(repo.car())
    told = import_car(beginner, car)
    assert "The next start activates it" in told
    assert "existed before" not in told
    assert "account activate" not in told
    again: dict[str, Any] = json.loads(import_car(beginner, car, "--json"))
    assert (again["did"], again["password"]) == ("did:web:hold.example.com", None)
    assert MEMBER in {each["did"] for each in beginner.run_lines("crew", "list")}
