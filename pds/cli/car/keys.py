"""The options that choose the key a commit must be signed with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from repo.cid import Cid
    from repo.commit import Commit
    from repo.keys import PublicKey

F = TypeVar("F", bound=Callable[..., None])


def _parse_key(
    context: click.Context, param: click.Parameter, value: str | None
) -> PublicKey | None:
    if value is None:
        return None
    # Imported only now: cryptography takes longer to import than a small CAR to read.
    from repo.keys import InvalidKey, parse_did_key

    try:
        return parse_did_key(value if value.startswith("did:") else f"did:key:{value}")
    except InvalidKey as exc:
        raise click.BadParameter(
            f"{exc}; give a did:key:… of K-256 or P-256, or the value that a DID document has as "
            "publicKeyMultibase of a Multikey (zQ3sh…, zDn…)"
        ) from exc


key_option = click.option(
    "--key",
    metavar="KEY",
    callback=_parse_key,
    help="The public key that must have signed: did:key:…, or the multibase of a DID document.",
)
_plc_option = click.option(
    "--plc",
    "plc_url",
    metavar="URL",
    help="Look the key up in the account's DID document, at this PLC directory or its own host; "
    "earlier keys of a did:plc are accepted, too.",
)


def public_key_options(command: F) -> F:
    """Add `--key` and `--plc`."""
    return key_option(_plc_option(command))


def find_public_key(
    root: Cid, commit: Commit, *, key: PublicKey | None, plc_url: str | None
) -> PublicKey | None:
    """Return the key that must have signed `commit`, by the options; None without options.

    Raises `KeyUnavailable`.
    """
    if key is not None or plc_url is None:
        return key
    import asyncio

    from pds.car.signing_keys import look_up_public_key

    return asyncio.run(look_up_public_key(root, commit, plc_url=plc_url))
