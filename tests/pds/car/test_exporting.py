"""Exports: whole and checked, brought up to date by what is new, and never worse than before."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from identity.http import SafeHttp
from pds.car.account_lookup import Account as RemoteAccount
from pds.car.account_lookup import look_up_account
from pds.car.errors import ExportFailed
from pds.car.exporting import Export, Exported
from pds.car.packing import pack
from pds.car.remote import Retries
from pds.car.repo_file import RepoFile
from pds.car.unpacking import unpack
from pds.car.verification import verify
from pds.reporting import no_progress
from repo.cid import Cid
from repo.keys import PublicKey, parse_did_key
from repo.mst import TreeRecord
from repo.syntax import InvalidSyntax
from tests.pds.api.imports import Repo, import_car
from tests.pds.car.cars import (
    DID,
    KEY,
    OTHER_KEY,
    POST,
    RECORDS,
    REV,
    Parts,
    car_of,
    parts_of,
)
from tests.pds.car.conftest import ScriptedPds
from tests.pds.conftest import Account, Pds
from tests.pds.identities import register_foreign_did
from tests.reference.data import CARS
from tests.repo.odd_records import ODD

ALICE_CAR = CARS / "alice.car"
ONCE = Retries(attempts=1)
LATER = "3n2qm55oosc3x"


@dataclass(slots=True)
class Copy:
    """A copy of a repository that exports write."""

    content: bytes | None = None
    records: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def write(self, parts: Iterable[bytes]) -> None:
        self.content = b"".join(parts)

    def on_record(self, record: TreeRecord, block: bytes) -> None:
        assert Cid.of_dag_cbor(block) == record.cid
        self.records.append(record.key)

    async def export(self, server: ScriptedPds, *, key: PublicKey | None = KEY.public) -> Exported:
        return await self.export_of(server.account(key=key), server.retries)

    async def export_live(self, pds: Pds, account: Account) -> Exported:
        async with SafeHttp() as http:
            return await self.export_of(
                await look_up_account(
                    account.did, http, plc_url=plc_url(pds), pds_url=pds.url, with_key=True
                )
            )

    async def export_of(self, account: RemoteAccount, retries: Retries = ONCE) -> Exported:
        export = Export(
            account,
            self.write,
            spool_directory=None,
            on_record=self.on_record,
            note=self.notes.append,
            retries=retries,
            progress=no_progress,
        )
        self.records.clear()
        if self.content is None:
            return await export.run(None)
        with RepoFile.read(io.BytesIO(self.content)) as old:
            return await export.run(old)


def plc_url(pds: Pds) -> str:
    return pds.ctx.settings.identity.plc_url


def canonical(car: bytes, directory: Path) -> bytes:
    """The one CAR of a repository, made the long way: through files."""
    with RepoFile.read(io.BytesIO(car)) as repo:
        unpack(repo, directory)
    with (directory.parent / "spool").open("w+b") as spool:
        return b"".join(pack(directory, spool, signing=None).iter_car())


def latest(car: bytes, **change: str) -> bytes:
    """What getLatestCommit answers for a repository."""
    with RepoFile.read(io.BytesIO(car)) as repo:
        return json.dumps({"cid": str(repo.root), "rev": repo.commit.rev, **change}).encode()


# --- From a real server


async def test_a_copy_of_a_live_repository_is_whole_and_kept_current(
    pds: Pds, alice: Account, tmp_path: Path
) -> None:
    made = [await pds.post_text(alice, f"number {n}") for n in range(30)]
    copy = Copy()
    done = await copy.export_live(pds, alice)
    assert done.change == "fetched"
    assert len(copy.records) == 30
    assert (await copy.export_live(pds, alice)).change == "up to date already"
    assert len(copy.records) == 30
    for n in range(20):
        await pds.post_text(alice, f"more {n}")
    rkey = made[3]["uri"].rpartition("/")[2]
    body = {"repo": alice.did, "collection": POST, "rkey": rkey}
    reply = await pds.post("com.atproto.repo.deleteRecord", body, alice.auth)
    assert reply.status == 200
    assert (await copy.export_live(pds, alice)).change == "updated"
    assert len(copy.records) == 49
    assert f"{POST}/{rkey}" not in copy.records
    assert copy.notes == []
    # An update gives the very bytes of a first export, without what was deleted.
    afresh = Copy()
    await afresh.export_live(pds, alice)
    assert copy.content == afresh.content
    assert copy.content is not None
    assert copy.content == canonical(copy.content, tmp_path / "files")
    with RepoFile.read(io.BytesIO(copy.content)) as repo:
        key = await pds.get("com.atproto.sync.getLatestCommit", did=alice.did)
        assert str(repo.root) == key.json["cid"]
        verdict = verify(repo, key=None)
        assert verdict.is_sound
        assert verdict.notes == []


async def test_odd_records_come_along_as_they_are(pds: Pds, alice: Account) -> None:
    repo = Repo.of(alice.did, pds.ctx.actor_store.key(alice.did), {f"{POST}/sound": {"n": 1}})
    repo.records |= {f"{POST}/odd{n}": block for n, block in enumerate(ODD.values())}
    assert (await import_car(pds, alice, repo.car())).status == 200
    copy = Copy()
    assert (await copy.export_live(pds, alice)).change == "fetched"
    assert set(copy.records) == set(repo.records)
    assert copy.content is not None
    with RepoFile.read(io.BytesIO(copy.content)) as found:
        assert found.commit.data == repo.commit().commit.data
        verdict = verify(found, key=None)
    assert (verdict.is_intact, verdict.odd.count) == (True, len(ODD))
    await pds.post_text(alice, "more")
    assert (await copy.export_live(pds, alice)).change == "updated"
    assert len(copy.records) == len(repo.records) + 1


async def test_a_handle_is_resolved_by_the_server_that_is_named(pds: Pds, alice: Account) -> None:
    async with SafeHttp() as http:
        for name in (alice.handle, f"@{alice.handle.upper()}", f"at://{alice.did}"):
            found = await look_up_account(
                name, http, plc_url=plc_url(pds), pds_url=pds.url, with_key=True
            )
            assert found.did == alice.did
            assert found.key is not None
            document = await pds.ctx.did_resolver.resolve(found.did)
            assert found.key == parse_did_key(str(document.signing_key()))


async def test_without_a_key_no_directory_is_asked(pds: Pds, alice: Account) -> None:
    async with SafeHttp() as http:
        found = await look_up_account(
            alice.did, http, plc_url="http://127.0.0.1:1", pds_url=pds.url, with_key=False
        )
        assert found.key is None
        with pytest.raises(ExportFailed, match="Check --plc"):
            await look_up_account(
                alice.did, http, plc_url="http://127.0.0.1:1", pds_url=None, with_key=False
            )


async def test_the_server_is_that_of_the_did_document(pds: Pds, alice: Account) -> None:
    async with SafeHttp() as http:
        found = await look_up_account(
            alice.did, http, plc_url=plc_url(pds), pds_url=None, with_key=True
        )
    assert found.pds.url == pds.ctx.settings.public_url


async def test_a_name_that_nobody_has_is_told(pds: Pds) -> None:
    async with SafeHttp() as http:
        with pytest.raises(ExportFailed, match=r"refuses com\.atproto\.identity\.resolveHandle"):
            await look_up_account(
                "nobody.test", http, plc_url=plc_url(pds), pds_url=pds.url, with_key=True
            )
        with pytest.raises(InvalidSyntax):
            await look_up_account(
                "no name", http, plc_url=plc_url(pds), pds_url=pds.url, with_key=True
            )
        with pytest.raises(ExportFailed, match="not registered"):
            await look_up_account(
                "did:plc:" + "a" * 24, http, plc_url=plc_url(pds), pds_url=None, with_key=True
            )


# --- From a server that says what the test wants


async def test_what_the_reference_exports_is_put_in_order(
    scripted: ScriptedPds, tmp_path: Path
) -> None:
    car = ALICE_CAR.read_bytes()
    scripted.answers["getRepo"] = [car]
    copy = Copy()
    await copy.export(scripted, key=None)
    assert copy.content == canonical(car, tmp_path / "files")
    assert copy.content != car


async def test_a_transfer_that_breaks_off_begins_again(scripted: ScriptedPds) -> None:
    scripted.answers["getRepo"] = [car_of()]
    scripted.cut = 2
    copy = Copy()
    await copy.export(scripted)
    assert copy.records == sorted(RECORDS)
    assert scripted.methods() == ["getRepo"] * 3


async def test_only_what_is_new_is_asked_for(scripted: ScriptedPds) -> None:
    old, new = parts_of(), parts_of({**RECORDS, f"{POST}/new": {}}, rev=LATER)
    known = {cid for cid, _ in old.blocks}
    update = Parts(new.roots, [block for block in new.blocks if block[0] not in known], 0)
    scripted.answers |= {"getRepo": [update.encode()], "getLatestCommit": [latest(new.encode())]}
    copy = Copy(old.encode())
    assert (await copy.export(scripted)).change == "updated"
    assert scripted.asked[-1][1] == {"did": DID, "since": REV}
    assert copy.records == sorted({*RECORDS, f"{POST}/new"})


async def test_an_update_that_lacks_blocks_is_followed_by_everything(
    scripted: ScriptedPds, tmp_path: Path
) -> None:
    new = parts_of({**RECORDS, f"{POST}/new": {}}, rev=LATER)
    update = Parts(new.roots, new.blocks[:1], 0).encode()
    scripted.answers |= {
        "getRepo": [update, new.encode()],
        "getLatestCommit": [latest(new.encode())],
    }
    copy = Copy(car_of())
    assert (await copy.export(scripted)).change == "fetched"
    assert copy.content == canonical(new.encode(), tmp_path / "files")
    assert [query.get("since") for nsid, query in scripted.asked if "getRepo" in nsid] == [
        REV,
        None,
    ]
    assert "fetching everything" in copy.notes[0]


def flipped(car: bytes) -> bytes:
    return car[:-1] + bytes([car[-1] ^ 1])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda: flipped(car_of()), "sends a damaged CAR: block does not hash"),
        (lambda: car_of()[:-1], "sends a damaged CAR: CAR ends inside a block"),
        (lambda: b"", "sends a damaged CAR"),
        (lambda: Parts([], parts_of().blocks, 0).encode(), "0 roots"),
        (
            lambda: Parts(parts_of().roots, parts_of().blocks[:-1], 0).encode(),
            "no sound repository",
        ),
        (lambda: Parts(parts_of().roots, parts_of().blocks[1:], 0).encode(), "no sound repository"),
        (lambda: car_of(did="did:plc:" + "a" * 24), "sends the repository of did:plc:aaaa"),
        (lambda: car_of(key=OTHER_KEY), r"not signed .* --ignore-signature"),
        (lambda: car_of({"com.example.x/..": {}}), "Invalid record key"),
    ],
)
@pytest.mark.parametrize("before", [None, car_of({}, rev="3n2qm55oosc22")], ids=["new", "update"])
async def test_a_refused_export_leaves_the_copy_as_it_was(
    scripted: ScriptedPds, answer: Callable[[], bytes], reason: str, before: bytes | None
) -> None:
    scripted.answers |= {"getRepo": [answer()], "getLatestCommit": [latest(car_of())]}
    copy = Copy(before)
    with pytest.raises(ExportFailed, match=reason):
        await copy.export(scripted)
    assert copy.content == before


async def test_a_server_may_serve_what_an_earlier_key_has_signed(
    scripted: ScriptedPds, pds: Pds
) -> None:
    """As other servers do after a move, until something is written."""
    owner = register_foreign_did(pds)
    owner.name_key(pds, KEY)
    owner.name_key(pds, OTHER_KEY)
    scripted.answers["getRepo"] = [car_of(did=owner.did, key=KEY)]
    account = await look_up_account(
        owner.did, scripted.http, plc_url=plc_url(pds), pds_url=scripted.url, with_key=True
    )
    copy = Copy()
    await copy.export_of(account)
    assert copy.records == sorted(RECORDS)


async def test_a_signature_can_be_left_out_of_account(scripted: ScriptedPds) -> None:
    scripted.answers["getRepo"] = [car_of(key=OTHER_KEY)]
    copy = Copy()
    await copy.export(scripted, key=None)
    assert copy.records == sorted(RECORDS)


async def test_an_older_state_does_not_replace_a_newer_one(scripted: ScriptedPds) -> None:
    scripted.answers["getLatestCommit"] = [latest(car_of())]
    copy = Copy(car_of({}, rev=LATER))
    before = copy.content
    with pytest.raises(ExportFailed, match=f"older state, rev {REV}, than the file, rev {LATER}"):
        await copy.export(scripted)
    assert copy.content == before
    assert scripted.methods() == ["getLatestCommit"]


async def test_a_file_of_another_account_is_left_alone(scripted: ScriptedPds) -> None:
    copy = Copy(car_of(did="did:plc:" + "a" * 24))
    with pytest.raises(ExportFailed, match="name another file"):
        await copy.export(scripted)
    assert scripted.asked == []


async def test_an_account_that_is_gone_leaves_the_copy(scripted: ScriptedPds) -> None:
    scripted.answers["getLatestCommit"] = [400]
    copy = Copy(car_of())
    with pytest.raises(ExportFailed, match="Oops: no luck"):
        await copy.export(scripted)


@pytest.mark.parametrize("answer", [b"[]", b"{}", b'{"cid": "x"}'])
async def test_an_answer_without_a_commit_is_refused(scripted: ScriptedPds, answer: bytes) -> None:
    scripted.answers["getLatestCommit"] = [answer]
    with pytest.raises(ExportFailed, match="which commit"):
        await Copy(car_of()).export(scripted)


async def test_a_current_file_that_lacks_something_is_fetched_anew(
    scripted: ScriptedPds, tmp_path: Path
) -> None:
    parts = parts_of()
    scripted.answers |= {
        "getRepo": [parts.encode()],
        "getLatestCommit": [latest(parts.encode())],
    }
    copy = Copy(Parts(parts.roots, parts.blocks[:-1], 0).encode())
    assert (await copy.export(scripted)).change == "fetched"
    assert copy.content == canonical(parts.encode(), tmp_path / "files")
    assert "is missing" in copy.notes[0]
