-- hold.sqlite: what a hold knows beside its repository. A lost file costs uploads in flight and the
-- counts since the last commit; everything else is found again.
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
CREATE TABLE count ( -- pulls and pushes that are in no record yet
    did TEXT NOT NULL,
    repository TEXT NOT NULL,
    pulls INTEGER NOT NULL,
    pushes INTEGER NOT NULL,
    lastPull TEXT,
    lastPush TEXT,
    PRIMARY KEY (did, repository)
) STRICT, WITHOUT ROWID;
CREATE TABLE writing ( -- what the records will say once the commit under way is made
    did TEXT NOT NULL,
    repository TEXT NOT NULL,
    pulls INTEGER NOT NULL,
    pushes INTEGER NOT NULL,
    lastPull TEXT,
    lastPush TEXT,
    PRIMARY KEY (did, repository)
) STRICT, WITHOUT ROWID;
CREATE TABLE layer ( -- an index of the layer records
    rkey TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    sizeBytes INTEGER NOT NULL,
    userDid TEXT NOT NULL,
    manifest TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX layer_user_idx ON layer (userDid, digest);
CREATE INDEX layer_digest_idx ON layer (digest);
CREATE INDEX layer_manifest_idx ON layer (manifest);
CREATE TABLE manifest_blob ( -- every digest that a notified manifest names, its config included
    manifest TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (manifest, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_blob_digest_idx ON manifest_blob (digest);
