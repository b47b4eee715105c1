"""Checks for entryway settings that cannot work, with messages as in `pds.config.checks`."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from pds.config.settings import Settings
from repo.syntax import is_did

_URL = "PDS_ENTRYWAY_URL"
_DID = "PDS_ENTRYWAY_DID"
_JWT_KEY = "PDS_ENTRYWAY_JWT_VERIFY_KEY_K256_PUBLIC_KEY_HEX"
_ROTATION_KEY = "PDS_ENTRYWAY_PLC_ROTATION_KEY"


def check_entryway(settings: Settings) -> Iterator[str]:
    """Yield why this server cannot run behind the configured entryway."""
    entryway = settings.entryway
    values = {
        _URL: entryway.url,
        _DID: entryway.did,
        _JWT_KEY: entryway.jwt_verify_key_hex,
        _ROTATION_KEY: entryway.plc_rotation_key,
    }
    given = [name for name, value in values.items() if value]
    missing = [name for name, value in values.items() if not value]
    if not given:
        return
    if missing:
        yield (
            f"{_listed(given)} set but {_listed(missing)} missing: an entryway needs all four, so "
            f"set {' and '.join(missing)}, or unset {' and '.join(given)}"
        )
    if entryway.url:
        yield from _check_url(settings, entryway.url)
    if entryway.did:
        yield from _check_did(settings, entryway.did)
    yield from _check_keys(entryway.jwt_verify_key_hex, entryway.plc_rotation_key)


def _check_url(settings: Settings, url: str) -> Iterator[str]:
    if not _is_base_url(url):
        # The value is not repeated, because it may contain a password.
        yield (
            f"{_URL} is not the base URL of a server: set one such as https://entryway.example.com"
        )
    elif url.rstrip("/") == settings.public_url:
        yield (
            f"{_URL} is this server's own URL, so that requests would go round in a circle: set "
            f"the entryway's, or unset all PDS_ENTRYWAY_ variables"
        )


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            return False
    except ValueError:
        return False
    return "@" not in parts.netloc and not parts.query and not parts.fragment


def _check_did(settings: Settings, did: str) -> Iterator[str]:
    if not is_did(did):
        yield (
            f'{_DID} is "{did}", which is not a DID: set one such as did:web:entryway.example.com'
        )
    elif did == settings.service_did:
        yield (
            f"{_DID} is this server's own DID, so that a token for the one would be good for the "
            "other: set the entryway's"
        )


def _check_keys(jwt_key: str | None, rotation_key: str | None) -> Iterator[str]:
    # The curves are slow to import, so commands without an entryway do not import them.
    from repo.keys import InvalidKey, K256PublicKey, parse_did_key

    if jwt_key:
        try:
            K256PublicKey.from_bytes(bytes.fromhex(jwt_key))
        except ValueError:
            yield (
                f"{_JWT_KEY} is not a secp256k1 public key: set the 66 hex digits of the "
                "compressed point, or the 130 of the whole"
            )
    if rotation_key:
        try:
            parse_did_key(rotation_key)
        except InvalidKey:
            yield (
                f'{_ROTATION_KEY} is "{rotation_key[:200]}", which is not a public key: set the '
                "did:key of the entryway's rotation key, which starts with did:key:z"
            )


def _listed(names: list[str]) -> str:
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"
