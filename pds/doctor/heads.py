"""The head of a repo, on which its store, the event log and the service database must agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pds.disk.remedies import restore_database
from pds.doctor.finding import Finding
from pds.doctor.repo import RepoHead

CHECK: Final = "heads"


@dataclass(slots=True, frozen=True)
class Standing:
    """The state of one repo in three files. None for a missing event or row.

    On a running server, they are read one after the other: first `before`, a while later the log
    and the service database, and then `now`. The others must have caught up with the store's state
    before, and the store must by now have caught up with theirs.
    """

    did: str
    store: Path
    before: RepoHead
    now: RepoHead
    log_rev: str | None
    root: RepoHead | None
    is_active: bool = True
    """A deactivated account may be filled without events, which its activation makes up for."""


def judge(
    standing: Standing, *, log: Path, accounts: Path, check_file: Path, is_unclean: bool
) -> Finding | None:
    """Return the disagreement that explains all others of this repo, or None.

    `check_file` makes the next start check every store. `is_unclean` means that the server will
    recover at its next start, from a crash or because it is unknown how the last run stopped.
    """
    return (
        _store_is_behind(standing, log, accounts)
        or _log_is_behind(standing, log, is_unclean=is_unclean)
        or _root_is_behind(standing, accounts, check_file, is_unclean=is_unclean)
    )


def _store_is_behind(standing: Standing, log: Path, accounts: Path) -> Finding | None:
    now, root, rev = standing.now, standing.root, standing.log_rev
    if rev is not None and rev > now.rev:
        newer = f"{log} has told consumers of rev {rev}"
    elif root is not None and root.rev > now.rev:
        newer = f"{accounts} lists rev {root.rev}"
    elif root is not None and root.rev == now.rev and root.cid != now.cid:
        newer = f"{accounts} lists another commit of that rev, {root.cid}"
    else:
        return None
    return Finding.error(
        CHECK,
        standing.store,
        f"is at rev {now.rev}, but {newer}: writes are lost",
        f"{restore_database(standing.store)} If there is no newer backup, start the server: the "
        "repository goes on from what it has.",
    )


def _log_is_behind(standing: Standing, log: Path, *, is_unclean: bool) -> Finding | None:
    rev, before = standing.log_rev, standing.before
    if not standing.is_active or (rev is not None and rev >= before.rev):
        return None
    told = "no commit of it" if rev is None else f"only rev {rev}"
    message = f"is at rev {before.rev}, but {log} has {told}: consumers have not heard of the rest"
    if is_unclean:
        remedy = "Usual after a crash. Start the server, which tells them."
        return Finding.warning(CHECK, standing.store, message, remedy)
    return Finding.error(
        CHECK,
        standing.store,
        message,
        f"Restore {log} if there is a newer backup or replica. Else "
        f"`pds account deactivate {standing.did}` and `pds account activate {standing.did}` make "
        "consumers fetch the repository anew.",
    )


def _root_is_behind(
    standing: Standing, accounts: Path, check_file: Path, *, is_unclean: bool
) -> Finding | None:
    root, before = standing.root, standing.before
    if root is not None and root.rev >= before.rev:
        return None
    listed = "does not list the repository" if root is None else f"lists the old rev {root.rev}"
    remedy = (
        "Usual after a crash. Start the server, which sets it right."
        if is_unclean
        else "A running server sets it right as soon as no other program holds "
        f"{accounts.name}. If this stays, stop the server, `touch {check_file}` and start it."
    )
    remedy += " Until then listRepos may show what is old."
    return Finding.warning(
        CHECK, standing.store, f"is at rev {before.rev}, but {accounts} {listed}", remedy
    )
