-- replication.sqlite: what has reached the replica. A lost file costs time only: everything is then
-- taken as changed, and syncs find that nothing is missing.
CREATE TABLE actor (
    shard INTEGER NOT NULL, -- first byte of the DID's SHA-256: the directory that it lies in
    did TEXT NOT NULL,
    txid INTEGER NOT NULL DEFAULT 0, -- the newest in the replica, by Litestream's count
    syncedAtMs INTEGER, -- when that was last seen to be all
    signature INTEGER, -- of the files of which it was all; NULL if they have to be looked at again
    dirtySinceMs INTEGER, -- of the oldest change that may not be in the replica; NULL if all are
    urgent INTEGER NOT NULL DEFAULT 1, -- 0: never looked at before, so perhaps unchanged
    turn INTEGER, -- urgent: synced from this time on, in ms; otherwise when its file was changed
    failures INTEGER NOT NULL DEFAULT 0, -- in a row, until now
    lastError TEXT,
    uncompacted INTEGER NOT NULL DEFAULT 0, -- files that were written since the last compaction
    compactAtMs INTEGER, -- when the next compaction has something to do, however few files there are
    deletedAtMs INTEGER, -- when the files were found to be gone
    changed INTEGER NOT NULL DEFAULT 0, -- change_count when `txid` or `deletedAtMs` changed last
    begun INTEGER NOT NULL DEFAULT 0, -- change_count when its transactions began to be counted from 1
    PRIMARY KEY (shard, did)
) STRICT, WITHOUT ROWID;
CREATE INDEX actor_turn_idx ON actor (urgent, turn) WHERE turn IS NOT NULL;
CREATE INDEX actor_dirty_idx ON actor (dirtySinceMs) WHERE dirtySinceMs IS NOT NULL;
CREATE INDEX actor_synced_idx ON actor (syncedAtMs);
CREATE INDEX actor_failing_idx ON actor (failures) WHERE failures > 0;
CREATE INDEX actor_uncompacted_idx ON actor (uncompacted) WHERE uncompacted > 0;
CREATE INDEX actor_compact_idx ON actor (compactAtMs) WHERE compactAtMs IS NOT NULL;
CREATE INDEX actor_deleted_idx ON actor (deletedAtMs) WHERE deletedAtMs IS NOT NULL;
CREATE TABLE state ( -- serverId, replica, cursor of the event log, blobsLearned
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- How a standby finds what is new: rows whose `changed` is above the one that it saw last.
CREATE INDEX actor_changed_idx ON actor (changed);
CREATE TABLE change_count (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    changed INTEGER NOT NULL
) STRICT;
INSERT INTO change_count (id, changed) VALUES (1, 0);
CREATE TRIGGER actor_begun AFTER INSERT ON actor BEGIN
    UPDATE change_count SET changed = changed + 1;
    UPDATE actor SET changed = (SELECT changed FROM change_count),
        begun = (SELECT changed FROM change_count)
        WHERE shard = new.shard AND did = new.did;
END;
CREATE TRIGGER actor_changed AFTER UPDATE OF txid, deletedAtMs ON actor
WHEN new.txid <> old.txid OR new.deletedAtMs IS NOT old.deletedAtMs BEGIN
    UPDATE change_count SET changed = changed + 1;
    UPDATE actor SET changed = (SELECT changed FROM change_count),
        begun = iif(new.txid < old.txid, (SELECT changed FROM change_count), begun)
        WHERE shard = new.shard AND did = new.did;
END;
CREATE TABLE service ( -- the databases of the server as a whole
    name TEXT PRIMARY KEY,
    txid INTEGER NOT NULL -- the newest in the replica
) STRICT, WITHOUT ROWID;
-- Which files beside the databases are in the replica: see `copies`.
CREATE TABLE key_copy (
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
CREATE INDEX key_copy_gone_idx ON key_copy (goneAtS) WHERE goneAtS IS NOT NULL;
-- A million blobs take 50 MB, because a directory has a short number here, and a file 32 bytes.
CREATE TABLE blob_directory (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE, -- below the directory of blobs
    mtimeNs INTEGER NOT NULL, -- the local directory's when all its files were in blob_copy, or 0
    comparedAtS INTEGER NOT NULL, -- when its files were last listed
    changed INTEGER NOT NULL DEFAULT 0 -- change_count at the last change of its rows in blob_copy
) STRICT;
CREATE TABLE blob_copy (
    directory INTEGER NOT NULL, -- an id of blob_directory
    digest BLOB NOT NULL, -- SHA-256 of the file, which is its name in another spelling
    size INTEGER NOT NULL,
    goneAtS INTEGER, -- since when there is no local file
    PRIMARY KEY (directory, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_copy_gone_idx ON blob_copy (goneAtS) WHERE goneAtS IS NOT NULL;
CREATE INDEX key_copy_changed_idx ON key_copy (changed);
CREATE INDEX blob_directory_changed_idx ON blob_directory (changed);
CREATE TRIGGER key_copy_added AFTER INSERT ON key_copy BEGIN
    UPDATE change_count SET changed = changed + 1;
    UPDATE key_copy SET changed = (SELECT changed FROM change_count)
        WHERE kind = new.kind AND name = new.name;
END;
CREATE TRIGGER key_copy_changed AFTER UPDATE OF digest, sealing, goneAtS ON key_copy
BEGIN
    UPDATE change_count SET changed = changed + 1;
    UPDATE key_copy SET changed = (SELECT changed FROM change_count)
        WHERE kind = new.kind AND name = new.name;
END;
CREATE TRIGGER blob_copy_added AFTER INSERT ON blob_copy BEGIN
    UPDATE change_count SET changed = changed + 1;
    UPDATE blob_directory SET changed = (SELECT changed FROM change_count) WHERE id = new.directory;
END;
CREATE TRIGGER blob_copy_changed AFTER UPDATE OF goneAtS ON blob_copy BEGIN
    UPDATE change_count SET changed = changed + 1;
    UPDATE blob_directory SET changed = (SELECT changed FROM change_count) WHERE id = new.directory;
END;
