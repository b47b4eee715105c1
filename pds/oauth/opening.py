"""Opening the authorization server that the settings describe."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from actor_store.store import ActorStore
from identity.http import SafeHttp
from identity.lookups import Lookups
from identity.resolver import DidResolver
from pds.accounts.accounts import Accounts
from pds.config import Settings
from pds.oauth.permission_sets.permission_sets import PermissionSets
from pds.oauth.permission_sets.sources import Repositories
from pds.oauth.provider import OAuth
from pds.rate_limits.redis_client import open_redis
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
