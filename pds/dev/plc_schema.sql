-- The embedded PLC directory's own file: every operation it ever accepted.
CREATE TABLE operation (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    did TEXT NOT NULL,
    cid TEXT NOT NULL,
    operation TEXT NOT NULL, -- JSON with its signature
    nullified INTEGER NOT NULL DEFAULT 0,
    createdAtMs INTEGER NOT NULL, -- since the Unix epoch; strictly rising with seq
    UNIQUE (did, cid)
) STRICT;
CREATE INDEX operation_did_idx ON operation (did, seq);
CREATE INDEX operation_created_at_idx ON operation (createdAtMs);
