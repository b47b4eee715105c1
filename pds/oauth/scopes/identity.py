"""The scope `identity:`: changing the handle, or all of the DID document."""

from __future__ import annotations

from dataclasses import dataclass

from pds.oauth.scopes.syntax import read_fields, write_scope
from pds.oauth.scopes.values import ANY


@dataclass(slots=True, frozen=True)
class IdentityScope:
    """Leave to change an attribute of the identity: `handle`, or everything by `*`."""

    attribute: str

    @classmethod
    def parse(cls, text: str) -> IdentityScope | None:
        """Parse a scope; None if it is no valid scope of this kind."""
        fields = read_fields(text, "identity", "attr")
        values = () if fields is None else fields.get("attr", ())
        return cls(values[0]) if values in (("handle",), (ANY,)) else None

    def allows(self, attribute: str) -> bool:
        """Whether the scope allows to change an attribute; `*` asks for all."""
        return self.attribute in (ANY, attribute)

    def __str__(self) -> str:
        """The scope as text."""
        return write_scope("identity", ("attr", (self.attribute,)))
