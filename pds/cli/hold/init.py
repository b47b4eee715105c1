"""`pds hold init`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from pds.cli.environment import PLACES, explain_failures
from pds.cli.failures import CommandFailed
from pds.cli.hold.init_checks import check_s3, resolve_owner
from pds.cli.hold.init_file import (
    hold_variables,
    missing_variables,
    with_variables,
    write_settings,
)
from pds.cli.output import json_option, print_json, say
from pds.config import ConfigError, read_settings
from pds.config.addresses import normal_base_url
from pds.config.env_file import IN_WORKING_DIRECTORY, VARIABLE, read_env_file
from pds.config.hold.checks import has_plain_host
from pds.config.hold.original_names import translate_hold_names

if TYPE_CHECKING:
    from pds.config import Settings


@click.command()
@click.option("--owner", metavar="DID|HANDLE", help="The captain, who may do everything.")
@click.option(
    "--public-url", metavar="URL", help="The URL of the hold: it decides the DID, so keep it."
)
@click.option("--public/--private", default=None, help="May everybody pull, or only the crew?")
@click.option(
    "--allow-all-crew/--invited-crew",
    default=None,
    help="May everybody join the crew, and so push, or only those whom the captain adds?",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of all files; hold-data beside the settings file if the settings name none.",
)
@click.option(
    "--env-file",
    envvar=VARIABLE,
    show_envvar=True,
    type=click.Path(dir_okay=False, path_type=Path),
    default=IN_WORKING_DIRECTORY,
    show_default=True,
    help="The settings file to write. An existing file keeps its contents. Other commands find it "
    f"by themselves if it is the first of {PLACES}.",
)
@click.option("--no-check", is_flag=True, help="Do not try S3.")
@json_option
@explain_failures
def init(
    owner: str | None,
    public_url: str | None,
    public: bool | None,
    allow_all_crew: bool | None,
    data: Path | None,
    env_file: Path,
    no_check: bool,
    as_json: bool,
) -> None:
    """Write the settings of a new hold, and tell what is left to do.

    Asks for what neither options nor settings tell. Variables of an existing settings file stay,
    those of the original hold are taken over, secrets are generated where they are missing, and if
    a bucket is set (PDS_BLOBSTORE_S3_…) it is tried as clients use it. Nothing is sent anywhere
    else; the hold itself is made at the first start.

    \b
    Examples:
      pds hold init
      pds hold init --owner alice.example.com --public-url https://hold.example.com --public
      pds hold init --env-file /etc/holdfast/pds.env --data /var/lib/holdfast
    """
    text = env_file.read_text("utf-8-sig") if env_file.exists() else ""
    kept = read_env_file(env_file) if text else {}
    old = translate_hold_names({**kept, **os.environ}).values
    given = {**old, **{name: value for name, value in {**kept, **os.environ}.items() if value}}
    directory = data or Path(given.get("PDS_DATA_DIRECTORY", env_file.parent / "hold-data"))
    chosen = {
        **old,
        **hold_variables(
            owner=resolve_owner(
                owner or given.get("PDS_HOLD_OWNER") or _ask("Owner (DID or handle)")
            ),
            public_url=_url(
                public_url or given.get("PDS_HOLD_PUBLIC_URL") or _ask("URL of the hold")
            ),
            public=_flag(given, "PDS_HOLD_PUBLIC", public, "May everybody pull images?"),
            allow_all_crew=_flag(
                given, "PDS_HOLD_ALLOW_ALL_CREW", allow_all_crew, "May everybody join the crew?"
            ),
            data=directory.absolute(),
        ),
    }
    # A server that has accounts keeps its own name and place.
    for name, is_chosen in (("PDS_HOSTNAME", False), ("PDS_DATA_DIRECTORY", data is not None)):
        if name in given and name not in old and not is_chosen:
            del chosen[name]
    chosen |= missing_variables({**given, **chosen}, directory.absolute())
    settings = _settings({**given, **chosen})
    if settings.blobstore.s3_bucket and not no_check:
        check_s3(settings)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_settings(env_file, with_variables(text, chosen))
    outcome = _outcome(settings, env_file, changed=chosen, kept=kept, tried=not no_check)
    if as_json:
        print_json(outcome)
    else:
        _print(outcome)


def _ask(what: str) -> str:
    if not sys.stdin.isatty():
        raise CommandFailed(
            f"{what} is not given, and there is no terminal to ask on.",
            remedy="pds hold init --owner DID|HANDLE --public-url URL",
        )
    return str(click.prompt(what, err=True))


def _flag(given: Mapping[str, str], name: str, chosen: bool | None, question: str) -> str:
    """Return the value of a variable; one in the settings stays, also if it is unreadable."""
    if chosen is None and name in given:
        return given[name]
    if chosen is None:
        chosen = sys.stdin.isatty() and click.confirm(question, default=False, err=True)
    return "true" if chosen else "false"


def _url(text: str) -> str:
    """Return the base URL that is meant, with https if it names no scheme."""
    url = normal_base_url(text)
    if not has_plain_host(url):
        raise CommandFailed(
            f"{text} is not the URL of a hold: give one such as https://hold.example.com."
        )
    return url


def _settings(values: Mapping[str, str]) -> Settings:
    try:
        return read_settings(values)
    except ConfigError as exc:
        problems = "\n".join(f"  - {problem}" for problem in exc.problems)
        raise CommandFailed(
            f"Nothing is written, because the settings need attention:\n{problems}"
        ) from exc


def _outcome(
    settings: Settings,
    env_file: Path,
    *,
    changed: Mapping[str, str],
    kept: Mapping[str, str],
    tried: bool,
) -> dict[str, Any]:
    bucket = settings.blobstore.s3_bucket
    return {
        "envFile": str(env_file.absolute()),
        "dataDirectory": str(settings.data_directory),
        "did": settings.hold_did,
        "url": settings.hold_url,
        "owner": settings.hold.owner,
        "public": settings.hold.public,
        "allowAllCrew": settings.hold.allow_all_crew,
        "storage": "s3" if bucket else "disk",
        "s3": {"bucket": bucket, "works": True if tried else None} if bucket else None,
        "added": sorted(name for name in changed if name not in kept),
        "changed": sorted(
            name for name in changed if kept.get(name, changed[name]) != changed[name]
        ),
        "nextSteps": _next_steps(settings, env_file),
    }


def _next_steps(settings: Settings, env_file: Path) -> list[str]:
    host, port = urlsplit(settings.hold_url).hostname, settings.service.port
    file = shlex.quote(str(env_file.absolute()))
    steps = [
        f"DNS: point an A or AAAA record for {host} at this machine.",
        f"TLS: run a proxy that answers {settings.hold_url} for port {port}: docs/hold.md",
        *_handing_over(settings, file),
        f"Start: pds serve --env-file {file}",
        f"Check: pds hold status --env-file {file}",
        f"Keep copies of {env_file.absolute()} and {settings.data_directory}: docs/hold.md",
    ]
    if not settings.blobstore.s3_bucket:
        steps.insert(0, "Storage: layers go to the disk; set PDS_BLOBSTORE_S3_… for a bucket.")
    return steps


def _handing_over(settings: Settings, file: str) -> list[str]:
    if os.geteuid() != 0:
        return []
    directory = shlex.quote(str(settings.data_directory))
    return [f"User: chown -R USER: {file} {directory}, if the server does not run as root."]


def _print(outcome: Mapping[str, Any]) -> None:
    say(f"{outcome['did']} will be the hold of {outcome['owner']}.")
    say(f"Its settings are in {outcome['envFile']}.")
    for name in outcome["changed"]:
        say(f"Changed there: {name}")
    if outcome["s3"] is not None and outcome["s3"]["works"]:
        say(f"The bucket {outcome['s3']['bucket']} works: written, read by a signed URL, deleted.")
    say("")
    for number, step in enumerate(outcome["nextSteps"], 1):
        say(f"{number}. {step}")
