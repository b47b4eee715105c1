"""An AppView on loopback that says what a test wants it to say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

DID = "did:web:appview.test"


@dataclass(slots=True, frozen=True)
class Answer:
    """What is answered to a query; a body that is not bytes is sent as JSON."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names are in lower case."""


@dataclass(slots=True, frozen=True)
class Query:
    """A query that came in. Of a repeated parameter the last one counts."""

    nsid: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    """Names are in lower case."""


@dataclass(slots=True)
class AppView:
    """Answers by NSID; any other query is refused."""

    url: str = ""
    answers: dict[str, Answer | Callable[[Query], Answer]] = field(default_factory=dict)
    queries: list[Query] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make this the AppView of a server."""
        return {"PDS_BSKY_APP_VIEW_URL": self.url, "PDS_BSKY_APP_VIEW_DID": DID}

    def answer(self, query: Query) -> Answer:
        """Note a query and give the answer to it."""
        self.queries.append(query)
        answer = self.answers.get(query.nsid)
        if answer is None:
            return Answer({"error": "Refused", "message": "not in the table"}, 400)
        return answer(query) if callable(answer) else answer


@contextmanager
def serve_appview() -> Iterator[AppView]:
    """An AppView with an empty table, in a thread of its own."""
    appview = AppView()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            nsid = parts.path.removeprefix("/xrpc/")
            answer = appview.answer(Query(nsid, dict(parse_qsl(parts.query)), headers))
            is_bytes = isinstance(answer.body, bytes)
            body = answer.body if is_bytes else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            named = {"content-type": "application/json", "content-length": str(len(body))}
            for name, value in {**named, **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    appview.url = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield appview
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
