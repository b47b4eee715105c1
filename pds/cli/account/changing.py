"""What the commands that change one account have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec

from pds.accounts.account import ActorAccount
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.operator import operate
from pds.cli.output import json_option, print_json, say
from pds.cli.service_database import account_argument, account_json, get_account, reading_accounts
from pds.cli.takedowns import UPDATE_SUBJECT_STATUS
from pds.config import Settings
from repo.syntax import Did

P = ParamSpec("P")


def account_options(command: Callable[P, None]) -> Callable[P, None]:
    """Add the arguments of a command about one account, and explain its failures."""
    return account_argument(json_option(env_file_option(explain_failures(command))))


@dataclass(frozen=True, slots=True)
class Target:
    """The account that a command is about, as it was before the command."""

    settings: Settings
    account: ActorAccount

    @classmethod
    def find(cls, identifier: str, env_file: Path | None) -> Target:
        """Find the named account. Raises `CommandFailed` if there is none."""
        settings = load_settings(env_file)
        with reading_accounts(settings) as db:
            return cls(settings, get_account(db, identifier))

    @property
    def did(self) -> Did:
        """Its DID."""
        return self.account.did

    @property
    def name(self) -> str:
        """The account's name for people."""
        return f"{self.account.shown_handle} ({self.did})"

    def change(
        self, nsid: str, body: dict[str, Any], *, asks_entryway_for: str | None = None
    ) -> None:
        """Call a procedure. `asks_entryway_for` is as for `operate`."""
        operate(
            self.settings,
            lambda server: server.call(nsid, body),
            asks_entryway_for=asks_entryway_for,
        )

    def change_status(self, status: dict[str, Any]) -> None:
        """Take the account down, deactivate it, or reverse either."""
        subject = {"$type": "com.atproto.admin.defs#repoRef", "did": self.did}
        self.change(UPDATE_SUBJECT_STATUS, {"subject": subject, **status})

    def report(self, text: str, *, as_json: bool) -> None:
        """Report the change as done: print `text`, or the account in its new state."""
        if not as_json:
            say(text)
            return
        with reading_accounts(self.settings) as db:
            print_json(account_json(get_account(db, self.did)))
