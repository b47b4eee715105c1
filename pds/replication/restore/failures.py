"""What a group of tasks raises: its first failure, which callers can handle, and not a group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def first_failure() -> Iterator[None]:
    """Raise the first error of an `asyncio.TaskGroup` within the block instead of its group.

    The others have been cancelled for it.
    """
    try:
        yield
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
