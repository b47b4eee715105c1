"""`pds account create`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.accounts.codes import new_password
from pds.accounts.errors import HandleNotAvailable
from pds.accounts.handle_rules import check_handle
from pds.accounts.passwords import MAX_NEW_LENGTH, MIN_CHOSEN_LENGTH
from pds.cli.entryway import refuse_behind_entryway
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.failures import CommandFailed
from pds.cli.operator import operate
from pds.cli.output import json_option, print_object
from pds.config import Settings


def _check_password(
    _ctx: click.Context, _option: click.Parameter, password: str | None
) -> str | None:
    if password is not None and not MIN_CHOSEN_LENGTH <= len(password) <= MAX_NEW_LENGTH:
        raise CommandFailed(
            f"Invalid password length. Give {MIN_CHOSEN_LENGTH} to {MAX_NEW_LENGTH} characters, "
            "or leave --password out for a generated one."
        )
    return password


password_option = click.option(
    "--password",
    callback=_check_password,
    help=(
        f"The account's password, of {MIN_CHOSEN_LENGTH} to {MAX_NEW_LENGTH} characters; "
        "generated and printed if not given."
    ),
)


@click.command()
@click.argument("email")
@click.argument("handle")
@password_option
@json_option
@env_file_option
@explain_failures
def create(
    email: str, handle: str, password: str | None, as_json: bool, env_file: Path | None
) -> None:
    """Create an account; no invite code is needed.

    The running server does it, or the command itself on the files if no server runs.

    \b
    Examples:
      pds account create alice@example.com alice.example.com
      pds account create bob@example.com bob.test --env-file data/dev.env
    """
    settings = load_settings(env_file)
    refuse_behind_entryway(settings, "logins")
    chosen = password or new_password()
    _check_handle(settings, handle)
    body = {"email": email, "handle": handle, "password": chosen}
    answer = operate(settings, lambda server: server.create_account(body))
    created = {"handle": handle.lower(), "did": answer["did"]}
    if password is None:
        created["password"] = chosen
    print_object(created, as_json=as_json)


def _check_handle(settings: Settings, handle: str) -> None:
    """Raise what is wrong with the handle for a new account."""
    try:
        check_handle(handle, settings.service_handle_domains, did_known=False)
    except HandleNotAvailable as exc:
        raise CommandFailed(
            f"{exc}: {handle}. Create the account under another handle, and then give it this one "
            "with `pds account update-handle`."
        ) from exc
