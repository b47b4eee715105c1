"""What can go wrong in a Merkle search tree.

MstError
├── InvalidMst        blocks that are no canonical tree, or a key no tree may hold
│   └── NodeTooLarge  more keys in one node than anybody comes to by chance
├── KeyExists         create of a key that is there
├── KeyMissing        update or delete of a key that is not there
└── MissingBlock      a node the block source does not have
"""

from __future__ import annotations

from repo.cid import Cid


class MstError(ValueError):
    """Base of the errors of this package."""


class InvalidMst(MstError):
    """The blocks are not a canonical tree, or the key may not stand in one."""


class NodeTooLarge(InvalidMst):
    """Keys have been chosen so that one node has more than `max_keys` of them."""

    def __init__(self, max_keys: int) -> None:
        super().__init__(f"a node of the tree has more than {max_keys} record keys")


class KeyExists(MstError):
    """A create met `key`, which the tree already holds."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key already exists: {key}")
        self.key = key


class KeyMissing(MstError):
    """An update or delete named `key`, which the tree does not hold."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key does not exist: {key}")
        self.key = key


class MissingBlock(MstError):
    """The block source has no block `cid`."""

    def __init__(self, cid: Cid) -> None:
        super().__init__(f"missing block: {cid}")
        self.cid = cid
