"""`Settings`: everything an operator can set, and values derived from it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pds import DISTRIBUTION
from pds.config.addresses import (
    PRIVATE_NETWORKS,
    IpNetwork,
    address_by_old_name,
    normal_base_url,
    normal_host,
    parse_base_url,
    parse_host_port,
    parse_network,
)
from pds.config.groups.accounts import (
    EntrywaySettings,
    InviteSettings,
    OAuthSettings,
    SecretSettings,
    SignInSettings,
)
from pds.config.groups.hold import HoldSettings
from pds.config.groups.identity import IdentitySettings
from pds.config.groups.limits import LimitSettings, SubscriptionSettings
from pds.config.groups.mail import EmailSettings
from pds.config.groups.monitoring import LoggingSettings, MetricsSettings
from pds.config.groups.other_services import FetchSettings, ProxySettings, ServicesSettings
from pds.config.groups.replication import ReplicationSettings
from pds.config.groups.service import BrandingSettings, ServiceSettings
from pds.config.groups.storage import BlobstoreSettings, DatabaseSettings, ReadonlySettings
from repo.syntax import InvalidSyntax, ensure_allowed_handle_tld, normalize_handle

REDIS_PORT: Final = 6379


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """Another service: its base URL and its DID."""

    url: str
    did: str


class Settings(BaseSettings):
    """All settings, in groups, immutable. Create it with `read_settings`.

    Groups have the operator's values (`settings.identity.plc_url`); values derived from them are
    properties here (`settings.public_url`).
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    service: ServiceSettings
    database: DatabaseSettings
    blobstore: BlobstoreSettings
    secrets: SecretSettings
    signin: SignInSettings
    invites: InviteSettings
    email: EmailSettings
    identity: IdentitySettings
    services: ServicesSettings
    subscription: SubscriptionSettings
    limits: LimitSettings
    fetch: FetchSettings
    proxy: ProxySettings
    oauth: OAuthSettings
    branding: BrandingSettings
    entryway: EntrywaySettings
    hold: HoldSettings
    replication: ReplicationSettings
    readonly: ReadonlySettings
    logging: LoggingSettings
    metrics: MetricsSettings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use only what `read_settings` reads, by the reference PDS's rules, not pydantic's."""
        return (init_settings,)

    @property
    def hostname(self) -> str:
        """The public host name, in lower case and without a trailing dot."""
        return normal_host(self.service.hostname)

    @property
    def bind_address(self) -> str:
        """The address to listen on; empty for all."""
        return self.service.bind_address or address_by_old_name(self.service.host)

    @property
    def public_url(self) -> str:
        """The server's base URL, without a trailing slash."""
        if self.hostname == "localhost":
            return f"http://localhost:{self.service.port}"
        return f"https://{self.hostname}"

    @property
    def public_host(self) -> str:
        """The host at which relays find the server, with its port unless that is the default."""
        return urlsplit(self.public_url).netloc

    @property
    def service_did(self) -> str:
        """The server's DID: the audience of tokens."""
        return self.service.did or f"did:web:{self.hostname}"

    @property
    def service_name(self) -> str:
        """The server's display name."""
        return self.service.name or f"{self.hostname} PDS"

    @property
    def version(self) -> str:
        """The version that `_health` reports."""
        return self.service.version or metadata.version(DISTRIBUTION)

    @property
    def service_handle_domains(self) -> tuple[str, ...]:
        """The domains under which this server provides handles, each with its leading dot.

        They are in lower case, as handles are, and without a trailing dot.
        """
        default = ".test" if self.hostname == "localhost" else f".{self.hostname}"
        return tuple(map(normal_host, self.identity.service_handle_domains)) or (default,)

    @property
    def max_repo_import_bytes(self) -> int:
        """The largest repo that importRepo accepts."""
        limit = self.service.max_repo_import_bytes
        return self.service.blob_upload_limit_bytes if limit is None else limit

    @property
    def ssrf_protection(self) -> bool:
        """Whether requests to private addresses are refused."""
        disabled = self.fetch.disable_ssrf_protection
        return not (self.service.dev_mode if disabled is None else disabled)

    @property
    def data_directory(self) -> Path:
        """The directory that other locations are relative to by default."""
        return Path(self.database.data_directory)

    @property
    def account_db_path(self) -> Path:
        """The service database."""
        return self._located(self.database.account_location, "account.sqlite")

    @property
    def sequencer_db_path(self) -> Path:
        """The event log."""
        return self._located(self.database.sequencer_location, "sequencer.sqlite")

    @property
    def did_cache_db_path(self) -> Path:
        """The cache of DID documents."""
        return self._located(self.database.did_cache_location, "did_cache.sqlite")

    @property
    def actors_directory(self) -> Path:
        """The directory of actor stores."""
        return self._located(self.database.actor_store_location, "actors")

    @property
    def hold_db_path(self) -> Path:
        """The database of a hold."""
        return self.data_directory / "hold.sqlite"

    @property
    def hold_url(self) -> str:
        """The base URL of the hold, without a trailing slash."""
        return normal_base_url(self.hold.public_url or self.public_url)

    @property
    def hold_host(self) -> str:
        """The host of the hold, with its port unless that is the default of the scheme."""
        return urlsplit(self.hold_url).netloc

    @property
    def hold_did(self) -> str:
        """The did:web of the hold; a port is percent-encoded."""
        return "did:web:" + self.hold_host.replace(":", "%3A")

    @property
    def hold_handle(self) -> str | None:
        """The handle of the hold: its host, or None if that is no valid handle."""
        try:
            handle = normalize_handle(self.hold_host)
            ensure_allowed_handle_tld(handle)
        except InvalidSyntax:
            return None
        return handle

    @property
    def hold_crawlers(self) -> tuple[str, ...]:
        """The base URLs of the services that are asked to crawl the hold at every start."""
        discovery = tuple(map(parse_base_url, self.hold.discovery_urls))
        return tuple(dict.fromkeys(self.crawlers + discovery))

    def is_hold(self, did: str) -> bool:
        """Whether `did` is the actor of the hold that this server is."""
        return self.hold.enabled and did == self.hold_did

    @property
    def workers(self) -> int:
        """How many processes answer requests."""
        workers = self.service.workers
        return len(os.sched_getaffinity(0)) if workers == "auto" else int(workers)

    @property
    def is_durable(self) -> bool:
        """Whether what is answered must survive a power failure."""
        return self.database.durability == "full"

    @property
    def wal_autocheckpoint(self) -> int | None:
        """Pages of WAL that trigger a checkpoint; None leaves checkpoints to Litestream."""
        left = self.database.disable_wal_auto_checkpoint or self.replication.url is not None
        return None if left else 1000

    @property
    def blob_directory(self) -> Path | None:
        """The directory of blobs; None if they are in S3."""
        location = self.blobstore.disk_location
        return None if location is None else Path(location)

    @property
    def blob_homes(self) -> tuple[str, ...]:
        """Where blobs are, "disk" or "s3"; during a move both, the one they move to first."""
        blobs = self.blobstore
        homes = [("disk", blobs.disk_location), ("s3", blobs.s3_bucket)]
        names = (name for name, location in homes if location is not None)
        return tuple(sorted(names, key=lambda name: name != blobs.move_to))

    @property
    def blob_tmp_directory(self) -> Path | None:
        """The directory of uploads in progress; None if blobs are in S3."""
        if self.blob_directory is None:
            return None
        # Sic: the reference PDS's spelling, which its data directories use.
        return Path(self.blobstore.disk_tmp_location or self.blob_directory / "tempt")

    @property
    def plc_rotation_key(self) -> bytes:
        """The private key that controls the did:plc accounts of this server, 32 bytes."""
        return bytes.fromhex(self.secrets.plc_rotation_key_hex)

    @property
    def appview(self) -> ServiceTarget | None:
        """The AppView, if configured."""
        return _target(self.services.appview_url, self.services.appview_did)

    @property
    def mod_service(self) -> ServiceTarget | None:
        """The moderation service, if configured."""
        return _target(self.services.mod_url, self.services.mod_did)

    @property
    def report_service(self) -> ServiceTarget | None:
        """The service that receives reports; by default the moderation service."""
        return _target(self.services.report_url, self.services.report_did) or self.mod_service

    @property
    def entryway_service(self) -> ServiceTarget | None:
        """The server that handles the logins of accounts here; None if this one does."""
        return _target(self.entryway.url, self.entryway.did)

    @property
    def entryway_admin_password(self) -> str:
        """The password of the entryway's administrator."""
        return self.entryway.admin_token or self.secrets.admin_password

    @property
    def crawlers(self) -> tuple[str, ...]:
        """The base URLs of the relays to notify of new events, without trailing slashes."""
        return tuple(map(parse_base_url, self.services.crawlers))

    @property
    def rate_limit_bypass(self) -> tuple[IpNetwork, ...]:
        """The networks whose requests are not limited."""
        return tuple(map(parse_network, self.limits.bypass_ips))

    @property
    def trusted_proxies(self) -> tuple[IpNetwork, ...]:
        """The networks whose X-Forwarded-For header is trusted to give the client's address."""
        # Needed even without rate limits: shares and wrong admin passwords are always counted.
        return PRIVATE_NETWORKS + self.rate_limit_bypass

    @property
    def redis_address(self) -> tuple[str, int] | None:
        """Host and port of the Redis or Valkey that servers share, if configured."""
        address = self.limits.redis_address
        return None if address is None else parse_host_port(address, default_port=REDIS_PORT)

    def _located(self, location: str | None, default_name: str) -> Path:
        return Path(location) if location else self.data_directory / default_name


def _target(url: str | None, did: str | None) -> ServiceTarget | None:
    return ServiceTarget(url.rstrip("/"), did) if url and did else None
