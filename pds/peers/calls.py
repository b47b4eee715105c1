"""Functions that run in a certain process of the server: where an actor is written, or the first.

A server that is one process calls them directly. Their arguments and results are values that can
be pickled, besides the context, of which each process has its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from pds.peers.encoding import encode
from pds.peers.link import TELL

if TYPE_CHECKING:
    from pds.peers.peers import Peers

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D", bound=str)


class HasPeers(Protocol):
    """A context, as far as calls need it."""

    peers: Peers


Ctx = TypeVar("Ctx", bound=HasPeers)

ANSWER_S: Final = 0.5
"""A process answers in some milliseconds, unless it hangs."""

FUNCTIONS: Final[dict[str, Callable[..., Awaitable[Any]]]] = {}
"""What peers may call, by module and name; the first argument is the context."""
TOLD: Final[dict[str, Callable[..., None]]] = {}
"""What peers may tell, without an answer; quick, and without errors."""


def by_owner(
    fn: Callable[Concatenate[Ctx, D, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Ctx, D, P], Coroutine[Any, Any, T]]:
    """Run the decorated function, of a context and a DID, in the process that writes this actor.

    So its commits are in one process, in which they wait for nobody, and their events in order.
    Besides what the function raises, the call may raise `PeerGone`.
    """
    name = _register(fn)

    @wraps(fn)
    def call(ctx: Ctx, did: D, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        owner = ctx.peers.owner_of(did)
        if owner is None:
            return fn(ctx, did, *args, **kwargs)
        return owner.call(name, did, *args, **kwargs)

    return call


def by_first(
    fn: Callable[Concatenate[Ctx, P], Awaitable[T]],
) -> Callable[Concatenate[Ctx, P], Awaitable[T]]:
    """Run the decorated function, of a context, in the first process."""
    name = _register(fn)

    @wraps(fn)
    def call(ctx: Ctx, /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        first = ctx.peers.first
        return fn(ctx, *args, **kwargs) if first is None else first.call(name, *args, **kwargs)

    return call


def by_all(
    fn: Callable[Concatenate[Ctx, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Ctx, P], Coroutine[Any, Any, list[T]]]:
    """Run the decorated function, of a context, in every process; the result is a list.

    A process that ends meanwhile is left out: what it knew is gone with it.
    """
    name = _register(fn)

    @wraps(fn)
    async def call(ctx: Ctx, /, *args: P.args, **kwargs: P.kwargs) -> list[T]:
        own = await fn(ctx, *args, **kwargs)
        return [own, *await ctx.peers.ask_others(name, *args, **kwargs)]

    return call


async def in_time(asking: Awaitable[list[T]], *, within_s: float = ANSWER_S) -> list[T]:
    """Return what a `by_all` function does; an empty list if a process takes longer than that.

    For what nobody should wait for that a hanging process knows.
    """
    try:
        async with asyncio.timeout(within_s):
            return await asking
    except TimeoutError:
        return []


def told(fn: Callable[Concatenate[Ctx, P], None]) -> Callable[Concatenate[Ctx, P], None]:
    """Let other processes tell this one: `telling(fn, …)` is the message that calls `fn`."""
    TOLD[_name_of(fn)] = fn
    return fn


def telling(fn: Callable[Concatenate[Any, P], None], *args: P.args, **kwargs: P.kwargs) -> bytes:
    """Return the message that calls a `told` function in the process that gets it."""
    return encode((TELL, 0, _name_of(fn), args, kwargs))


def _register(fn: Callable[..., Awaitable[Any]]) -> str:
    name = _name_of(fn)
    FUNCTIONS[name] = fn
    return name


def _name_of(fn: Callable[..., Any]) -> str:
    return f"{fn.__module__}:{fn.__qualname__}"
