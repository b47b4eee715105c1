"""Recovery: several databases that do not commit together, made to agree after a crash.

Everything is written in one order, so that what a crash leaves is known:

============================  ================================================================
write to a repository         actor store, event log; repo_root of the service database later
state of an account           row, event
create, rename, delete        journal, then as `pds.lifecycle.changes` says, journal again
bytes of a blob               permanent before the commit that refers to them, deleted after it
============================  ================================================================

`start.recover` mends the rest before the first request. docs/reliability.md tells operators what
is promised.
"""
