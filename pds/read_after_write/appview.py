"""What is asked of an AppView, and how its JSON is read: nothing is taken for granted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

Json: TypeAlias = dict[str, Any]
"""A JSON object."""


class AppView(Protocol):
    """Asks an AppView on behalf of the account whose request is being answered."""

    async def query(self, nsid: str, params: Mapping[str, str | int]) -> Any:
        """The parsed JSON that a query answers with 200. Raises `AppViewError`."""


class AppViewError(Exception):
    """The AppView could not be asked, refused, or answered something else than its Lexicon says."""


class UnexpectedAnswer(AppViewError):
    """JSON of another shape than the Lexicon of the method says."""


def as_object(value: object) -> Json:
    """`value`, which must be an object. Raises `UnexpectedAnswer`."""
    if type(value) is not dict:
        raise UnexpectedAnswer(f"an object was expected, not {type(value).__name__}")
    return value


def object_in(value: object, name: str) -> Json:
    """The object under `name`. Raises `UnexpectedAnswer`."""
    return as_object(as_object(value).get(name))


def list_in(value: object, name: str) -> list[Any]:
    """The list under `name`. Raises `UnexpectedAnswer`."""
    found = as_object(value).get(name)
    if type(found) is not list:
        raise UnexpectedAnswer(f"{name} is not a list but {type(found).__name__}")
    return found


def text_in(value: object, name: str) -> str:
    """The string under `name`. Raises `UnexpectedAnswer`."""
    found = as_object(value).get(name)
    if type(found) is not str:
        raise UnexpectedAnswer(f"{name} is not a string but {type(found).__name__}")
    return found
