"""The public view of the accounts: their DIDs must name this server and its keys."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from identity.did_document import ATPROTO_KEY, ATPROTO_PDS
from identity.plc import PlcClient, PlcError
from identity.resolver import DidNotFound, DidResolutionError, DidResolver
from pds.config.addresses import is_same_server
from pds.doctor.finding import Finding
from pds.reporting import Sample, counted
from repo.syntax import Did

CHECK: Final = "identity"
SAMPLE_SIZE: Final = 20
"""Accounts that are looked up unless all are requested."""
_AT_ONCE: Final = 8


@dataclass(slots=True, frozen=True)
class Expected:
    """An active account, and what its DID must contain."""

    did: str
    handle: str | None
    did_key: str
    """The did:key of the key file."""
    url: str | None = None
    """The server that its DID must name, if not the one at the public URL."""


@dataclass(slots=True, frozen=True)
class Published:
    """The contents of a DID. `rotation_keys` is None for a DID without them, such as a did:web."""

    signing_key: str | None
    endpoint: str | None
    rotation_keys: tuple[str, ...] | None


class NotPublished(Exception):
    """The DID does not exist, or is tombstoned."""


class NotReachable(Exception):
    """The DID's source could not be reached."""


Lookup = Callable[[str], Awaitable[Published]]
"""Looks up a DID. Raises `NotPublished` or `NotReachable`."""


def choose(accounts: Sequence[Expected], *, everyone: bool) -> Sequence[Expected]:
    """Return all accounts, or a random sample."""
    if everyone or len(accounts) <= SAMPLE_SIZE:
        return accounts
    return random.SystemRandom().sample(accounts, SAMPLE_SIZE)


async def check_identities(
    accounts: Sequence[Expected],
    *,
    total: int,
    lookup: Lookup,
    public_url: str,
    rotation_key: str | None,
    on_progress: Callable[[int, int], None],
) -> list[Finding]:
    """Look up `accounts`, which are some or all of `total`.

    `rotation_key` is this server's did:key for PLC operations, None if its setting is invalid.
    """
    limit = asyncio.Semaphore(_AT_ONCE)
    unreachable = Sample()
    done = 0

    async def check(account: Expected) -> Finding | None:
        nonlocal done
        async with limit:
            try:
                published = await lookup(account.did)
            except NotPublished as exc:
                return _not_published(account, exc)
            except NotReachable as exc:
                unreachable.add(f"{account.did} ({exc})")
                return None
            finally:
                done += 1
                on_progress(done, len(accounts))
        return judge(account, published, public_url=public_url, rotation_key=rotation_key)

    found = await asyncio.gather(*(check(account) for account in accounts))
    findings = [finding for finding in found if finding is not None]
    agreeing = len(accounts) - len(findings) - unreachable.count
    if unreachable:
        findings.append(Finding.skipped(CHECK, "accounts", f"could not be asked: {unreachable}"))
    if agreeing:
        findings.append(_summary(agreeing, looked_at=len(accounts), total=total))
    return findings


def judge(
    account: Expected, published: Published, *, public_url: str, rotation_key: str | None
) -> Finding | None:
    """Return the faults of one DID as one finding, or None."""
    faults, remedies = [], []
    public_url = account.url or public_url
    if published.signing_key != account.did_key:
        faults.append(
            f"names the signing key {published.signing_key or '(none)'}, but the key file holds "
            f"{account.did_key}"
        )
        remedies.append("restore the key file from a backup, or name its key in the DID")
    if not is_same_server(published.endpoint, public_url):
        faults.append(f"names the server {published.endpoint or '(none)'}, not {public_url}")
        remedies.append(
            "correct PDS_HOSTNAME if it is wrong; if the account has moved away, deactivate it here"
        )
    keys = published.rotation_keys
    if rotation_key is not None and keys is not None and rotation_key not in keys:
        faults.append(
            f"does not list this server's rotation key {rotation_key}, so the server cannot "
            "change its handle or keys"
        )
        remedies.append(
            "check PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX; if it is right, the owner has to "
            "add the key"
        )
    if not faults:
        return None
    remedy = "; ".join(remedies)
    message = f"the DID of {account.handle or 'the account'} {', and '.join(faults)}"
    return Finding.error(CHECK, account.did, message, f"{remedy[0].upper()}{remedy[1:]}.")


def network_lookup(plc: PlcClient, resolver: DidResolver) -> Lookup:
    """Return a `Lookup` that asks the PLC directory for did:plc, the host for did:web."""

    async def lookup(did: str) -> Published:
        try:
            if did.startswith("did:plc:"):
                return await _from_plc(plc, did)
            document = await resolver.resolve(Did(did), force=True)
        except DidNotFound as exc:
            raise NotPublished(exc.reason) from exc
        except DidResolutionError as exc:
            raise NotReachable(exc.reason) from exc
        return Published(document.signing_key(), document.pds_endpoint, None)

    return lookup


async def _from_plc(plc: PlcClient, did: str) -> Published:
    try:
        data = await plc.data(Did(did))
    except PlcError as exc:
        if exc.is_absence:
            raise NotPublished(exc.message) from exc
        raise NotReachable(exc.message) from exc
    service = data.services.get(ATPROTO_PDS)
    return Published(
        data.verification_methods.get(ATPROTO_KEY),
        None if service is None else service.endpoint,
        data.rotation_keys,
    )


def _not_published(account: Expected, exc: NotPublished) -> Finding:
    return Finding.error(
        CHECK,
        account.did,
        f"the DID of {account.handle or 'the account'} cannot be found: {exc}",
        "Check PDS_DID_PLC_URL. A DID that its owner has ended cannot be used here: delete the "
        "account.",
    )


def _summary(agreeing: int, *, looked_at: int, total: int) -> Finding:
    rest = "" if looked_at == total else f" of {total:,}; --identities looks up all"
    message = f"{agreeing:,} of {counted(looked_at, 'account')} looked up agree{rest}"
    return Finding.ok(CHECK, "accounts", message)
