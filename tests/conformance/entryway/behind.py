"""A server behind an entryway, and what a client and the entryway have seen of each request."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.client import Client, Reply
from tests.entryway import Asked, Entryway


@dataclass(slots=True)
class Outcome:
    """What a client and the entryway have seen of one request."""

    status: int
    body: Any
    message: str | None
    asked: list[Any]

    @property
    def brief(self) -> str:
        is_error = isinstance(self.body, dict) and "error" in self.body
        return f"{self.status} {self.body['error']}" if is_error else str(self.status)


@dataclass(slots=True)
class Behind:
    """One server, its entryway, and what both have seen."""

    client: Client
    entryway: Entryway
    run: Callable[[Awaitable[Any]], Any]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    alice: str = ""
    names: dict[str, str] = field(default_factory=dict)

    def call(
        self, name: str, nsid: str, body: Any = None, auth: str | None = None, verb: str = "POST"
    ) -> Reply:
        """Make one request and keep its outcome under `name`."""
        self.entryway.asked.clear()
        headers = {"X-Forwarded-For": "203.0.113.7"}
        if auth is not None:
            headers["Authorization"] = auth
        if body is not None:
            headers["Content-Type"] = "application/json"
        reply = self.client.request(
            verb,
            f"/xrpc/{nsid}",
            headers=headers,
            body=None if body is None else json.dumps(body).encode(),
        )
        assert name not in self.outcomes, name
        json_body = self.plain(reply.json)
        if isinstance(json_body, dict):
            # Of checkAccountStatus here, beyond the Lexicon.
            for name_of_ours in ("storage", "warnings"):
                json_body.pop(name_of_ours, None)
        message = json_body.pop("message", None) if self._is_error(json_body) else None
        asked = [self._told(one, auth) for one in self.entryway.asked]
        self.outcomes[name] = Outcome(reply.status, json_body, message, asked)
        return reply

    def query(self, name: str, nsid: str, auth: str | None = None) -> Reply:
        """Make one query."""
        return self.call(name, nsid, None, auth, "GET")

    def _told(self, asked: Asked, auth: str | None) -> Any:
        header = asked.authorization
        who: Any = None
        if header is not None and header == auth:
            who = "as sent"
        elif header is not None:
            claims = asked.claims
            lifetime = claims.pop("exp") - claims.pop("iat")
            claims["jti"] = len(claims["jti"])
            who = {**claims, "lifetime": lifetime}
        forwarded = asked.headers.get("X-Forwarded-For")
        return self.plain([asked.verb, asked.path, asked.json, who, forwarded])

    def plain(self, value: Any) -> Any:
        """The same without what differs from run to run."""
        text = json.dumps(value)
        for known, word in {self.alice: "<alice>", **self.names}.items():
            text = text.replace(known or "<none>", word)
        text = re.sub(r"eyJ[\w.-]+", "JWT", text)
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
        text = re.sub(r"http://(localhost|127\.0\.0\.1):\d+", "URL", text)
        text = re.sub(r"bafyrei[2-7a-z]{52}", "CID", text)
        text = re.sub(r'(?<=")[2-7a-j][2-7a-z]{12}(?=")', "TID", text)
        text = re.sub(r"did:plc:[2-7a-z]{24}", "DID", text)
        text = re.sub(r"(did:key:)?z[1-9A-HJ-NP-Za-km-z]{40,}", "KEY", text)
        return json.loads(text)

    @staticmethod
    def _is_error(value: Any) -> bool:
        return isinstance(value, dict) and "error" in value
