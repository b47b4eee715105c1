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
CREATE TABLE state ( -- serverId, replica, cursor of the event log
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
