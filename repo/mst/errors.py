"""The errors of Merkle search trees.

MstError
├── InvalidMst        blocks that are not a canonical tree, or a key not allowed in a tree
│   └── NodeTooLarge  more keys in one node than ever occur by chance
├── KeyExists         create of an existing key
├── KeyMissing        update or delete of a missing key
└── MissingBlock      a node missing from the block source
"""

from __future__ import annotations

from repo.cid import Cid


class MstError(ValueError):
    """Base of the errors of this package."""


class InvalidMst(MstError):
    """The blocks are not a canonical tree, or the key is not allowed in one."""


class NodeTooLarge(InvalidMst):
    """One node has more than `max_keys` keys, so somebody chose them to achieve that."""

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
