"""The scope `account:`: reading or managing an attribute of the account on this server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pds.oauth.scopes.syntax import read_fields, write_scope

ATTRIBUTES: Final = ("email", "repo", "status")
READ: Final = "read"
MANAGE: Final = "manage"


@dataclass(slots=True, frozen=True)
class AccountScope:
    """Leave to take `actions` on one attribute; to manage includes to read."""

    attribute: str
    actions: tuple[str, ...] = (READ,)

    @classmethod
    def parse(cls, text: str) -> AccountScope | None:
        """Parse a scope; None if it is no valid scope of this kind."""
        fields = read_fields(text, "account", "attr", "action")
        if fields is None or len(fields.get("attr", ())) != 1:
            return None
        [attribute], actions = fields["attr"], fields.get("action", (READ,))
        if attribute not in ATTRIBUTES or not frozenset(actions) <= {READ, MANAGE}:
            return None
        return cls(attribute, tuple(dict.fromkeys(actions)))

    def allows(self, attribute: str, action: str) -> bool:
        """Whether the scope allows an action on an attribute."""
        return self.attribute == attribute and (MANAGE in self.actions or action in self.actions)

    def __str__(self) -> str:
        """The scope as text, in its shortest form."""
        actions = () if self.actions == (READ,) else self.actions
        return write_scope("account", ("attr", (self.attribute,)), ("action", actions))
