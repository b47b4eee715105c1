"""`pds doctor`: finds problems in a data directory and its surroundings. Changes neither.

    finding, report     the result of one check, and of all together
    inspection          read-only connections that leave unused files untouched
    users               processes that use the directory meanwhile
    environment         settings
    access              obstacles to starting: files, directories, ports
    machine             open files, disk space, file systems
    permissions         who else can read databases and secrets
    database            any SQLite file: pages, references, schema version
    actor, actors       one and all: signing_key, blocks, repo, record_index, blobs
    accounts, event_log the service database, the event log
    last_stop           whether the last server stopped cleanly
    replication         whether the replica elsewhere is current
    agreement, heads    whether store, log and service database agree on every repo
    surroundings        what others see: network (PLC, DNS, TLS, SMTP), identities (DIDs)
    examination         everything, in order

Run it in a process of its own: closing a file drops every POSIX lock that the same process holds on
it, which would make a server's connections unsafe.
"""
