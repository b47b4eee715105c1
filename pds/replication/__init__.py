"""Replication of a whole data directory with Litestream, at any number of accounts.

Litestream streams one database. This room decides which databases it has open at the moment, copies
what is not a database, keeps the replica small, and restores all of it.

==============  ================================================================================
`replica/`      the place that holds the copy: its URL, names, files, manifest and lease
`litestream/`   the program: its daemons and their control socket
`ltx/`          Litestream's file format: reading, merging and applying it
`ledger/`       what has reached the replica (`replication.sqlite`)
`changes/`      which actors have changed: the event log and file times
`syncing/`      the queue of those, the ones that Litestream has open, and their syncs
`compacting/`   keeping the replicas of actors small
`copies/`       signing keys, encrypted, and blobs of a disk blob store
`supervising/`  one run: the parts put together, the databases of the server, the status
`restore/`      from a replica to a data directory
`standby/`      a warm copy on another machine
==============  ================================================================================

Beside them lie what a supervisor is told (`options`), what it says of itself (`status`, in a
`status_file`), whether that is well (`health`), and the `errors` of all. The server and the command
line import this room, nothing else does.
"""
