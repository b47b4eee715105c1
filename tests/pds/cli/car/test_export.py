"""`pds car export` from a server that runs: an archive that is kept current."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from repo.cid import Cid
from tests.pds.cli.car.conftest import Ended, command, run_car
from tests.pds.cli.conftest import OperatedServer
from tests.processes import DevServer, clean_environment

POST = "app.bsky.feed.post"


@dataclass(slots=True)
class Author:
    """Somebody who posts pictures on a running server."""

    url: str
    plc_url: str
    did: str
    handle: str
    token: str

    def post_picture(self, data: bytes) -> Cid:
        blob = self._call("com.atproto.repo.uploadBlob", data, "image/png")["blob"]
        embed = {"$type": "app.bsky.embed.images", "images": [{"alt": "", "image": blob}]}
        post = {"$type": POST, "text": "look", "createdAt": "2026-01-01T00:00:00Z", "embed": embed}
        body = {"repo": self.did, "collection": POST, "record": post}
        self._call("com.atproto.repo.createRecord", json.dumps(body).encode(), "application/json")
        return Cid.of_raw(data)

    def export(self, *args: str | Path, by: str | None = None) -> Ended:
        """Run the command for this account on this server."""
        return run_car("export", by or self.did, *args, "--plc", self.plc_url, "--pds", self.url)

    def _call(self, nsid: str, body: bytes, content_type: str) -> Any:
        headers = {"Content-Type": content_type, "Authorization": f"Bearer {self.token}"}
        request = Request(f"{self.url}/xrpc/{nsid}", data=body, headers=headers)  # noqa: S310
        with urlopen(request, timeout=10) as response:  # noqa: S310
            return json.load(response)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatedServer]:
    """A server of these tests alone, for they lose some of its files."""
    started = DevServer.start(tmp_path_factory.mktemp("exported"))
    yield OperatedServer(started)
    started.stop()


@pytest.fixture(scope="module")
def author(server: OperatedServer) -> Author:
    body = {"handle": "painter.test", "email": "p@example.com", "password": "correct-horse"}
    session = server.post("com.atproto.server.createAccount", body)
    plc_url = f"http://localhost:{server.server.plc_port}"
    token = session["accessJwt"]
    return Author(server.server.url, plc_url, session["did"], session["handle"], token)


def pictures(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def test_an_archive_is_made_and_kept_current(author: Author, tmp_path: Path) -> None:
    car, blobs = tmp_path / "a.car", tmp_path / "blobs"
    cids = {author.post_picture(b"picture %d" % n) for n in range(3)}
    first = author.export(car, "--blobs", blobs, by=author.handle)
    assert (first.status, first.out) == (0, b"")
    assert f"{car}: fetched, {author.did} at rev " in first.err
    assert pictures(blobs) == {f"{author.did}/{cid}" for cid in cids}
    again = author.export(car, "--blobs", blobs)
    assert "up to date already" in again.err
    assert "0 blobs fetched, 3 there already" in again.err
    cids.add(author.post_picture(b"one more"))
    second = author.export(car, "--blobs", blobs)
    assert second.status == 0
    assert f"{car}: updated, " in second.err
    assert "1 blob fetched, 3 there already" in second.err
    assert pictures(blobs) == {f"{author.did}/{cid}" for cid in cids}
    # What an update makes is what a first export makes, byte by byte.
    assert author.export("-").out == car.read_bytes()
    assert run_car("verify", car, "--plc", author.plc_url).status == 0
    assert run_car("ls", car, "--blobs").lines == sorted(map(str, cids))
    assert {path.name for path in tmp_path.iterdir()} == {"a.car", "blobs"}


def test_a_lost_picture_is_told_and_the_rest_is_there(
    author: Author, server: OperatedServer, tmp_path: Path
) -> None:
    cid = author.post_picture(b"to be lost")
    (found,) = server.server.data.rglob(str(cid))
    found.unlink()
    done = author.export(tmp_path / "a.car", "--blobs", tmp_path / "blobs")
    assert done.status == 1
    assert f"blob {cid}: " in done.err
    assert done.err.endswith("Error: 1 blob could not be fetched: run this again to retry.\n")
    assert run_car("verify", tmp_path / "a.car").status == 0
    assert f"{author.did}/{cid}" not in pictures(tmp_path / "blobs")


def test_without_a_name_the_file_is_named_for_the_did(author: Author, tmp_path: Path) -> None:
    where = ("--plc", author.plc_url, "--pds", author.url)
    assert run_car("export", author.did, *where, cwd=tmp_path).status == 0
    (path,) = tmp_path.iterdir()
    assert path.name == f"{author.did.replace(':', '_')}.car"


def test_the_server_of_a_did_document_is_private_here_and_so_is_not_asked(author: Author) -> None:
    done = run_car("export", author.did, "-", "--plc", author.plc_url)
    assert (done.status, done.out) == (1, b"")
    assert f"name it: --pds {author.url}" in done.err


def test_a_damaged_copy_is_left_alone(author: Author, tmp_path: Path) -> None:
    car = tmp_path / "a.car"
    author.export(car)
    damaged = car.read_bytes()[:-1]
    car.write_bytes(damaged)
    done = author.export(car)
    assert done.status == 1
    assert "at byte" in done.err
    assert "Move it away" in done.err
    assert car.read_bytes() == damaged


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("did:plc:" + "a" * 24, "not registered"),
        ("nobody.test", "refuses com.atproto.identity.resolveHandle"),
        ("no name", "Invalid AT identifier"),
    ],
)
def test_an_account_that_there_is_not_is_told(
    author: Author, tmp_path: Path, name: str, reason: str
) -> None:
    done = author.export(tmp_path / "a.car", by=name)
    assert (done.status, done.out) == (1, b"")
    assert reason in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_told(author: Author, tmp_path: Path) -> None:
    where = ("--plc", author.plc_url, "--pds", "no-url")
    done = run_car("export", author.did, tmp_path / "a.car", *where)
    assert done.status == 1
    assert "no-url gives no usable answer" in done.err


def test_an_export_goes_through_a_pipe(author: Author) -> None:
    author.post_picture(b"piped")
    words = command("export", author.did, "-", "--plc", author.plc_url, "--pds", author.url)
    with subprocess.Popen(words, env=clean_environment(), stdout=subprocess.PIPE) as export:  # noqa: S603
        done = subprocess.run(  # noqa: S603
            command("verify", "-"),
            env=clean_environment(),
            stdin=export.stdout,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0
    assert done.stdout.startswith(b"-: sound, ")
