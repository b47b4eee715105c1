-- Part of the ledger: which files beside the databases are in the replica.

CREATE TABLE IF NOT EXISTS key_copy (
    kind     TEXT    NOT NULL,    -- actor, reserved or file
    name     TEXT    NOT NULL,    -- a DID, a did:key, or a file name in the data directory
    size     INTEGER NOT NULL,    -- of the local file when it was copied, as the next two
    mtime_ns INTEGER NOT NULL,
    inode    INTEGER NOT NULL,
    digest   BLOB    NOT NULL,    -- SHA-256 of a signing key; empty for other files
    sealing  TEXT    NOT NULL,    -- `clear`, or which recipient can open the copy
    gone_s   INTEGER,             -- since when there is no local file, in Unix seconds
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS key_copy_gone ON key_copy (gone_s) WHERE gone_s IS NOT NULL;

-- A million blobs take about 50 MB: a directory has a short number here, a file 32 bytes.
CREATE TABLE IF NOT EXISTS blob_directory (
    id         INTEGER PRIMARY KEY,
    path       TEXT    NOT NULL UNIQUE,    -- below the directory of blobs
    mtime_ns   INTEGER NOT NULL,           -- the local directory's, if all its files are below
    compared_s INTEGER NOT NULL            -- when its files were last listed, in Unix seconds
) STRICT;

CREATE TABLE IF NOT EXISTS blob_copy (
    directory INTEGER NOT NULL,    -- of blob_directory
    digest    BLOB    NOT NULL,    -- SHA-256 of the file, which is its name in another spelling
    size      INTEGER NOT NULL,
    gone_s    INTEGER,             -- since when there is no local file, in Unix seconds
    PRIMARY KEY (directory, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS blob_copy_gone ON blob_copy (gone_s) WHERE gone_s IS NOT NULL;
