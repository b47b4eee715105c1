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
    changed INTEGER NOT NULL DEFAULT 0, -- change_count at its last change, for standbys
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS key_copy_gone_idx ON key_copy (goneAtS) WHERE goneAtS IS NOT NULL;
-- A million blobs take 50 MB, because a directory has a short number here, and a file 32 bytes.
CREATE TABLE IF NOT EXISTS blob_directory (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE, -- below the directory of blobs
    mtimeNs INTEGER NOT NULL, -- the local directory's when all its files were in blob_copy, or 0
    comparedAtS INTEGER NOT NULL, -- when its files were last listed
    changed INTEGER NOT NULL DEFAULT 0 -- change_count at the last change of its rows in blob_copy
) STRICT;
CREATE TABLE IF NOT EXISTS blob_copy (
    directory INTEGER NOT NULL, -- an id of blob_directory
    digest BLOB NOT NULL, -- SHA-256 of the file, which is its name in another spelling
    size INTEGER NOT NULL,
    goneAtS INTEGER, -- since when there is no local file
    PRIMARY KEY (directory, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS blob_copy_gone_idx ON blob_copy (goneAtS) WHERE goneAtS IS NOT NULL;
CREATE INDEX IF NOT EXISTS key_copy_changed_idx ON key_copy (changed);
CREATE INDEX IF NOT EXISTS blob_directory_changed_idx ON blob_directory (changed);
CREATE TABLE IF NOT EXISTS change_count ( -- as in the other part of the ledger
    id INTEGER PRIMARY KEY CHECK (id = 1),
    changed INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO change_count (id, changed) VALUES (1, 0);
CREATE TRIGGER IF NOT EXISTS key_copy_added AFTER INSERT ON key_copy BEGIN
    UPDATE change_count SET changed = changed + 1;
    UPDATE key_copy SET changed = (SELECT changed FROM change_count)
        WHERE kind = new.kind AND name = new.name;
END;
CREATE TRIGGER IF NOT EXISTS key_copy_changed AFTER UPDATE OF digest, sealing, goneAtS ON key_copy
BEGIN
    UPDATE change_count SET changed = changed + 1;
    UPDATE key_copy SET changed = (SELECT changed FROM change_count)
        WHERE kind = new.kind AND name = new.name;
END;
CREATE TRIGGER IF NOT EXISTS blob_copy_added AFTER INSERT ON blob_copy BEGIN
    UPDATE change_count SET changed = changed + 1;
    UPDATE blob_directory SET changed = (SELECT changed FROM change_count) WHERE id = new.directory;
END;
CREATE TRIGGER IF NOT EXISTS blob_copy_changed AFTER UPDATE OF goneAtS ON blob_copy BEGIN
    UPDATE change_count SET changed = changed + 1;
    UPDATE blob_directory SET changed = (SELECT changed FROM change_count) WHERE id = new.directory;
END;
