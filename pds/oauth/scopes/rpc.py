"""The scope `rpc:`: calling methods of other services on behalf of the account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pds.oauth.scopes.syntax import read_fields, write_scope
from pds.oauth.scopes.values import ANY, all_or_each, is_nsid_or_any, is_service


@dataclass(slots=True, frozen=True)
class RpcScope:
    """Leave to call `methods`, or all by `*`, of the service `aud`, or of any by `*`; not both."""

    methods: tuple[str, ...]
    aud: str

    @classmethod
    def parse(cls, text: str) -> RpcScope | None:
        """Parse a scope; None if it is no valid scope of this kind."""
        fields = read_fields(text, "rpc", "lxm", "aud")
        if fields is None or len(fields.get("aud", ())) != 1:
            return None
        return cls.of(fields.get("lxm", ()), fields["aud"][0])

    @classmethod
    def of(cls, methods: Iterable[str], aud: str) -> RpcScope | None:
        """Make a scope; None if a value is not valid, there is none, or all would be allowed."""
        names = tuple(methods)
        if not names or not all(map(is_nsid_or_any, names)):
            return None
        if aud == ANY:
            return None if ANY in names else cls(all_or_each(names), aud)
        return cls(all_or_each(names), aud) if is_service(aud) else None

    def allows(self, method: str, aud: str) -> bool:
        """Whether the scope allows a method of a service, which is compared character by character.

        `*` as the method asks for all of them.
        """
        names = self.methods
        return self.aud in (ANY, aud) and (method in names or ANY in names)

    def __str__(self) -> str:
        """The scope as text, in its shortest form."""
        return write_scope("rpc", ("lxm", self.methods), ("aud", (self.aud,)))
