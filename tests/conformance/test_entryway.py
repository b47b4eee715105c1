"""Both servers behind entryways of one kind: they answer alike, and ask their entryways alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pds.dev.plc_store import PlcStore
from tests.conformance.client import Client
from tests.conformance.entryway.behind import Behind
from tests.conformance.entryway.cases import PARTS
from tests.conformance.entryway.oauth import outcomes_of
from tests.entryway import PDS_ADMIN, entryway_in_thread
from tests.processes import free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

DIFFERENCES: dict[str, tuple[str, str]] = {
    "a handle that is taken": ("500 InternalServerError", "400 InvalidRequest"),
    "a redirect": ("502 InternalServerError", "502 InvalidResponse"),
}
"""Status and error name that each server answers to a case, the reference first."""

OTHER_WORDS: frozenset[str] = frozenset({"a page", "refused in text"})
"""Cases in which only the message differs."""


@pytest.fixture(scope="module")
def both(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Behind]]:
    home = tmp_path_factory.mktemp("entryways")
    PlcStore(home / "plc.sqlite").close()
    with ExitStack() as stack:
        plc_url = stack.enter_context(plc.directory_of(home / "plc.sqlite"))
        servers: list[Behind] = []
        for start in (serve, reference.serve):
            directory = home / f"data-{len(servers)}"
            (directory / "blobs").mkdir(parents=True)
            entryway, run = stack.enter_context(entryway_in_thread())
            environ = {
                **data.environment(directory),
                **entryway.environ,
                "PDS_DID_PLC_URL": plc_url,
                "PDS_ADMIN_PASSWORD": PDS_ADMIN,
                "PDS_ENTRYWAY_ADMIN_TOKEN": "",
            }
            port = free_port()
            server = start(environ, port=port, log_file=directory.with_suffix(".log"))
            stack.callback(server.stop)
            entryway.pds_url = server.url
            entryway.pds_public_url = f"http://localhost:{port}"
            entryway.pds_did = "did:web:localhost"
            entryway.plc_url = plc_url
            servers.append(Behind(Client(server.url), entryway, run))
        yield servers


def test_both_servers_answer_oauth_clients_alike(both: list[Behind]) -> None:
    ours, theirs = (
        outcomes_of(behind, behind.run(behind.entryway.sign_up("carol.test", "pw")).did)
        for behind in both
    )
    assert ours["good"][0] == ours["reference"][0] == 200
    assert ours == theirs


def test_both_servers_behave_alike_behind_an_entryway(both: list[Behind]) -> None:
    for behind in both:
        for part in PARTS:
            part(behind)
    ours, theirs = (behind.outcomes for behind in both)
    assert list(ours) == list(theirs)
    assert len(ours) > 120
    found = {
        name: (theirs[name].brief, ours[name].brief)
        for name in ours
        if (theirs[name].status, theirs[name].body) != (ours[name].status, ours[name].body)
    }
    assert found == DIFFERENCES, {n: (theirs[n], ours[n]) for n in found if n not in DIFFERENCES}
    words = {
        name for name in ours if name not in found and theirs[name].message != ours[name].message
    }
    assert {name: (theirs[name].message, ours[name].message) for name in words} == {
        name: (theirs[name].message, ours[name].message) for name in OTHER_WORDS
    }
    asked = {name: (theirs[name].asked, ours[name].asked) for name in ours}
    assert {name: pair for name, pair in asked.items() if pair[0] != pair[1]} == {}


def test_both_servers_name_the_entryway_as_authorization_server(both: list[Behind]) -> None:
    path = "/.well-known/oauth-protected-resource"
    ours, theirs = (behind.plain(behind.client.request("GET", path).json) for behind in both)
    assert ours == theirs


def test_every_difference_is_in_the_document() -> None:
    text = (Path(__file__).parents[2] / "docs" / "entryway.md").read_text()
    for name in {*DIFFERENCES, *OTHER_WORDS}:
        assert f"| {name} |" in text
