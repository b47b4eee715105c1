"""From a replica to a data directory.

=============  =================================================================================
`options`      what is restored, and as of when
`target`       the paths it is written to, which must be empty
`marker`       `restore.json`: an interrupted restore, which may go on
`patience`     reading from the place, which may be away for a moment
`listing`      the replica's files, grouped by database, key or account as they are listed
`fetching`     the files of one database, in memory or beside it
`database`     one database: chosen files, fallback where some are damaged, one rename
`services`     the databases of the server itself, and who the accounts are
`actors`       the databases and signing keys of accounts, several at once
`named_files`  one file that is named for its contents
`blobs`        blobs that the restored accounts refer to
`layers`       layers of a hold
`report`       what was restored, and what the replica lacked
`restoring`    all of it in order
`finishing`    recovery, before the first start
`verifying`    a restore to a scratch directory, compared with the live files
=============  =================================================================================

A replica may come from `pds replicate` or from plain `litestream.yml`, which has databases only.
What it lacks is listed in the report and stops nothing, except a missing `account.sqlite`.
"""
