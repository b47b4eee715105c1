-- A part of the ledger: which files beside the databases are in the replica.
CREATE TABLE IF NOT EXISTS key_copy (
    kind TEXT NOT NULL, -- actor, reserved or file
    name TEXT NOT NULL, -- a DID, a did:key, or a file name in the data directory
    size INTEGER NOT NULL, -- of the local file when it was copied, as are the next two
    mtimeNs INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    digest BLOB NOT NULL, -- SHA-256 of a signing key; empty for other files
    sealing TEXT NOT NULL, -- `clear`, or which recipient can open the copy
    goneAtS INTEGER, -- since when there is no local file
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS key_copy_gone_idx ON key_copy (goneAtS) WHERE goneAtS IS NOT NULL;
-- A million blobs take 50 MB, because a directory has a short number here, and a file 32 bytes.
CREATE TABLE IF NOT EXISTS blob_directory (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE, -- below the directory of blobs
    mtimeNs INTEGER NOT NULL, -- the local directory's when all its files were in blob_copy, or 0
    comparedAtS INTEGER NOT NULL -- when its files were last listed
) STRICT;
CREATE TABLE IF NOT EXISTS blob_copy (
    directory INTEGER NOT NULL, -- an id of blob_directory
    digest BLOB NOT NULL, -- SHA-256 of the file, which is its name in another spelling
    size INTEGER NOT NULL,
    goneAtS INTEGER, -- since when there is no local file
    PRIMARY KEY (directory, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS blob_copy_gone_idx ON blob_copy (goneAtS) WHERE goneAtS IS NOT NULL;
