"""What the takedown and untakedown commands have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from actor_store.layout import ActorLayout
from database.timestamps import now_iso
from pds.cli.operator import operate
from pds.cli.output import print_json, say
from pds.config import Settings
from pds.doctor.inspection import examine_unchanged

if TYPE_CHECKING:
    from database.connection import Database
    from pds.accounts.account import ActorAccount

T = TypeVar("T")

UPDATE_SUBJECT_STATUS: Final = "com.atproto.admin.updateSubjectStatus"

reason_option = click.option(
    "--ref",
    "--reason",
    "ref",
    metavar="TEXT",
    help="The reason, kept until the takedown is reversed; by default the time.",
)


def takedown_text(name: str, *, before: str | None) -> str:
    """Describe the result of a takedown; `before` is the reference of an earlier one."""
    if before is None:
        return f"{name} is taken down."
    return f"{name} was already taken down. The first reason is kept: {before}"


class StoredSubject(ABC):
    """A record or a blob of an account on this server. Constructors raise if there is none."""

    name: str
    """The subject's name for people."""

    def __init__(self, settings: Settings, account: ActorAccount) -> None:
        self.did = account.did
        self._settings = settings
        self._store = ActorLayout(settings.actors_directory).store(account.did)

    @abstractmethod
    def to_json(self) -> dict[str, str]:
        """The fields that identify the subject in JSON output."""

    @abstractmethod
    def _subject(self) -> dict[str, str]:
        """The subject, as com.atproto.admin names it."""

    @abstractmethod
    def _read_ref(self, db: Database) -> str | None:
        """Return the reference of its takedown. Raises `ActorStoreError` if it does not exist."""

    def take_down(self, ref: str | None, *, as_json: bool) -> None:
        """Hide it, and report that."""
        before = self._examine(self._read_ref)
        wanted = ref or now_iso()
        self._set({"applied": True, "ref": wanted})
        self._report(before or wanted, takedown_text(self.name, before=before), as_json=as_json)

    def put_back(self, *, as_json: bool) -> None:
        """Show it again, and report that."""
        self._set({"applied": False})
        self._report(None, f"{self.name} is no longer taken down.", as_json=as_json)

    def _examine(self, look: Callable[[Database], T]) -> T:
        return examine_unchanged(self._store, look)

    def _set(self, takedown: dict[str, Any]) -> None:
        body = {"subject": self._subject(), "takedown": takedown}
        operate(self._settings, lambda server: server.call(UPDATE_SUBJECT_STATUS, body))

    def _report(self, ref: str | None, text: str, *, as_json: bool) -> None:
        if as_json:
            print_json({**self.to_json(), "takedownRef": ref})
        else:
            say(text)
