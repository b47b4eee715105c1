"""A complete examination: the settings, the machine, every file, and the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from actor_store.layout import ActorLayout
from actor_store.open_stores import open_stores_by_files, open_stores_by_memory
from database.connection import Database
from database.engine import running_version
from database.errors import DatabaseError
from database.open_files import limit_of_open_files
from identity.did_cache import MIGRATIONS as DID_CACHE_MIGRATIONS
from pds.config import Settings
from pds.config.hold.secrets_file import HOLD_ENV
from pds.disk.network_filesystem import database_directories
from pds.doctor.access import check_access, check_ports
from pds.doctor.accounts import Accounts, check_unfinished, read_accounts
from pds.doctor.actor import ActorFiles, ActorReport
from pds.doctor.actors import check_actors, count_processes, summarize
from pds.doctor.agreement import Comparison, directories_of
from pds.doctor.blobs import CHECK as BLOBS
from pds.doctor.bucket import check_bucket
from pds.doctor.database import CHECK as DATABASE
from pds.doctor.database import check_database, damage
from pds.doctor.environment import examine_settings
from pds.doctor.event_log import CHECK as EVENT_LOG
from pds.doctor.event_log import EventLogState, read_event_log
from pds.doctor.finding import Finding
from pds.doctor.identities import Expected
from pds.doctor.inspection import examine_unchanged
from pds.doctor.last_stop import check_last_stop, find_left_wals
from pds.doctor.machine import check_engine, check_file_limit, check_filesystems, check_space
from pds.doctor.permissions import check_databases, check_env_file
from pds.doctor.replication import check_replication
from pds.doctor.report import Report
from pds.doctor.surroundings import check_surroundings
from pds.doctor.users import find_users
from pds.hold.database import MIGRATIONS as HOLD_MIGRATIONS
from pds.opening import bucket_location
from pds.reporting import Progress, counted, no_progress


@dataclass(slots=True, frozen=True)
class Options:
    """How thorough to be."""

    offline: bool = False
    """Make no network requests."""
    blobs: bool = False
    """Read every blob, instead of comparing sizes."""
    identities: bool = False
    """Look up every account's DID, instead of a sample."""
    env_file: Path | None = None
    """Where the settings came from."""
    processes: int | None = None
    """Processes for checking actors; None chooses by their size."""


def examine(
    environ: Mapping[str, str], options: Options, progress: Progress = no_progress
) -> Report:
    """Examine everything that the settings in `environ` refer to. Blocks; changes no file."""
    settings, findings = examine_settings(environ)
    if options.env_file is not None:
        findings.append(check_env_file(options.env_file))
    if settings.hold.enabled and (settings.data_directory / HOLD_ENV).is_file():
        findings.append(check_env_file(settings.data_directory / HOLD_ENV))
    findings += _check_machine(settings)
    findings += check_access(settings)
    if settings.data_directory.is_dir():
        expected: list[Expected] = []
        findings += _check_files(settings, options, progress, expected)
    else:
        expected = []
        findings += check_ports(settings)
    if options.offline:
        findings.append(Finding.skipped("network", settings.public_url, "left out by --offline"))
    else:
        findings += check_surroundings(
            settings, expected, everyone=options.identities, progress=progress
        )
    return Report.of(findings)


def _check_machine(settings: Settings) -> Iterator[Finding]:
    yield check_engine(running_version())
    directories = database_directories(settings)
    yield from check_filesystems(directories)
    if settings.blob_directory is not None:
        directories["PDS_BLOBSTORE_DISK_LOCATION"] = settings.blob_directory
    yield from check_space(directories)


def _check_files(
    settings: Settings, options: Options, progress: Progress, expected: list[Expected]
) -> Iterator[Finding]:
    """Check every file; add the accounts to look up on the network to `expected`."""
    users = find_users(settings)
    yield users.finding(settings)
    if not users.are_there:
        yield from check_ports(settings)
    yield from check_replication(settings, is_running=users.server_pid is not None)
    layout = ActorLayout(settings.actors_directory)
    actors = _actors(settings, options, layout, in_use=users.are_there)
    if _is_new(settings, actors):
        yield Finding.skipped(DATABASE, settings.data_directory, "nothing has been stored yet")
        return
    yield from check_databases(settings.data_directory, _databases(settings, actors))
    wanted = min(settings.database.actor_store_cache_size, open_stores_by_memory())
    yield check_file_limit(
        len(actors),
        wanted=wanted,
        allowed=min(wanted, open_stores_by_files()),
        limit=limit_of_open_files(),
    )
    reports = tuple(_run(actors, options, progress))
    for report in reports:
        yield from report.findings
    yield from _check_bucket(settings, options, actors, progress)
    yield from summarize(reports, settings.actors_directory, blobs_rehashed=options.blobs)
    accounts, log = _read_services(settings, progress)
    is_running = users.server_pid is not None
    yield from _check_services(settings, accounts, log, is_running=is_running)
    if log.is_readable:
        left = find_left_wals(_databases(settings, actors))
        yield check_last_stop(log, settings.sequencer_db_path, left, users)
    comparison = Comparison(
        settings,
        layout,
        accounts,
        log,
        reports,
        in_use=users.are_there,
        is_unclean=log.is_unclean and not is_running,
    )
    yield from comparison.findings()
    expected += _expected(settings, accounts, reports, is_running=is_running)


def _check_bucket(
    settings: Settings, options: Options, actors: list[ActorFiles], progress: Progress
) -> Iterator[Finding]:
    """Check the blobs that are not on this disk."""
    location = bucket_location(settings)
    if len(settings.blob_homes) > 1:
        yield Finding.skipped(BLOBS, settings.blob_directory, "being moved from or to S3")
    elif location is not None and options.offline:
        yield Finding.skipped(BLOBS, location, "left out by --offline")
    elif location is not None:
        yield from check_bucket(location, actors, rehash=options.blobs, progress=progress)


def _actors(
    settings: Settings, options: Options, layout: ActorLayout, *, in_use: bool
) -> list[ActorFiles]:
    return [
        ActorFiles(
            did,
            layout.store(did),
            layout.key(did),
            settings.blob_directory if len(settings.blob_homes) == 1 else None,
            rehash_blobs=options.blobs,
            in_service=in_use,
        )
        for did in directories_of(layout)
    ]


def _databases(settings: Settings, actors: list[ActorFiles]) -> Iterator[Path]:
    yield settings.account_db_path
    yield settings.sequencer_db_path
    yield settings.did_cache_db_path
    if settings.hold.enabled:
        yield settings.hold_db_path
    yield from (files.store for files in actors)


def _is_new(settings: Settings, actors: list[ActorFiles]) -> bool:
    databases = (settings.account_db_path, settings.sequencer_db_path)
    return not actors and not any(path.exists() for path in databases)


def _run(actors: list[ActorFiles], options: Options, progress: Progress) -> Iterator[ActorReport]:
    processes = options.processes or count_processes(actors)
    progress("repositories", 0, len(actors))
    for done, report in enumerate(check_actors(actors, processes=processes), 1):
        progress("repositories", done, len(actors))
        yield report


def _read_services(settings: Settings, progress: Progress) -> tuple[Accounts, EventLogState]:
    accounts = read_accounts(settings.account_db_path, is_hold=settings.is_hold)
    log = read_event_log(
        settings.sequencer_db_path, lambda done, total: progress("events", done, total)
    )
    return accounts, log


def _check_services(
    settings: Settings, accounts: Accounts, log: EventLogState, *, is_running: bool
) -> Iterator[Finding]:
    yield from accounts.findings
    if accounts.is_readable:
        message = f"sound: {counted(len(accounts.rows), 'account')}"
        yield Finding.ok(DATABASE, settings.account_db_path, message)
        if not is_running:
            yield from check_unfinished(accounts, settings.account_db_path)
    yield from log.findings
    if log.is_readable:
        message = f"{counted(log.events, 'event')}, the newest has number {log.latest_seq:,}"
        yield Finding.ok(EVENT_LOG, settings.sequencer_db_path, message)
    yield _check_did_cache(settings)
    if settings.hold.enabled:
        yield from _check_hold(settings)


def _check_did_cache(settings: Settings) -> Finding:
    path = settings.did_cache_db_path
    if not path.exists():
        return Finding.skipped(DATABASE, path, "is not there; the server makes it when it starts")

    def check(db: Database) -> list[Finding]:
        return check_database(db, DID_CACHE_MIGRATIONS)

    try:
        faults = examine_unchanged(path, check)
    except DatabaseError as exc:
        faults = [damage(exc)]
    if not faults:
        return Finding.ok(DATABASE, path, "sound")
    remedy = "Nothing is lost: it is a cache. The server replaces it when it starts."
    return Finding.warning(faults[0].check, path, faults[0].message, remedy)


def _check_hold(settings: Settings) -> list[Finding]:
    path = settings.hold_db_path
    if not path.exists():
        return [Finding.skipped(DATABASE, path, "is not there; the server makes it when it starts")]
    try:
        faults = examine_unchanged(path, lambda db: check_database(db, HOLD_MIGRATIONS))
    except DatabaseError as exc:
        faults = [damage(exc)]
    return faults or [Finding.ok(DATABASE, path, "sound")]


def _expected(
    settings: Settings,
    accounts: Accounts,
    reports: tuple[ActorReport, ...],
    *,
    is_running: bool,
) -> list[Expected]:
    """Return the accounts whose DIDs can be looked up: that of a hold only while it is served."""
    keys = {report.did: report.did_key for report in reports}
    return [
        Expected(row.did, row.handle, key, settings.hold_url if settings.is_hold(row.did) else None)
        for row in accounts.rows.values()
        if row.is_active
        and (key := keys.get(row.did)) is not None
        and (is_running or not settings.is_hold(row.did))
    ]
