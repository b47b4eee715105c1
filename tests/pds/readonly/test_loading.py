"""Which files are loaded, when, and what is said of those that are not."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pds.readonly import loaders
from pds.readonly.library import Look
from pds.readonly.loading import BadCar, LoadedCar, load_car
from pds.readonly.watching import watch
from repo.car import encode_car
from tests.pds.api.exports import read_car
from tests.pds.car.cars import parts_of
from tests.pds.conftest import Account, Pds
from tests.pds.readonly.conftest import (
    NAMES,
    OFFLINE,
    ReadonlyServer,
    StartServer,
    fill_directory,
    wait_until,
)
from tests.pds.readonly.shelves import open_shelf
from tests.reference import data, plc


def served(server: ReadonlyServer) -> set[str]:
    return {repo["did"] for repo in server.client.call("com.atproto.sync.listRepos")["repos"]}


def dids(*names: str) -> set[str]:
    return {data.manifest()["accounts"][name]["did"] for name in names}


def one(name: str) -> str:
    (did,) = dids(name)
    return did


def test_files_that_have_not_changed_are_not_loaded_again(
    start_server: StartServer, cars: Path
) -> None:
    first = start_server(cars, *OFFLINE)
    first.process.stop()
    assert "4 loaded, 0 unchanged, 0 refused" in first.log()
    shutil.copyfile(cars / "alice.car", cars / "alice-again.car")
    again = start_server(cars, *OFFLINE)
    assert "0 loaded, 4 unchanged, 1 refused" in again.log()
    assert served(again) == dids(*NAMES)


def test_files_whose_names_are_not_text_are_loaded_like_others(
    start_server: StartServer, cars: Path
) -> None:
    (cars / "bob.car").rename(cars / os.fsdecode(b"b\xff.car"))
    (cars / os.fsdecode(b"\xfe.car")).write_bytes(b"")
    first = start_server(cars, *OFFLINE)
    assert served(first) == dids(*NAMES)
    assert r"\xfe.car" in first.client.request("GET", "/").body.decode()
    (bob,) = dids("bob")
    assert r"b\xff.car" in first.client.request("GET", f"/repo/{bob}").body.decode()
    first.process.stop()
    again = start_server(cars, *OFFLINE)
    assert "0 loaded, 4 unchanged, 1 refused" in again.log()
    assert served(again) == dids(*NAMES)


def test_a_file_that_is_gone_takes_its_repository_along(
    start_server: StartServer, cars: Path
) -> None:
    start_server(cars, *OFFLINE).process.stop()
    (cars / "bob.car").unlink()
    again = start_server(cars, *OFFLINE)
    assert served(again) == dids("alice", "dan", "eve")


def test_files_and_patterns_can_be_named(start_server: StartServer, cars: Path) -> None:
    server = start_server(cars / "a*.car", "--car", str(cars / "eve.car"), *OFFLINE)
    assert served(server) == dids("alice", "eve")


def flipped(car: bytes) -> bytes:
    middle = len(car) // 2
    return car[:middle] + bytes([car[middle] ^ 1]) + car[middle + 1 :]


def two_rooted(car: bytes) -> bytes:
    roots, blocks = read_car(car)
    return encode_car([*roots, *roots], blocks.items())


def without_a_block(car: bytes) -> bytes:
    roots, blocks = read_car(car)
    kept = list(blocks.items())
    return encode_car(roots, [pair for pair in kept if pair[0] in roots] + kept[3:])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda car: car[:3000], "at byte"),
        (lambda _: b"", "this is not a CAR file: it is empty"),
        (flipped, "at byte"),
        (two_rooted, "2 roots"),
        (without_a_block, "bafyrei"),
        (lambda _: b"<!DOCTYPE html>" + b" " * 99, "this is not a CAR file: it is HTML or XML"),
    ],
    ids=["cut off", "empty", "a bit flipped", "two roots", "a block missing", "something else"],
)
def test_a_bad_file_is_named_with_the_reason_and_the_rest_is_served(
    start_server: StartServer, cars: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    (cars / "alice.car").write_bytes(damage((data.CARS / "alice.car").read_bytes()))
    server = start_server(cars, *OFFLINE)
    assert served(server) == dids("bob", "dan", "eve")
    (line,) = [line for line in server.log().splitlines() if "is not served" in line]
    assert "alice.car" in line
    assert reason in line
    page = server.client.request("GET", "/").body.decode()
    assert "alice.car" in page


def test_without_its_did_document_a_strict_server_serves_nothing(
    start_server: StartServer, cars: Path
) -> None:
    # Nothing listens there.
    server = start_server(cars, "--verify", "strict", PDS_DID_PLC_URL="http://127.0.0.1:1")
    assert served(server) == set()
    assert server.log().count("the signature cannot be verified") == len(NAMES)


def test_what_could_not_be_verified_is_tried_again_at_the_next_start(
    start_server: StartServer, cars: Path, tmp_path: Path
) -> None:
    start_server(cars, "--verify", "strict", PDS_DID_PLC_URL="http://127.0.0.1:1").process.stop()
    directory = tmp_path / "plc.sqlite"
    fill_directory(directory)
    with plc.directory_of(directory) as url:
        again = start_server(cars, "--verify", "strict", PDS_DID_PLC_URL=url)
        assert served(again) == dids(*NAMES)


def test_a_document_that_could_not_be_had_is_asked_for_at_the_next_start(
    start_server: StartServer, cars: Path, tmp_path: Path
) -> None:
    first = start_server(cars, PDS_DID_PLC_URL="http://127.0.0.1:1")
    assert served(first) == dids(*NAMES)
    described = first.client.call("com.atproto.repo.describeRepo", repo=one("alice"))
    assert described["handleIsCorrect"] is False
    first.process.stop()
    directory = tmp_path / "plc.sqlite"
    fill_directory(directory)
    with plc.directory_of(directory) as url:
        again = start_server(cars, PDS_DID_PLC_URL=url)
        assert "0 loaded, 4 unchanged, 0 refused" in again.log()
        handle = data.manifest()["accounts"]["alice"]["handle"]
        resolve = "com.atproto.identity.resolveHandle"
        wait_until(lambda: again.client.get(resolve, handle=handle).status == 200)
        described = again.client.call("com.atproto.repo.describeRepo", repo=one("alice"))
        assert described["handleIsCorrect"] is True


async def test_a_signature_that_turns_out_to_be_false_ends_the_service(
    pds: Pds, alice: Account, tmp_path: Path
) -> None:
    parts = parts_of(did=alice.did)
    (tmp_path / "alice.car").write_bytes(parts.encode())
    with open_shelf(pds.ctx, tmp_path, [tmp_path / "alice.car"]) as shelf:
        await shelf.library.update()
        assert shelf.dids() == [alice.did]
        shelf.library._verification = "available"
        await shelf.library.ask_again()
        assert shelf.dids() == []
        assert f"the commit {parts.roots[0]} is not signed" in shelf.problems()["alice.car"]


async def test_a_file_that_ends_its_process_takes_no_other_along(
    pds: Pds, cars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaders, "load_car", load_or_die)
    with open_shelf(pds.ctx, tmp_path, [cars]) as shelf:
        counts = await shelf.library.update()
        assert (counts.loaded, counts.refused) == (3, 1)
        assert shelf.problems().keys() == {"bob.car"}
        assert "has ended" in shelf.problems()["bob.car"]
        assert list(shelf.loading.iterdir()) == []


def load_or_die(path: Path, store: Path) -> LoadedCar | BadCar:
    """Load a file, unless it is bob's: then end at once, as the system ends who takes too much."""
    if path.name == "bob.car":
        os.kill(os.getpid(), signal.SIGKILL)
    return load_car(path, store)


def test_a_handles_file_names_what_no_document_does(
    start_server: StartServer, cars: Path, tmp_path: Path
) -> None:
    (did,) = dids("alice")
    handles = tmp_path / "handles"
    handles.write_text(f"# of the archive\n{did} Alice.Example.com\n")
    server = start_server(cars, *OFFLINE, "--handles", str(handles))
    resolved = server.client.call("com.atproto.identity.resolveHandle", handle="alice.example.com")
    assert resolved == {"did": did}


def test_of_two_repositories_with_one_handle_the_first_has_it(
    start_server: StartServer, cars: Path, tmp_path: Path
) -> None:
    handles = tmp_path / "handles"
    handles.write_text("".join(f"{did} same.example.com\n" for did in dids("alice", "bob")))
    server = start_server(cars, *OFFLINE, "--handles", str(handles))
    assert served(server) == dids(*NAMES)
    resolved = server.client.call("com.atproto.identity.resolveHandle", handle="same.example.com")
    assert resolved["did"] in dids("alice", "bob")


def test_watching_picks_up_new_changed_and_removed_files(
    start_server: StartServer, cars: Path, tmp_path: Path
) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    shutil.copyfile(cars / "alice.car", shelf / "alice.car")
    server = start_server(shelf, *OFFLINE, "--watch")
    assert served(server) == dids("alice")
    shutil.copyfile(cars / "bob.car", shelf / "bob.car.part")
    (shelf / "bob.car.part").replace(shelf / "bob.car")
    wait_until(lambda: served(server) == dids("alice", "bob"))
    (shelf / "alice.car").unlink()
    wait_until(lambda: served(server) == dids("bob"))


async def test_a_file_that_is_still_being_written_is_left_alone(
    pds: Pds, cars: Path, tmp_path: Path
) -> None:
    car, growing = (cars / "alice.car").read_bytes(), tmp_path / "growing.car"
    with open_shelf(pds.ctx, tmp_path, [growing]) as shelf:
        look, looks, loaded = shelf.library.look, 0, asyncio.Event()

        async def write_and_look(*, again: bool = False) -> Look:
            nonlocal looks
            looks += 1
            if shelf.catalog.cars():
                loaded.set()
            # In three parts, and then no more.
            growing.write_bytes(car[: len(car) * looks // 3])
            os.utime(growing, ns=(0, min(looks, 3)))
            return await look(again=again)

        shelf.library.look = write_and_look  # type: ignore[method-assign]
        watching = asyncio.create_task(watch(shelf.library, every_s=0.01))
        await loaded.wait()
        watching.cancel()
        assert shelf.problems() == {}
        assert shelf.dids() == list(dids("alice"))
        assert looks >= 4


@pytest.mark.parametrize("missing", ["file", "directory of the database"])
def test_what_fails_is_told_to_everybody_and_where_only_to_the_operator(
    tmp_path: Path, missing: str
) -> None:
    path, store = tmp_path / "a.car", tmp_path / "there" / "store.sqlite"
    if missing == "file":
        store.parent.mkdir()
    else:
        path.write_bytes(parts_of().encode())
    bad = load_car(path, store)
    assert isinstance(bad, BadCar)
    assert bad.reason.startswith("it cannot be read or loaded: ")
    assert str(tmp_path) not in bad.reason
    assert bad.details is not None
    assert str(tmp_path) in bad.details
