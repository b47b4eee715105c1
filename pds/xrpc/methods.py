"""Declarations of XRPC methods: a handler, together with everything known about its method."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from aiohttp import web

from pds.accounts.scopes import PRIVILEGED, STANDARD, SessionScope
from pds.rate_limits.method_limits import MethodLimits
from pds.xrpc.body import JSON_LIMIT_BYTES
from pds.xrpc.call import Answer, ReadCall, XrpcCall
from pds.xrpc.credentials import Authenticator

C = TypeVar("C", bound=ReadCall)
C_contra = TypeVar("C_contra", bound=ReadCall, contravariant=True)

NOBODY: Final = frozenset[SessionScope]()
"""For `elsewhere`: the method is for the account itself on its own server."""

_PRIVATE_MESSAGES: Final = "chat.bsky."
"""The whole namespace: it grows, and a list of its methods, as in the reference, goes stale."""


@dataclass(slots=True, frozen=True)
class Method(Generic[C_contra]):
    """One endpoint, typed by the kind of call that its handler needs."""

    nsid: str
    handler: Callable[[C_contra], Awaitable[Answer]]
    auth: Authenticator | None = None
    """None if the Authorization header is ignored."""
    limits: MethodLimits | None = None
    """Rate limits besides the one for all requests."""
    max_body_bytes: int = JSON_LIMIT_BYTES
    """For JSON; the settings limit binary input."""
    elsewhere: frozenset[SessionScope] = STANDARD
    """The sessions that may reach it on other services, by proxying or with a service token."""
    own_params: bool = False
    """Whether the handler parses the parameters itself, because it takes more than the Lexicon."""
    like_s3: bool = False
    """Whether bytes may also come by PUT and without a media type, as clients send them to S3."""
    body_optional: bool = False
    """Whether a request without a JSON body counts as one with an empty object."""


XrpcMethod: TypeAlias = Method[XrpcCall]
"""An endpoint of a full server, which may be one that only reads."""


class _Methods(Generic[C]):
    """A collection of methods, filled by decorating handlers."""

    def __init__(self) -> None:
        self._methods: list[Method[C]] = []

    def method(
        self,
        nsid: str,
        *,
        auth: Authenticator | None = None,
        limits: MethodLimits | None = None,
        max_body_bytes: int = JSON_LIMIT_BYTES,
        elsewhere: frozenset[SessionScope] = STANDARD,
        own_params: bool = False,
        like_s3: bool = False,
        body_optional: bool = False,
    ) -> Callable[[Callable[[C], Awaitable[Answer]]], Callable[[C], Awaitable[Answer]]]:
        """Serve `nsid` with the decorated handler. See `Method` for the rest."""
        named = limits and limits.named_after(nsid)

        def declare(handler: Callable[[C], Awaitable[Answer]]) -> Callable[[C], Awaitable[Answer]]:
            method: Method[C] = Method(
                nsid,
                handler,
                auth=auth,
                limits=named,
                max_body_bytes=max_body_bytes,
                elsewhere=elsewhere,
                own_params=own_params,
                like_s3=like_s3,
                body_optional=body_optional,
            )
            self._methods.append(method)
            return handler

        return declare

    def __iter__(self) -> Iterator[Method[C]]:
        return iter(self._methods)


class XrpcMethods(_Methods[XrpcCall]):
    """The endpoints of one Lexicon namespace."""


class ReadMethods(_Methods[ReadCall]):
    """The endpoints of one Lexicon namespace that only read, for servers of any kind."""


class MethodTable:
    """Every method that a server serves, and lookups derived from their declarations."""

    def __init__(self, methods: Iterable[XrpcMethod]) -> None:
        self._methods = tuple(methods)
        # In lower case: the authority of an NSID is a domain name, and a service that compares
        # loosely must not be a way around this check.
        self._elsewhere = {method.nsid.lower(): method.elsewhere for method in self._methods}

    def __iter__(self) -> Iterator[XrpcMethod]:
        return iter(self._methods)

    @property
    def limits(self) -> dict[str, MethodLimits]:
        """The limits of each method that declares some, by NSID."""
        return {method.nsid: method.limits for method in self._methods if method.limits}

    def scopes_elsewhere(self, nsid: str) -> frozenset[SessionScope]:
        """Return the sessions that may reach a method on other services, in any letter case."""
        lower = nsid.lower()
        if lower.startswith(_PRIVATE_MESSAGES):
            return PRIVILEGED
        return self._elsewhere.get(lower, STANDARD)


METHOD_TABLE: Final = web.AppKey("method_table", MethodTable)
