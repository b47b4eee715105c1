"""`pds car inspect`, `ls` and `get`: data on standard output, and nothing else there."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from repo import dagcbor
from repo.car import encode_header, encode_varint
from repo.cid import Cid
from repo.keys import P256PrivateKey
from tests.pds.car.cars import (
    BLOB,
    DID,
    KEY,
    LEGACY_BLOB,
    OTHER_KEY,
    POST,
    RECORDS,
    REV,
    car_of,
    parts_of,
)
from tests.pds.cli.car.conftest import command, run_car
from tests.processes import clean_environment

PROFILE = "app.bsky.actor.profile/self"


# --- inspect


def test_inspect_tells_whose_repository_it_is_and_what_is_in_it(car: Path) -> None:
    done = run_car("inspect", car)
    assert (done.status, done.err) == (0, "")
    parts = parts_of()
    for text in (DID, REV, str(parts.roots[0]), str(parts.blocks[1][0]), "2026-11-20 12:38:42 UTC"):
        assert text in done.out.decode()
    assert "not checked (give --key or --plc)" in done.out.decode()
    assert re.search(rf"^{re.escape(POST)} +6 +\d+$", done.out.decode(), re.MULTILINE)


def test_inspect_prints_json_for_programs(car: Path) -> None:
    done = run_car("inspect", car, "--json", "--key", KEY.did_key)
    report = json.loads(done.out)
    parts = parts_of()
    assert report["did"] == DID
    assert report["roots"] == [str(cid) for cid in parts.roots]
    assert report["signature"] == {"key": KEY.did_key, "valid": True}
    assert report["bytes"] == car.stat().st_size
    assert report["blocks"]["count"] == len(parts.blocks)
    assert report["records"]["count"] == len(RECORDS)
    assert report["collections"][POST]["count"] == 6
    assert report["blobs"] == {"count": 2, "bytes": 9}


def test_inspect_tells_a_false_signature(car: Path) -> None:
    done = run_car("inspect", car, "--key", OTHER_KEY.did_key)
    assert f"NOT by {OTHER_KEY.did_key}" in done.out.decode()


def test_a_key_may_be_the_multibase_of_a_did_document(car: Path) -> None:
    for key in (KEY, P256PrivateKey.generate()):
        done = run_car("inspect", car, "--json", "--key", key.did_key.removeprefix("did:key:"))
        assert json.loads(done.out)["signature"] == {"key": key.did_key, "valid": key is KEY}


def test_a_key_that_is_none_is_a_usage_error(car: Path) -> None:
    done = run_car("inspect", car, "--key", "did:key:zzz")
    assert done.status == 2
    assert done.out == b""
    assert "--key" in done.err


def test_a_small_car_needs_neither_the_server_nor_cryptography(car: Path) -> None:
    heavy = "{'aiohttp', 'pydantic', 'rich', 'cryptography', 'coincurve', 'pds.context'}"
    program = (
        "import sys\nfrom pds.cli import main\n"
        f"main(['car', 'inspect', {str(car)!r}], standalone_mode=False)\n"
        f"print({heavy} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stderr == "set()\n"


# --- ls


def test_ls_prints_a_line_for_each_record_in_order(car: Path) -> None:
    done = run_car("ls", car)
    cids = {key: Cid.of_dag_cbor(dagcbor.encode(value)) for key, value in RECORDS.items()}
    assert done.lines == [f"{key} {cids[key]}" for key in sorted(RECORDS)]
    assert (done.status, done.err) == (0, "")


def test_ls_of_a_collection_has_its_records_alone(car: Path) -> None:
    assert len(run_car("ls", car, POST).lines) == 6
    assert run_car("ls", car, "com.example.absent").out == b""
    (line,) = run_car("ls", car, "app.bsky.actor.profile", "--json").lines
    profile = Cid.of_dag_cbor(dagcbor.encode(RECORDS[PROFILE]))
    assert json.loads(line) == {
        "collection": "app.bsky.actor.profile",
        "rkey": "self",
        "cid": str(profile),
    }


def test_ls_of_blobs_has_each_once(car: Path) -> None:
    assert run_car("ls", car, "--blobs").lines == sorted([str(BLOB), str(LEGACY_BLOB)])
    claims = [json.loads(line) for line in run_car("ls", car, "--blobs", "--json").lines]
    assert {"cid": str(BLOB), "mimeType": "image/png", "size": 9} in claims
    assert {"cid": str(LEGACY_BLOB)} in claims


def test_ls_of_what_is_no_collection_is_refused(car: Path) -> None:
    done = run_car("ls", car, "../x")
    assert (done.status, done.out) == (1, b"")
    assert done.err == 'Error: Invalid NSID (got "../x")\n'


# --- get


def test_get_prints_a_record_as_json(car: Path) -> None:
    done = run_car("get", car, "com.example.note/UPPER")
    assert json.loads(done.out) == {"bytes": {"$bytes": "AP8"}, "link": {"$link": str(BLOB)}}
    assert done.out.endswith(b"}\n")


def test_get_raw_writes_the_block(car: Path) -> None:
    assert run_car("get", car, PROFILE, "--raw").out == dagcbor.encode(RECORDS[PROFILE])


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (f"{POST}/absent", f"has no record {POST}/absent"),
        ("self", "Invalid NSID"),
        (f"{POST}/..", "Invalid record key"),
    ],
)
def test_get_of_what_is_not_there_is_refused(car: Path, key: str, reason: str) -> None:
    done = run_car("get", car, key)
    assert (done.status, done.out) == (1, b"")
    assert done.err.startswith("Error: ")
    assert reason in done.err


# --- Files and pipes


@pytest.mark.parametrize("words", [("inspect",), ("ls",), ("verify",)], ids=" ".join)
def test_a_car_may_come_through_a_pipe(car: Path, words: tuple[str, ...]) -> None:
    from_pipe = run_car(*words, "-", stdin=car.read_bytes())
    from_file = run_car(*words, car)
    assert from_pipe.status == from_file.status == 0
    assert from_pipe.out.decode().replace("-: ", f"{car}: ") == from_file.out.decode()


def test_standard_input_may_be_a_file(car: Path) -> None:
    with car.open("rb") as file:
        done = subprocess.run(  # noqa: S603
            command("ls", "-"), stdin=file, capture_output=True, check=True, timeout=30
        )
    assert done.stdout == run_car("ls", car).out


def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path: Path) -> None:
    path = tmp_path / "many.car"
    path.write_bytes(car_of({f"{POST}/{n:05}": {} for n in range(5_000)}))
    process = subprocess.Popen(  # noqa: S603
        command("ls", path),
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert process.stdout.readline().startswith(f"{POST}/00000 ".encode())
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Programs started now heed SIGINT, although a shell in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_an_interruption_ends_it_without_a_traceback() -> None:
    process = subprocess.Popen(  # noqa: S603
        command("verify", "-"),
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    data = bytes(900_000)
    with process:
        # More than a pipe holds, and less than is read at once: now it waits for the rest.
        process.stdin.write(encode_header([BLOB]) + encode_varint(36 + len(data)) + data)
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"\nError: Interrupted.\n")


@pytest.mark.parametrize("words", [("inspect",), ("ls",), ("get", f"{POST}/x")], ids=" ".join)
@pytest.mark.parametrize("damage", [lambda car: car[:-1], lambda car: b"\x05" * 99])
def test_a_damaged_file_is_named_with_the_byte(
    tmp_path: Path, words: tuple[str, ...], damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "broken.car"
    path.write_bytes(damage(car_of()))
    done = run_car(words[0], path, *words[1:])
    assert (done.status, done.out) == (1, b"")
    assert re.fullmatch(rf"Error: {path}: .*at byte \d+ of the CAR\n", done.err)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run_car("inspect", tmp_path / "absent.car")
    assert (done.status, done.out) == (1, b"")
    assert done.err == f"Error: {tmp_path / 'absent.car'}: No such file or directory\n"
    assert run_car("ls", tmp_path).err == f"Error: {tmp_path}: Is a directory\n"


@pytest.mark.parametrize(
    "words",
    [
        *(("inspect", "{}"), ("ls", "{}"), ("get", "{}", f"{POST}/x"), ("verify", "{}")),
        *(("diff", "{}", "{}"), ("unpack", "{}", "{}-unpacked")),
    ],
    ids=lambda words: words[0],
)
def test_every_command_calls_what_is_no_car_that(tmp_path: Path, words: tuple[str, ...]) -> None:
    path = tmp_path / "alice.car"
    path.write_bytes(b"<!DOCTYPE html><title>502 Bad Gateway</title>" + b" " * 99)
    done = run_car(*(word.format(path) for word in words))
    assert done.status in (1, 2)
    assert f"{path}: this is not a CAR file: it is HTML or XML" in done.err + done.out.decode()
