"""Opening the authorization server, or access by the tokens of an entryway, as in the settings."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import Final

from actor_store.store import ActorStore
from identity.http import SafeHttp
from identity.lookups import Lookups
from identity.resolver import DidResolver
from pds.accounts.accounts import Accounts
from pds.accounts.session_tokens import SessionTokens
from pds.config import Settings
from pds.oauth.access import OAuthAccess
from pds.oauth.dpop.nonces import DpopNonces, nonce_secret
from pds.oauth.dpop.proofs import DpopProofs
from pds.oauth.entryway.scope_references import ScopeReferences
from pds.oauth.entryway.tokens import EntrywayTokens
from pds.oauth.permission_sets.permission_sets import PermissionSets
from pds.oauth.permission_sets.sources import Repositories
from pds.oauth.provider import OAuth
from pds.oauth.replay.opening import open_replays
from pds.oauth.tokens.access_tokens import AccessTokenReader
from pds.rate_limits.redis_client import open_redis
from repo.keys import PublicKey
from repo.syntax import parse_did

REPLAY_FILE: Final = "oauth_replay.sqlite"
"""May be deleted while the server does not run."""


def open_oauth(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    accounts: Accounts,
    actor_store: ActorStore,
    http: SafeHttp,
    lookups: Lookups,
    dids: DidResolver,
) -> OAuth:
    """Return the authorization server of the accounts here, which `stack` closes.

    Clients, and Lexicons of other servers, are fetched with `http`.
    """
    authority = settings.fetch.lexicon_authority_did
    sets = PermissionSets(
        accounts.db,
        Repositories(
            lookups=lookups,
            dids=dids,
            http=http,
            accounts=accounts,
            actor_store=actor_store,
            authority=None if authority is None else parse_did(authority),
        ),
    )
    stack.push_async_callback(sets.close)
    oauth = OAuth(
        accounts,
        http,
        sets,
        issuer=settings.public_url,
        service_did=settings.service_did,
        jwt_secret=settings.secrets.jwt_secret,
        dpop_secret=settings.secrets.dpop_secret,
        replay_file=settings.data_directory / REPLAY_FILE,
        redis=open_redis(settings),
        trusted_clients=settings.oauth.trusted_clients,
    )
    stack.push_async_callback(oauth.close)
    return oauth


def open_entryway_access(
    settings: Settings,
    stack: AsyncExitStack,
    key: PublicKey,
    session_tokens: SessionTokens,
    http: SafeHttp,
) -> OAuthAccess:
    """Return access by tokens that the configured entryway signs with `key`; `stack` closes it.

    Raises `RuntimeError` if there is no entryway.
    """
    service, secrets = settings.entryway_service, settings.secrets
    if service is None:
        raise RuntimeError("this server stands behind no entryway")
    redis = open_redis(settings)
    replays = open_replays(settings.data_directory / REPLAY_FILE, redis, clock=time.time)
    stack.push_async_callback(replays.close)
    nonces = DpopNonces(
        nonce_secret(secrets.dpop_secret, jwt_secret=secrets.jwt_secret), clock=time.time
    )
    issuer = service.url.rstrip("/")
    reader = AccessTokenReader(key, service_did=settings.service_did, issuer=issuer)
    return OAuthAccess(
        settings.public_url,
        DpopProofs(nonces, replays, clock=time.time),
        EntrywayTokens(reader, session_tokens),
        ScopeReferences(http, issuer),
    )
