"""Guessing the administrator's password as quickly as the server answers."""

from __future__ import annotations

import json
import subprocess

import pytest

from pds.rate_limits.admin_guesses import WRONG
from tests.e2e.hostile.attack import attack
from tests.e2e.hostile.scale import scaled
from tests.processes import DevServer

SECONDS = scaled(1.5, 10.0)


def answers_of(process: subprocess.Popen[str]) -> dict[str, int]:
    assert process.stdout is not None
    answers: dict[str, int] = json.loads(process.stdout.readlines()[-1])
    return answers


@pytest.mark.parametrize("address", ["203.0.113.77", "127.0.0.1"])
def test_few_of_many_guesses_are_told_to_be_wrong(server: DevServer, address: str) -> None:
    with attack("admin_guessing", server.url, address, str(SECONDS)) as (attacker,):
        answers = answers_of(attacker)
    assert answers.pop("401") == WRONG.points
    assert answers.keys() == {"429"}
