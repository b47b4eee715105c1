"""The processes of one server, and the calls that they make to each other.

What a process keeps in memory must not hide what another has changed. So whatever is kept is of
one of these kinds; a change is answered when it binds all processes.

**It cannot change**, for it is named by its content: records as JSON and tree nodes (by CID),
verified session and access tokens and keys of proofs (by their text), granted scopes, parsed client
ids. That a token is revoked, an account taken down or a client's session ended is looked up.

**It is compared with what is stored**, whenever it is used:

===================================  =============================================================
accounts, cutoffs of access tokens   `PRAGMA data_version`, once a step (`database.change_watch`)
totals of an actor's blobs           `PRAGMA data_version` of its store
DID documents                        the time in its row (`identity.did_cache`)
quotas                               the row itself, once a write
===================================  =============================================================

Everything else of accounts, logins, OAuth, second factors, moves and the administrator is read from
the service database for each request: wrong codes, used proofs, devices, forms and nonces, too,
whose secrets derive from `PDS_JWT_SECRET`.

**It is dropped everywhere before the change is answered** (`calls.by_all`):

===================================  =============================================================
open stores, heads that wait         `pds.repos.stores.destroy`
signing keys                         `pds.repos.stores.use_new_key`
damage that was reported             `pds.repos.damage.forget_damage`
frames of deleted events             `pds.peers.events.delete_events_of`
===================================  =============================================================

**It is asked of all when it is needed**: heads that wait to be written (`pds.repos.heads`), imports
and changes under way, subscribers, statistics.

**One process has it**: the first has the event log, the counters of rate limits and of guesses
(`pds.rate_limits.shared`), reserved keys, and quarantined actors, of which it tells the others
(`pds.recovery.joining`); the one that writes an actor has its lock and its turn to commit.

**It may differ for a while**, with a bound that docs/limits.md states: names and metadata that
strangers publish, failures to fetch them, which shares of turns a client has used.
"""
