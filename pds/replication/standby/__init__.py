"""A warm copy of a replicated server, within seconds of it, that can take its place.

=============  ====================================================================================
`directory`    the directory of a standby: its lock, and the file that tells it from a server's
`state`        `standby.sqlite`: which transaction each database is at
`ledger_copy`  the ledger of the primary, and what changed in it since the last look
`ledger_rows`  what a standby reads from the ledger
`databases`    one database: the files after its transaction, applied in place; or all of it anew
`services`     the databases of the server as a whole
`actors`       the databases of accounts, and their deletion
`secrets`      signing keys
`blobs`        blobs, behind all others
`following`    rounds of all that, until told to stop
`status`       `standby.json`: how far it is behind
`promotion`    from a standby to a server
=============  ====================================================================================

No database is open in SQLite while pages are written to it. The ledger is read between two
applications, as a file that nobody changes, so that no WAL appears beside it.

The ledger tells what is new, so that an account that does not change costs nothing. Reading it once
from its start, when the process starts, finds whatever was missed.
"""
