"""The same requests to both servers: the same answers, but for the differences that are listed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pds.dev.plc_store import PlcStore
from tests.conformance.answers import TOPICS
from tests.conformance.answers.case import Run, Topic
from tests.conformance.answers.differences import DIFFERENCES, OTHER_WORDS
from tests.conformance.client import Client
from tests.conformance.service import running_service
from tests.processes import ServerProcess, free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]


@dataclass(slots=True, frozen=True)
class Servers:
    """Both servers, each on a new data directory."""

    holdfast: Client
    reference: Client
    service: str
    """The DID of a service that requests are passed on to."""


@pytest.fixture(scope="module")
def servers(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    home = tmp_path_factory.mktemp("servers")
    PlcStore(home / "plc.sqlite").close()
    started: list[ServerProcess] = []
    with (
        running_service(home / "plc.sqlite") as service,
        plc.directory_of(home / "plc.sqlite") as plc_url,
    ):
        try:
            for start in (serve, reference.serve):
                directory = home / f"data-{len(started)}"
                (directory / "blobs").mkdir(parents=True)
                env = data.environment(directory) | {"PDS_DID_PLC_URL": plc_url}
                log_file = directory.with_suffix(".log")
                started.append(start(env, port=free_port(), log_file=log_file))
            ours, theirs = started
            yield Servers(Client(ours.url), Client(theirs.url), service)
        finally:
            for server in started:
                server.stop()


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_both_servers_answer_alike(servers: Servers, topic: Topic) -> None:
    names = {"service": servers.service}
    ours = Run(topic, servers.holdfast, names).answers()
    theirs = Run(topic, servers.reference, names).answers()
    pairs = {case.name: (theirs[case.name], ours[case.name]) for case in topic.cases}
    found = {
        name: (reference.brief, holdfast.brief)
        for name, (reference, holdfast) in pairs.items()
        if replace(reference, message=None) != replace(holdfast, message=None)
    }
    allowed = {
        one.case: (one.reference, one.holdfast) for one in DIFFERENCES if one.topic == topic.name
    }
    assert found == allowed
    other_words = {
        (topic.name, name)
        for name, (reference, holdfast) in pairs.items()
        if name not in allowed and reference.message != holdfast.message
    }
    assert other_words == {case for case in OTHER_WORDS if case[0] == topic.name}


def test_every_difference_is_in_the_document() -> None:
    text = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text()
    documented = set(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.MULTILINE))
    assert documented == {(one.topic, one.case) for one in DIFFERENCES} | OTHER_WORDS
