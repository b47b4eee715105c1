"""aiohttp's private names that the server uses: each with its reason, and whether it is there.

A new minor version of aiohttp is let in (pyproject.toml) when these tests and those of connections,
their limit and the stop pass with it.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
from importlib.metadata import requires, version

import aiohttp
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from pds import DISTRIBUTION
from pds.server import connections

REASONS: dict[str, str] = {
    "_make_server": "an application takes a server of one's own in no other way",
    "_kwargs": "what that server hands to each of its connections",
    "_messages": "a connection idles while it has no request that waits",
    "_waiter": "and while it waits for one",
    "_ErrInfo": "tells a body that breaks off as malformed from the next request",
    "_current_request": "for whom a busy connection works, and whether a stop may close it",
    "_next_keepalive_close_time": "for how long a connection has been unused",
    "_request_handler": "a connection too many has a handler of its own",
    "_lingering_time": "and does not wait for the rest of a body",
}
"""Private names of `AppRunner`, `Server`, `RequestHandler` and `aiohttp.web_protocol`."""


def test_connections_use_these_names_and_no_others() -> None:
    tree = ast.parse(inspect.getsource(connections))
    nodes = list(ast.walk(tree))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {
        alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= set(connections.Connection.__slots__) | {"_limit", "_client_of"}
    private = {name for name in used if name.startswith("_") and not name.startswith("__")}
    assert private - own == REASONS.keys()


async def test_aiohttp_has_each_of_these_names() -> None:
    server = web.Server(lambda _request: asyncio.sleep(0, web.Response()))
    connection = RequestHandler(server, loop=asyncio.get_running_loop())
    places = (web.AppRunner, server, connection, aiohttp.web_protocol)
    missing = {
        name: reason
        for name, reason in REASONS.items()
        if not any(hasattr(place, name) for place in places)
    }
    assert missing == {}, f"aiohttp {version('aiohttp')} has changed"


def test_only_the_minor_version_that_is_tested_is_let_in() -> None:
    major, minor = map(int, version("aiohttp").split(".")[:2])
    (required,) = [each for each in requires(DISTRIBUTION) or () if each.startswith("aiohttp")]
    assert f"<{major}.{minor + 1}" in required
