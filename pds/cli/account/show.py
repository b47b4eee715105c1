"""`pds account show`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from database.connection import Database
from pds.accounts.account import ActorAccount
from pds.accounts.app_passwords import list_app_passwords
from pds.accounts.invite_codes import InviteCode, InviteReader
from pds.accounts.repo_roots import find_root
from pds.cli.account.changing import account_options
from pds.cli.account.damage import Damage, status_text
from pds.cli.environment import load_settings
from pds.cli.invite.list import uses_text
from pds.cli.output import print_fields, print_json
from pds.cli.service_database import account_json, get_account, reading_accounts
from pds.config import Settings


@click.command()
@account_options
def show(account: str, as_json: bool, env_file: Path | None) -> None:
    """Show everything known about an account. Works while the server runs.

    \b
    Examples:
      pds account show alice.example.com
      pds account show did:plc:ewvi7nxzyoun6zhxrhs64oiz --json
    """
    settings = load_settings(env_file)
    with reading_accounts(settings) as db:
        details = _Details.read(settings, db, account)
    if as_json:
        print_json(details.to_json())
    else:
        print_fields(details.fields())


@dataclass(frozen=True, slots=True)
class _Details:
    account: ActorAccount
    damage: str | None
    root: tuple[str, str] | None
    """CID and rev of the repository's head, as of a second ago."""
    app_passwords: tuple[str, ...]
    invites: list[InviteCode]
    invited_by: InviteCode | None

    @classmethod
    def read(cls, settings: Settings, db: Database, identifier: str) -> _Details:
        account, invites = get_account(db, identifier), InviteReader(db)
        did = account.did
        return cls(
            account,
            Damage(settings, db).find(did),
            find_root(db, did),
            tuple(one.name for one in list_app_passwords(db, did)),
            invites.of_account(did),
            invites.used_by([did]).get(did),
        )

    def to_json(self) -> dict[str, object]:
        account = self.account
        head, rev = self.root or (None, None)
        return {
            **account_json(account),
            "damage": self.damage,
            "emailConfirmedAt": account.email_confirmed_at,
            "deactivatedAt": account.deactivated_at,
            "deleteAfter": account.delete_after,
            "takedownRef": account.takedown_ref,
            "head": head,
            "rev": rev,
            "appPasswords": self.app_passwords,
            "invitedBy": None if self.invited_by is None else self.invited_by.to_json(),
            "invitesDisabled": account.invites_disabled,
            "invites": [code.to_json() for code in self.invites],
        }

    def fields(self) -> Iterator[tuple[str, object]]:
        account = self.account
        yield "Handle", account.shown_handle
        yield "DID", account.did
        yield "Status", status_text(account, self.damage)
        if self.damage is not None:
            yield "Damage", f"{self.damage}. `pds doctor` says what to do."
        if account.email is None:
            yield "Email", "none, and no password: the account cannot log in"
        else:
            confirmed = account.email_confirmed_at
            state = "not confirmed" if confirmed is None else f"confirmed {confirmed}"
            yield "Email", f"{account.email} ({state})"
        yield "Created", account.created_at
        if account.takedown_ref is not None:
            yield "Taken down", account.takedown_ref
        if account.deactivated_at is not None:
            yield "Deactivated", account.deactivated_at
        if account.delete_after is not None:
            yield "Delete after", f"{account.delete_after} (a note; nothing deletes it by itself)"
        if self.root is not None:
            head, rev = self.root
            yield "Rev", rev
            yield "Head", head
        yield "App passwords", ", ".join(self.app_passwords) or "none"
        if self.invited_by is not None:
            yield "Invited with", f"{self.invited_by.code} of {self.invited_by.for_account}"
        if account.invites_disabled:
            yield "New invites", "start disabled"
        for code in self.invites:
            yield "Invite code", f"{code.code} ({uses_text(code)})"
