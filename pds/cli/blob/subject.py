"""A blob as the subject of the takedown commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, Self

import click

from actor_store.blobs import BlobReader
from actor_store.errors import BlobNotFound
from pds.accounts.account import ActorAccount
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.output import json_option
from pds.cli.service_database import account_argument, get_account, reading_accounts
from pds.cli.takedowns import StoredSubject
from pds.config import Settings
from repo.cid import Cid, InvalidCid

if TYPE_CHECKING:
    from database.connection import Database

P = ParamSpec("P")


def _parse(_ctx: click.Context, _param: click.Parameter, text: str) -> Cid:
    try:
        return Cid.parse(text)
    except InvalidCid as exc:
        raise click.BadParameter(str(exc)) from exc


def blob_options(command: Callable[P, None]) -> Callable[P, None]:
    """Add the arguments of a command about one blob, and explain its failures."""
    cid = click.argument("cid", metavar="CID", callback=_parse)
    return account_argument(cid(json_option(env_file_option(explain_failures(command)))))


class BlobSubject(StoredSubject):
    """A blob of an account on this server."""

    def __init__(self, settings: Settings, account: ActorAccount, cid: Cid) -> None:
        super().__init__(settings, account)
        self._cid = cid
        self.name = f"The blob {cid} of {account.shown_handle}"
        self._examine(self._read_ref)

    @classmethod
    def find(cls, account: str, cid: Cid, env_file: Path | None) -> Self:
        """Find a blob of an account. Raises `CommandFailed`, `BlobNotFound`, `DatabaseError`."""
        settings = load_settings(env_file)
        with reading_accounts(settings) as db:
            return cls(settings, get_account(db, account), cid)

    def to_json(self) -> dict[str, str]:
        """The blob's account and CID."""
        return {"did": self.did, "cid": str(self._cid)}

    def _subject(self) -> dict[str, str]:
        return {"$type": "com.atproto.admin.defs#repoBlobRef", **self.to_json()}

    def _read_ref(self, db: Database) -> str | None:
        found = BlobReader(db).find(self._cid)
        if found is None:
            raise BlobNotFound(self._cid)
        return found.takedown_ref
