CREATE TABLE car (
  path TEXT NOT NULL PRIMARY KEY,
  sizeBytes INTEGER NOT NULL,
  mtimeNs INTEGER NOT NULL,
  verification TEXT NOT NULL,
  did TEXT,
  rev TEXT,
  problem TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE repo (
  did TEXT NOT NULL PRIMARY KEY,
  handle TEXT,
  didDoc TEXT,
  cid TEXT NOT NULL,
  rev TEXT NOT NULL,
  path TEXT NOT NULL,
  sizeBytes INTEGER NOT NULL,
  records INTEGER NOT NULL,
  signature TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX car_did_idx ON car (did);
CREATE INDEX repo_path_idx ON repo (path);
