"""com.atproto.repo.importRepo of repositories that another key than the present one has signed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from aiohttp import web

from identity.plc_data import PlcData
from identity.plc_operation import PlcOperation
from repo.keys import K256PrivateKey
from tests.pds.api.exports import export, nothing_changes
from tests.pds.api.imports import Repo, import_car, move_in, stranger
from tests.pds.api.records import NOTE, create, get
from tests.pds.api.signups import CREATE
from tests.pds.api.signups import create as sign_up
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.identities import ForeignDid, Signer, WebDid, plc_data_for, register_foreign_did

ACTIVATE = "com.atproto.server.activateAccount"
STATUS = "com.atproto.server.checkAccountStatus"
RECORDS = {f"{NOTE}/{rkey}": {"$type": NOTE, "text": rkey} for rkey in ("a", "b", "c")}
OPERATOR = "the operator of this server can bring it, with `pds car import"


@dataclass(slots=True)
class Former:
    """Somebody whose repository the server before has signed, and who holds a rotation key."""

    owner: ForeignDid
    """Its key is that of the server before, too."""

    @property
    def repo(self) -> Repo:
        return Repo.of(self.owner.did, self.owner.key, RECORDS)

    def lead_to(self, pds: Pds) -> None:
        """Let the DID lead to its account."""
        moved = plc_data_for(pds, self.owner.did, handle="dana.test", owner_key=self.owner.key)
        self.owner.update(pds, moved)

    async def activate(self, pds: Pds, account: Account) -> None:
        """Activate the account, and see that its records are there and can be added to."""
        assert (await pds.post(ACTIVATE, headers=account.auth)).status == 200
        assert (await export(pds, account.did)).records == self.repo.cids()
        assert (await create(pds, account, {"n": 1}, rkey="new")).status == 200
        assert set((await export(pds, account.did)).records) == {*RECORDS, f"{NOTE}/new"}


async def account_of(pds: Pds, signer: Signer) -> Account:
    """Make an account with a service token of `signer`."""
    reply = await sign_up(pds, signer.auth(pds, CREATE), did=signer.did)
    assert reply.status == 200, reply.body
    session = reply.json
    return Account(session["did"], session["handle"], "", "", session["accessJwt"], "")


def refusal(reply: Reply) -> str:
    assert reply.error == (400, "InvalidRequest")
    return str(reply.json["message"])


@pytest.fixture
def former(pds: Pds) -> Former:
    return Former(register_foreign_did(pds))


# --- What the protocol's guide, and life, lead to


async def test_a_backup_is_imported_after_recovery_with_the_owner_s_own_key(
    pds: Pds, former: Former
) -> None:
    signer = former.owner.name_key(pds, K256PrivateKey.generate())
    account = await account_of(pds, signer)
    assert (await import_car(pds, account, former.repo.car())).status == 200
    former.lead_to(pds)
    await former.activate(pds, account)


async def test_a_repository_is_imported_after_the_did_leads_here(pds: Pds, former: Former) -> None:
    account = await account_of(pds, former.owner)
    former.lead_to(pds)
    assert (await import_car(pds, account, former.repo.car())).status == 200
    await former.activate(pds, account)


async def test_a_repository_is_imported_after_two_moves_with_nothing_written_in_between(
    pds: Pds, former: Former
) -> None:
    """The second server serves what the first one has signed."""
    second_server = K256PrivateKey.generate()
    former.owner.name_key(pds, second_server)
    signer = former.owner.name_key(pds, K256PrivateKey.generate())
    account = await account_of(pds, signer)
    assert (await import_car(pds, account, former.repo.car())).status == 200
    former.lead_to(pds)
    await former.activate(pds, account)


async def test_the_old_server_s_repository_is_brought_again_after_the_move(
    pds: Pds, former: Former
) -> None:
    account = await account_of(pds, former.owner)
    assert (await import_car(pds, account, former.repo.car())).status == 200
    former.lead_to(pds)
    await former.activate(pds, account)
    assert (await import_car(pds, account, former.repo.car())).status == 200
    assert (await get(pds, account, "new")).error == (400, "RecordNotFound")
    await former.activate(pds, account)


# --- Whose key does not count


async def test_a_key_that_the_did_never_named_has_not_signed(pds: Pds) -> None:
    mover = await move_in(pds)
    repo = mover.repo(RECORDS)
    repo.key = stranger()
    async with nothing_changes(pds, mover.account):
        message = refusal(await import_car(pds, mover.account, repo.car()))
    root = repo.commit().cid
    assert message.startswith(f"the commit {root} is not signed by a key of {mover.did}")
    assert "nor by an earlier one" in message
    assert OPERATOR in message


async def test_the_key_of_an_overruled_operation_has_not_signed(pds: Pds) -> None:
    strong, weak, thief = (K256PrivateKey.generate() for _ in range(3))
    data = PlcData(
        rotation_keys=(strong.did_key, weak.did_key),
        verification_methods={"atproto": weak.did_key},
        also_known_as=("at://carol.example.com",),
        services={},
    )
    genesis = PlcOperation.sign(data, prev=None, key=weak)
    did = genesis.did()
    stolen = replace(data, verification_methods={"atproto": thief.did_key})
    theft = PlcOperation.sign(stolen, prev=genesis.cid, key=weak)
    recovery = PlcOperation.sign(data, prev=genesis.cid, key=strong)
    for operation in (genesis, theft, recovery):
        pds.plc.append(did, operation)
    account = await account_of(pds, Signer(did, weak))
    message = refusal(await import_car(pds, account, Repo.of(did, thief, RECORDS).car()))
    assert "nor by an earlier one" in message
    assert (await import_car(pds, account, Repo.of(did, weak, RECORDS).car())).status == 200


async def test_a_did_web_has_no_key_but_that_of_its_document(pds: Pds, web_did: WebDid) -> None:
    web_did.publish(handle="dana.test")
    account = await account_of(pds, web_did)
    repo = Repo.of(web_did.did, web_did.key, RECORDS)
    web_did.publish_for(pds, handle="dana.test")
    message = refusal(await import_car(pds, account, repo.car()))
    assert "only a did:plc has a log of earlier ones" in message
    assert OPERATOR in message
    # Its owner can let the document name that key for as long as the import takes.
    web_did.publish(handle="dana.test")
    assert (await import_car(pds, account, repo.car())).status == 200


# --- When the log cannot be had


def no_answer(*_: object) -> None:
    raise web.HTTPServiceUnavailable(text="the directory is being mended")


async def test_without_the_log_the_present_key_still_counts(
    pds: Pds, former: Former, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await account_of(pds, former.owner)
    monkeypatch.setattr(pds.plc, "log", no_answer)
    assert (await import_car(pds, account, former.repo.car())).status == 200


async def test_without_the_log_it_is_told_that_earlier_keys_could_not_be_looked_at(
    pds: Pds, former: Former, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await account_of(pds, former.owner)
    former.lead_to(pds)
    with monkeypatch.context() as patch:
        patch.setattr(pds.plc, "log", no_answer)
        async with nothing_changes(pds, account):
            message = refusal(await import_car(pds, account, former.repo.car()))
    assert "earlier ones are not to be had (the directory is being mended)" in message
    assert ". Try again later, or ask the operator" in message
    assert (await import_car(pds, account, former.repo.car())).status == 200


# --- An account that is activated although its import has failed


async def warnings(pds: Pds, account: Account) -> list[str]:
    reply = await pds.get(STATUS, account.auth)
    assert reply.status == 200, reply.body
    found: list[str] = reply.json.get("warnings", [])
    return found


async def test_before_activation_the_status_warns_that_the_repository_is_empty(pds: Pds) -> None:
    mover = await move_in(pds)
    car = mover.repo(RECORDS).car()
    assert (await import_car(pds, mover.account, car[:-10])).status == 400
    (warning,) = await warnings(pds, mover.account)
    assert "com.atproto.repo.importRepo before com.atproto.server.activateAccount" in warning
    assert (await import_car(pds, mover.account, car)).status == 200
    assert await warnings(pds, mover.account) == []


async def test_an_active_account_without_records_is_not_warned_of(pds: Pds, alice: Account) -> None:
    assert await warnings(pds, alice) == []
