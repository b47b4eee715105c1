"""Recovery: makes several databases without a common transaction agree after a crash.

Everything is written in a fixed order, so that the possible states after a crash are known:

============================  ================================================================
write to a repository         actor store, event log; repo_root of the service database later
state of an account           row, event
create, rename, delete        journal, steps of `pds.lifecycle.changes`, journal again
bytes of a blob               permanent before the commit that refers to them, deleted after it
============================  ================================================================

`start.recover` repairs the differences before the first request. docs/reliability.md states the
guarantees for operators.
"""
