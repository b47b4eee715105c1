"""The recipe of CONTRIBUTING.md for a new endpoint, followed to the letter."""

from __future__ import annotations

import json
import textwrap
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from pds import read_context
from pds.api import METHODS
from pds.server import app
from repo.lexicon import Lexicons
from tests.pds.conftest import Account, Pds, start_pds
from tests.test_documents import ROOT, read, section

RECIPE = section(read(ROOT / "CONTRIBUTING.md"), "A new endpoint with its own Lexicon")


def block(language: str, marker: str) -> str:
    """The code block of the recipe that has `marker`."""
    blocks = [part.split("   ```")[0] for part in RECIPE.split(f"   ```{language}\n")[1:]]
    (found,) = (text for text in blocks if marker in text)
    return textwrap.dedent(found)


@pytest.fixture
async def pds(
    tmp_path: Path, pds_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Pds]:
    """A server with the endpoint of the recipe."""
    lexicons = Lexicons(own=[json.loads(block("json", "lexicon"))])
    monkeypatch.setattr(read_context, "default_lexicons", lambda: lexicons)
    module: dict[str, Any] = {"__name__": "example"}
    exec(block("python", "methods = XrpcMethods()"), module)  # noqa: S102
    monkeypatch.setattr(app, "METHODS", (*METHODS, module["methods"]))
    async with AsyncExitStack() as stack:
        yield await start_pds(stack, tmp_path, pds_environ)


async def test_the_endpoint_of_the_recipe_passes_the_test_of_the_recipe(
    pds: Pds, alice: Account
) -> None:
    module: dict[str, Any] = {"Pds": Pds, "Account": Account}
    exec(block("python", "async def test_"), module)  # noqa: S102
    await module["test_an_account_learns_how_many_records_it_has"](pds, alice)
    reply = await pds.get("com.example.countRecords", alice.auth, atLeast="-1")
    assert reply.error == (400, "InvalidRequest")
    assert (await pds.get("com.atproto.server.describeServer")).status == 200
