ALTER TABLE repo ADD COLUMN name TEXT;
ALTER TABLE repo ADD COLUMN words TEXT NOT NULL DEFAULT '';
UPDATE repo SET words = lower(did || char(10) || coalesce(handle, ''));
-- Names are in the files: each counts as changed, and is loaded while what was loaded is served.
UPDATE car SET mtimeNs = -1 WHERE problem IS NULL;
