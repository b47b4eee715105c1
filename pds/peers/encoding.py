"""Messages between the processes of one server, as bytes: pickled, with errors as they are.

Both ends are the same version of this program, started by the same process, and nobody else can
reach their sockets (see `sockets`), so that pickle is safe here.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Final

_PROTOCOL: Final = 5


class _Pickler(pickle.Pickler):
    """Pickles every error, whatever its constructor takes, and dataclasses with slots quickly."""

    def reducer_override(self, obj: object) -> Any:
        """See `pickle.Pickler.reducer_override`."""
        if isinstance(obj, BaseException):
            return _restored, (type(obj), obj.args, obj.__dict__)
        kind: Any = type(obj)
        names = _names_of(kind)
        if names is None:
            return NotImplemented
        return kind, tuple([getattr(obj, name) for name in names])


@cache
def _names_of(kind: type) -> tuple[str, ...] | None:
    """Return what the constructor of a dataclass with slots takes; None for any other class.

    Its own way of being unpickled looks up its fields for every object.
    """
    if not is_dataclass(kind) or "__slots__" not in vars(kind):
        return None
    found = fields(kind)
    if not all(field.init and not field.kw_only for field in found):
        return None
    return tuple(field.name for field in found)


def encode(message: object) -> bytes:
    """Return the bytes of a message. Raises what pickle raises for what it cannot take."""
    out = io.BytesIO()
    _Pickler(out, _PROTOCOL).dump(message)
    return out.getvalue()


def decode(data: bytes | memoryview) -> Any:
    """Return the message that `encode` got."""
    return pickle.loads(data)  # noqa: S301 (from a process of this server)


def _restored(
    kind: type[BaseException], args: tuple[object, ...], attributes: dict[str, object]
) -> BaseException:
    """Make an error again without its constructor, which may take something else than `args`."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error
