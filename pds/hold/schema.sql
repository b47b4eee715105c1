-- hold.sqlite: what a hold knows beside its repository. A lost file costs uploads in flight, the
-- counts since the last commit, and the digests of configs; everything else is found again.
CREATE TABLE upload (
    id TEXT PRIMARY KEY,
    did TEXT NOT NULL, -- who began it, and alone may go on with it
    storageId TEXT NOT NULL, -- of the S3 multipart upload; empty on disk
    state TEXT NOT NULL, -- open, checking, completed or refused
    digest TEXT, -- from its completion on
    sizeBytes INTEGER, -- of all parts together, once they are
    changedAtMs INTEGER NOT NULL -- when it came into this state
) STRICT;
CREATE INDEX upload_changed_at_idx ON upload (changedAtMs);
CREATE INDEX upload_unfinished_idx ON upload (did) WHERE state IN ('open', 'checking');
CREATE INDEX upload_digest_idx ON upload (digest) WHERE state = 'completed';
CREATE TABLE blob ( -- what this hold has received itself; garbage collection keeps the rest
    digest TEXT PRIMARY KEY,
    sizeBytes INTEGER NOT NULL,
    storedAtMs INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER upload_completed AFTER UPDATE OF state ON upload
WHEN new.state = 'completed' AND new.digest IS NOT NULL BEGIN
    INSERT INTO blob (digest, sizeBytes, storedAtMs)
        VALUES (new.digest, coalesce(new.sizeBytes, 0), new.changedAtMs)
        ON CONFLICT DO UPDATE SET storedAtMs = excluded.storedAtMs;
END;
CREATE TABLE count ( -- pulls and pushes that are in no record yet
    did TEXT NOT NULL,
    repository TEXT NOT NULL,
    pulls INTEGER NOT NULL,
    pushes INTEGER NOT NULL,
    lastPull TEXT,
    lastPush TEXT,
    PRIMARY KEY (did, repository)
) STRICT, WITHOUT ROWID;
CREATE TABLE writing ( -- counts that the commit under way puts into records
    did TEXT NOT NULL,
    repository TEXT NOT NULL,
    rkey TEXT NOT NULL,
    cid TEXT NOT NULL, -- of the record that the commit writes
    previousCid TEXT, -- of the record that it replaces, if any
    addedPulls INTEGER NOT NULL,
    addedPushes INTEGER NOT NULL,
    pulls INTEGER NOT NULL, -- from here on, what the record will say
    pushes INTEGER NOT NULL,
    lastPull TEXT,
    lastPush TEXT,
    PRIMARY KEY (did, repository)
) STRICT, WITHOUT ROWID;
CREATE TABLE indexed ( -- the rev of the repository that the tables layer and stat agree with
    id INTEGER PRIMARY KEY CHECK (id = 1),
    rev TEXT NOT NULL
) STRICT;
CREATE TABLE stat ( -- an index of the stats records
    rkey TEXT PRIMARY KEY,
    cid TEXT NOT NULL,
    did TEXT NOT NULL,
    repository TEXT NOT NULL,
    pulls INTEGER NOT NULL,
    pushes INTEGER NOT NULL,
    lastPull TEXT,
    lastPush TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX stat_repository_idx ON stat (did, repository);
CREATE TABLE layer ( -- an index of the layer records
    rkey TEXT PRIMARY KEY,
    cid TEXT NOT NULL,
    digest TEXT NOT NULL,
    sizeBytes INTEGER NOT NULL,
    userDid TEXT NOT NULL,
    manifest TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX layer_user_idx ON layer (userDid, rkey);
CREATE INDEX layer_digest_idx ON layer (digest);
CREATE INDEX layer_manifest_idx ON layer (manifest, digest);
CREATE TABLE user_blob ( -- the distinct digests among a user's layer records; kept by triggers
    userDid TEXT NOT NULL,
    digest TEXT NOT NULL,
    sizeBytes INTEGER NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (userDid, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage ( -- the sums of user_blob; kept by triggers, so that a quota costs one look-up
    userDid TEXT PRIMARY KEY,
    blobs INTEGER NOT NULL,
    sizeBytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER layer_added AFTER INSERT ON layer BEGIN
    INSERT INTO user_blob (userDid, digest, sizeBytes, records)
        VALUES (new.userDid, new.digest, new.sizeBytes, 1)
        ON CONFLICT DO UPDATE SET records = records + 1;
END;
CREATE TRIGGER layer_removed AFTER DELETE ON layer BEGIN
    UPDATE user_blob SET records = records - 1
        WHERE userDid = old.userDid AND digest = old.digest;
    DELETE FROM user_blob WHERE userDid = old.userDid AND digest = old.digest AND records = 0;
END;
CREATE TRIGGER user_blob_added AFTER INSERT ON user_blob BEGIN
    INSERT INTO usage (userDid, blobs, sizeBytes) VALUES (new.userDid, 1, new.sizeBytes)
        ON CONFLICT DO UPDATE
        SET blobs = blobs + 1, sizeBytes = sizeBytes + excluded.sizeBytes;
END;
CREATE TRIGGER user_blob_removed AFTER DELETE ON user_blob BEGIN
    UPDATE usage SET blobs = blobs - 1, sizeBytes = sizeBytes - old.sizeBytes
        WHERE userDid = old.userDid;
    DELETE FROM usage WHERE userDid = old.userDid AND blobs = 0;
END;
CREATE TABLE manifest_blob ( -- every digest that a notified manifest names, its config included
    manifest TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (manifest, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_blob_digest_idx ON manifest_blob (digest);
CREATE TABLE seen ( -- when blobs without a reference were last asked for, sent, or referred to
    digest TEXT PRIMARY KEY,
    atMs INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_at_idx ON seen (atMs);
CREATE TABLE post ( -- the announcements of pushes
    manifest TEXT NOT NULL,
    tag TEXT NOT NULL,
    userDid TEXT NOT NULL,
    uri TEXT NOT NULL,
    postedAtMs INTEGER NOT NULL,
    PRIMARY KEY (manifest, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX post_user_idx ON post (userDid, postedAtMs);
