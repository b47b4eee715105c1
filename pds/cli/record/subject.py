"""A record as the subject of the takedown commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, Self

import click

from actor_store.records import RecordReader, StoredRecord
from pds.accounts.account import ActorAccount
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.output import json_option
from pds.cli.service_database import get_account, reading_accounts
from pds.cli.takedowns import StoredSubject
from pds.config import Settings
from repo.syntax import AtUri, InvalidSyntax, parse_at_uri

if TYPE_CHECKING:
    from database.connection import Database

P = ParamSpec("P")


def _parse(_ctx: click.Context, _param: click.Parameter, text: str) -> AtUri:
    try:
        uri = parse_at_uri(text)
    except InvalidSyntax as exc:
        raise click.BadParameter(f"{exc}. Give at://ACCOUNT/COLLECTION/RKEY.") from exc
    if uri.rkey is None:
        raise click.BadParameter(f"{text} names no record. Give at://ACCOUNT/COLLECTION/RKEY.")
    return uri


def record_options(command: Callable[P, None]) -> Callable[P, None]:
    """Add the arguments of a command about one record, and explain its failures."""
    uri = click.argument("uri", metavar="AT-URI", callback=_parse)
    return uri(json_option(env_file_option(explain_failures(command))))


class RecordSubject(StoredSubject):
    """A record of an account on this server."""

    def __init__(self, settings: Settings, account: ActorAccount, uri: AtUri) -> None:
        super().__init__(settings, account)
        self._uri = AtUri(account.did, uri.collection, uri.rkey)
        self.name = str(self._uri)
        self._cid = self._examine(self._get).cid

    @classmethod
    def find(cls, uri: AtUri, env_file: Path | None) -> Self:
        """Find the record of a URI. Raises `CommandFailed`, `RecordNotFound`, `DatabaseError`."""
        settings = load_settings(env_file)
        with reading_accounts(settings) as db:
            account = get_account(db, uri.authority)
        return cls(settings, account, uri)

    def to_json(self) -> dict[str, str]:
        """The record's strong reference."""
        return {"uri": self.name, "cid": str(self._cid)}

    def _subject(self) -> dict[str, str]:
        return {"$type": "com.atproto.repo.strongRef", **self.to_json()}

    def _read_ref(self, db: Database) -> str | None:
        return self._get(db).takedown_ref

    def _get(self, db: Database) -> StoredRecord:
        collection, rkey = self._uri.collection or "", self._uri.rkey or ""
        return RecordReader(db, self.did).get(collection, rkey, include_takendown=True)
