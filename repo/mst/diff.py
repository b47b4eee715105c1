"""The difference between any two trees in records, without reading shared subtrees."""

from __future__ import annotations

from collections.abc import Iterator

from repo.cid import Cid
from repo.mst.errors import InvalidMst
from repo.mst.node import Node, seal
from repo.mst.search import open_child, open_root
from repo.mst.store import NodeStore


class _Cursor:
    """A position in a tree: before an unentered subtree, before a key, or at the end."""

    def __init__(self, store: NodeStore, root: bytes) -> None:
        self._store = store
        self.subtree: bytes | None = None
        """CID of the subtree ahead; None before a key or at the end."""
        self.key: bytes | None = None
        """The key ahead; None before a subtree or at the end."""
        self.value = b""
        self.layer = 0
        """Layer of the subtree ahead."""
        self._link: bytes | Node | None = root
        self._stack: list[tuple[Node, int]] = []
        self._top = open_root(store, root).height
        self._last = b""
        self._look()

    @property
    def at_end(self) -> bool:
        return self.subtree is None and self.key is None

    def enter(self) -> None:
        """Enter the subtree ahead."""
        link = self._link
        assert link is not None  # noqa: S101 - callers see a subtree ahead
        node = (
            open_child(self._store, link, self.layer)
            if self._stack
            else open_root(self._store, link)
        )
        self._stack.append((node, 0))
        self._link = node.links[0]
        self._look()

    def pass_by(self) -> None:
        """Skip the subtree or key ahead."""
        if self.subtree is not None:
            self._link = None
        else:
            node, index = self._stack[-1]
            self._stack[-1] = (node, index + 1)
            self._link = node.links[index + 1]
        self._look()

    def _look(self) -> None:
        """Set `subtree`, `key` and `layer` to what is ahead."""
        link = self._link
        self.subtree = self.key = None
        if link is not None:
            self.subtree = seal(link) if isinstance(link, Node) else link
            self.layer = self._top - len(self._stack)
            return
        while self._stack:
            node, index = self._stack[-1]
            if index < len(node.keys):
                key = node.keys[index]
                if key <= self._last:
                    where = Cid(seal(node))
                    raise InvalidMst(f"keys out of order in {where}: {key!r} after {self._last!r}")
                self._last = self.key = key
                self.value = node.values[index]
                return
            self._stack.pop()


def iter_differences(
    old_store: NodeStore, old: bytes, new_store: NodeStore, new: bytes
) -> Iterator[tuple[str, Cid | None, Cid | None]]:
    """Yield each key whose record differs, in order, with the old and the new record.

    Keeps nothing in memory, so trees of any size can be compared. Raises `MstError`.
    """
    a = _Cursor(old_store, old)
    b = _Cursor(new_store, new)
    for key, before, after in _differing_keys(a, b):
        old_cid = None if before is None else Cid(before)
        new_cid = None if after is None else Cid(after)
        yield key.decode(), old_cid, new_cid


def _differing_keys(a: _Cursor, b: _Cursor) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Yield each key whose value differs, with the values in `a` and `b`."""
    while not (a.at_end and b.at_end):
        if a.subtree is not None or b.subtree is not None:
            _step_into(a, b)
        elif b.key is None or (a.key is not None and a.key < b.key):
            assert a.key is not None  # noqa: S101 - not both at the end
            yield a.key, a.value, None
            a.pass_by()
        elif a.key is None or b.key < a.key:
            yield b.key, None, b.value
            b.pass_by()
        else:
            if a.value != b.value:
                yield a.key, a.value, b.value
            a.pass_by()
            b.pass_by()


def _step_into(a: _Cursor, b: _Cursor) -> None:
    """Skip a subtree that both have ahead, else enter the higher one."""
    if a.subtree == b.subtree:
        a.pass_by()
        b.pass_by()
        return
    enter_a = a.subtree is not None and (b.subtree is None or a.layer >= b.layer)
    enter_b = b.subtree is not None and (a.subtree is None or b.layer >= a.layer)
    if enter_a:
        a.enter()
    if enter_b:
        b.enter()
