"""Queries to an AppView, and checked access to its JSON: its shape is not taken for granted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

Json: TypeAlias = dict[str, Any]
"""A JSON object."""


class AppView(Protocol):
    """Queries an AppView on behalf of the account whose request is being answered."""

    async def query(self, nsid: str, params: Mapping[str, str | int]) -> Any:
        """Return the parsed JSON of a 200 answer to a query. Raises `AppViewError`."""


class AppViewError(Exception):
    """The AppView could not be reached, refused, or gave an answer that violates its Lexicon."""


class UnexpectedAnswer(AppViewError):
    """The JSON has another shape than the method's Lexicon says."""


def as_object(value: object) -> Json:
    """Return `value`, which must be an object. Raises `UnexpectedAnswer`."""
    if type(value) is not dict:
        raise UnexpectedAnswer(f"an object was expected, not {type(value).__name__}")
    return value


def object_in(value: object, name: str) -> Json:
    """Return the object under `name`. Raises `UnexpectedAnswer`."""
    return as_object(as_object(value).get(name))


def list_in(value: object, name: str) -> list[Any]:
    """Return the list under `name`. Raises `UnexpectedAnswer`."""
    found = as_object(value).get(name)
    if type(found) is not list:
        raise UnexpectedAnswer(f"{name} is not a list but {type(found).__name__}")
    return found


def text_in(value: object, name: str) -> str:
    """Return the string under `name`. Raises `UnexpectedAnswer`."""
    found = as_object(value).get(name)
    if type(found) is not str:
        raise UnexpectedAnswer(f"{name} is not a string but {type(found).__name__}")
    return found
