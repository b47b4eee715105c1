"""`pds invite`: making, listing and disabling codes, beside the server and on its files."""

from __future__ import annotations

from contextlib import closing

import pytest
from click.testing import CliRunner

from database.opening import open_database
from pds.cli import main
from tests.pds.cli.conftest import Operator


def test_several_codes_are_made_for_an_account(operator: Operator) -> None:
    did = operator.create("giver")["did"]
    words = ("invite", "create", "--count", "3", "--uses", "2", "--for")
    made = operator.run_lines(*words, "giver.test")
    assert [one["uses"] for one in made] == [2, 2, 2]
    assert len({one["code"] for one in made}) == 3
    owned = [one for one in operator.run_lines("invite", "list") if one["forAccount"] == did]
    assert {one["code"] for one in owned} == {one["code"] for one in made}
    assert all((one["available"], one["createdBy"]) == (2, "admin") for one in owned)
    assert "no account nobody.test" in operator.refuse(*words, "nobody.test")
    table = operator.run("invite", "list")
    (row,) = [line for line in table.splitlines() if made[0]["code"] in line]
    assert "giver.test" in row
    assert "0 of 2 used" in row


def test_a_disabled_code_is_listed_as_such_and_makes_no_accounts(operator: Operator) -> None:
    code, kept = (operator.run("invite", "create").strip() for _ in range(2))
    assert operator.run("invite", "disable", code) == "1 code disabled.\n"
    listed = {one["code"]: one["disabled"] for one in operator.run_lines("invite", "list")}
    assert (listed[code], listed[kept]) == (True, False)
    usable = [one["code"] for one in operator.run_lines("invite", "list", "--usable")]
    assert kept in usable
    assert code not in usable
    (row,) = [line for line in operator.run("invite", "list").splitlines() if code in line]
    assert "0 of 1 used, disabled" in row


def test_all_codes_of_an_account_are_disabled(operator: Operator) -> None:
    did = operator.create("spammer")["did"]
    made = operator.run("invite", "create", "--count", "2", "--for", did).split()
    (other,) = operator.run("invite", "create").split()
    disabled = operator.run_json("invite", "disable", other, "--of", "spammer.test")
    assert disabled == {"disabled": sorted([*made, other])}
    assert all(one["disabled"] for one in operator.show(did)["invites"])
    assert "no account nobody.test" in operator.refuse("invite", "disable", "--of", "nobody.test")


def test_a_code_that_is_not_there_disables_none(operator: Operator) -> None:
    (code,) = operator.run("invite", "create").split()
    message = operator.refuse("invite", "disable", code, "localhost-aaaaa-bbbbb")
    assert "There is no invite code localhost-aaaaa-bbbbb on this server" in message
    assert "\nTry: pds invite list --env-file " in message
    assert code in [one["code"] for one in operator.run_lines("invite", "list", "--usable")]


def test_what_to_disable_must_be_said() -> None:
    result = CliRunner().invoke(main, ["invite", "disable"], prog_name="pds")
    assert result.exit_code == 2
    assert "Name a code, or an account with --of." in result.output


def test_a_long_list_has_every_code(files: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pds.cli.invite.list._PAGE", 2)
    files.run("invite", "create", "--count", "5")
    with closing(open_database(files.data / "account.sqlite", read_only=True)) as db:
        count = db.value("SELECT count(*) FROM invite_code")
    codes = [one["code"] for one in files.run_lines("invite", "list")]
    assert len(codes) == len(set(codes)) == count
