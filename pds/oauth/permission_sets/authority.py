"""The DID that speaks for a group of NSIDs, by DNS.

Spec: https://atproto.com/specs/lexicon#lexicon-publication-and-resolution
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dns.rdtypes.ANY.TXT import TXT

from identity.lookups import LookupFailed, Lookups
from pds.oauth.permission_sets.errors import LexiconUnavailable
from repo.syntax import Did, InvalidSyntax, parse_did

_PREFIX: Final = "did="
_MAX_RECORDS: Final = 100


def authority_name(nsid: str) -> str:
    """Return the DNS name whose TXT record names the authority of an NSID."""
    return "_lexicon." + ".".join(reversed(nsid.split(".")[:-1]))


def did_of_records(texts: Sequence[bytes]) -> Did | None:
    """Return the DID in the texts of TXT records; None unless exactly one names one."""
    found = [
        text for record in texts if (text := record.decode("ascii", "replace")).startswith(_PREFIX)
    ]
    if len(found) != 1:
        return None
    try:
        return parse_did(found[0].removeprefix(_PREFIX))
    except InvalidSyntax:
        return None


async def find_authority(lookups: Lookups, nsid: str) -> Did:
    """Look up the DID whose repository has the Lexicon `nsid`.

    Raises `LexiconUnavailable`, and what the look-up's share raises.
    """
    name = authority_name(nsid)
    try:
        records = await lookups.find(name, "TXT")
    except LookupFailed as exc:
        raise LexiconUnavailable(nsid, f"{name}: {exc}") from exc
    texts = [b"".join(record.strings) for record in records if isinstance(record, TXT)]
    did = did_of_records(texts[:_MAX_RECORDS])
    if did is None:
        raise LexiconUnavailable(nsid, f"{name} has no TXT record that names one DID")
    return did
